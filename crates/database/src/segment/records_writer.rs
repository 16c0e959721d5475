//! The records of a segment, and what finds them again.

use std::collections::HashMap;
use std::sync::Arc;

use super::blocks::Checksum;
use super::id_table::{self, IdTable};
use super::section_writer::SectionWriter;
use super::{SegmentRecord, SegmentSource};
use crate::error::{Error, Result};
use crate::record_encoding::put_record;
use crate::vector_fields::VectorField;

/// Encodes records, and keeps what is needed to find them again.
pub(super) struct RecordsWriter<'a> {
    fields: &'a [VectorField],
    checksum: Checksum,
    salt: u64,
    /// One record, as it goes into the file.
    bytes: Vec<u8>,
    /// Where each record starts, and where the last one ends, from the section's start.
    pub(super) offsets: Vec<u64>,
    pub(super) ids: IdTable,
    pub(super) sources: Sources,
}

impl<'a> RecordsWriter<'a> {
    pub(super) fn new(rows: u32, writer: &SectionWriter, fields: &'a [VectorField]) -> Self {
        let mut offsets = Vec::with_capacity(rows as usize + 1);
        offsets.push(0);
        Self {
            fields,
            checksum: writer.checksum(),
            salt: writer.salt(),
            bytes: Vec::new(),
            offsets,
            ids: IdTable::new(rows),
            sources: Sources::default(),
        }
    }

    pub(super) fn encode(
        &mut self,
        row: u32,
        record: &SegmentRecord,
        source: &dyn SegmentSource,
    ) -> Result<&[u8]> {
        let place = record.place.as_ref();
        let place = place.map(|place| (place, self.sources.number(&place.source)));
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&[0; 4]);
        let (text, metadata) = (record.text.as_deref(), record.metadata.as_deref());
        let vectors = (&record.vectors, self.fields);
        let text = put_record(bytes, &record.id, text, metadata, place, vectors)?;
        let text_checksum = text.clone().map(|text| crc32fast::hash(&bytes[text]).to_le_bytes());
        bytes.extend(text_checksum.iter().flatten());
        let checksum = match text {
            Some(text) => self.checksum.of(&[&bytes[4..text.start], &bytes[text.end..]]),
            None => self.checksum.of(&[&bytes[4..]]),
        };
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        self.offsets.push(self.offsets[row as usize] + bytes.len() as u64);

        let hash = id_table::hash(&record.id, self.salt)?;
        let same = |row| Ok::<_, Error>(source.record(row)?.id == record.id);
        match self.ids.insert(hash, row, same)? {
            None => Ok(&self.bytes),
            Some(earlier) => Err(Error::InvalidArgument(format!(
                "rows {earlier} and {row} of a segment have the same id, {}",
                record.id
            ))),
        }
    }
}

/// The distinct sources, numbered in the order of their appearance.
#[derive(Default)]
pub(super) struct Sources {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Sources {
    fn number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // There are no more sources than rows.
        let number = self.names.len() as u32;
        self.names.push(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    pub(super) fn write(&self, writer: &mut SectionWriter) -> Result<()> {
        writer.put(&(self.names.len() as u64).to_le_bytes())?;
        let mut offset = 0;
        writer.put(&0u64.to_le_bytes())?;
        for name in &self.names {
            offset += name.len() as u64;
            writer.put(&offset.to_le_bytes())?;
        }
        self.names.iter().try_for_each(|name| writer.put(name.as_bytes()))
    }
}
