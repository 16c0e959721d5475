//! A segment in memory, which counts how often its rows are looked at.

use std::cell::RefCell;
use std::collections::HashMap;

use database::{FieldSource, Fields, Filter, Id, MetadataIndex, MetadataIndexBuilder, Result};
use roaring::RoaringBitmap;
use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: Id,
    pub(crate) metadata: Option<Value>,
    pub(crate) place: Option<(String, u64)>,
}

impl Row {
    pub(crate) fn new(id: i64, metadata: Value) -> Self {
        Self { id: id.into(), metadata: Some(metadata), place: None }
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields {
            id: &self.id,
            metadata: self.metadata.as_ref(),
            source: self.place.as_ref().map(|(source, _)| source.as_str()),
            line: self.place.as_ref().map(|(_, line)| *line),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) looked_at: RefCell<HashMap<u32, u32>>,
}

impl From<Vec<Row>> for Rows {
    fn from(rows: Vec<Row>) -> Self {
        Self { rows, looked_at: RefCell::default() }
    }
}

impl FieldSource for Rows {
    fn with_fields(&self, row: u32, see: &mut dyn FnMut(&Fields<'_>)) -> Result<()> {
        *self.looked_at.borrow_mut().entry(row).or_default() += 1;
        see(&self.rows[row as usize].fields());
        Ok(())
    }
}

impl Rows {
    pub(crate) fn index_bytes(&self) -> Vec<u8> {
        let mut builder = MetadataIndexBuilder::default();
        for row in &self.rows {
            builder.push(&row.fields()).unwrap();
        }
        builder.finish()
    }

    pub(crate) fn index(&self) -> MetadataIndex<Vec<u8>> {
        open(self.index_bytes()).unwrap()
    }

    pub(crate) fn accepted(&self, filter: &Filter) -> RoaringBitmap {
        let rows = self.rows.iter().zip(0u32..);
        rows.filter(|(row, _)| filter.accepts(&row.fields())).map(|(_, row)| row).collect()
    }

    /// How many rows were looked at since the last call.
    pub(crate) fn take_looked_at(&self) -> usize {
        self.looked_at.take().len()
    }
}

pub(crate) fn open(bytes: Vec<u8>) -> Result<MetadataIndex<Vec<u8>>> {
    MetadataIndex::open(bytes, "segment".as_ref(), 4096)
}

pub(crate) fn filter(json: Value) -> Filter {
    Filter::parse(&json).unwrap()
}
