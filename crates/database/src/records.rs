//! Everything about the records but their own vectors and texts, by slot.
//!
//! Kept in blocks that clones share, for the same reason as in [`crate::vectors`].

use std::sync::Arc;

use rayon::prelude::*;
use serde_json::Value;

use crate::record::{Id, Place};
use crate::vector_fields::FieldVectors;

const BLOCK_RECORDS: usize = 256;

/// A record as it is kept in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// Its name.
    pub id: Id,
    /// Its metadata, always a JSON object.
    pub metadata: Option<Arc<Value>>,
    /// Where its text stands in its source.
    pub place: Option<Place>,
    /// Where its text stands in our file.
    pub text: Option<TextLocation>,
    /// Its vectors in the collection's fields; of a record in a segment they are not read.
    pub vectors: FieldVectors,
    /// What the record takes in its file, its vector included.
    pub logged_bytes: u32,
}

/// Where a text stands in the log, or in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLocation {
    /// From the file's start.
    pub offset: u64,
    /// Bytes.
    pub length: u32,
    /// Checked again whenever the text is read: disks also rot after they were opened.
    pub checksum: u32,
}

impl StoredRecord {
    /// The record of a payload that starts at this offset of the log.
    pub(crate) fn in_payload_at(mut self, payload_offset: u64) -> Self {
        if let Some(text) = &mut self.text {
            text.offset += payload_offset;
        }
        self
    }
}

/// All records by slot.
#[derive(Clone, Default)]
pub(crate) struct Records {
    blocks: Arc<Vec<Arc<Block>>>,
}

type Block = [Option<StoredRecord>; BLOCK_RECORDS];

impl Records {
    pub(crate) fn get(&self, slot: u32) -> Option<&StoredRecord> {
        let block = self.blocks.get(slot as usize / BLOCK_RECORDS)?;
        block[slot as usize % BLOCK_RECORDS].as_ref()
    }

    /// Writes a record or takes it out, and gives back what was there.
    pub(crate) fn replace(
        &mut self,
        slot: u32,
        record: Option<StoredRecord>,
    ) -> Option<StoredRecord> {
        let blocks = Arc::make_mut(&mut self.blocks);
        let block = slot as usize / BLOCK_RECORDS;
        while blocks.len() <= block {
            blocks.push(Arc::new([const { None }; BLOCK_RECORDS]));
        }
        let block = Arc::make_mut(&mut blocks[block]);
        std::mem::replace(&mut block[slot as usize % BLOCK_RECORDS], record)
    }

    /// The live records from a slot on, in slot order.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &StoredRecord)> {
        let first_block = first as usize / BLOCK_RECORDS;
        let blocks = self.blocks.iter().enumerate().skip(first_block);
        blocks
            .flat_map(|(block, records)| {
                let first_slot = block * BLOCK_RECORDS;
                records.iter().enumerate().filter_map(move |(row, record)| {
                    Some(((first_slot + row) as u32, record.as_ref()?))
                })
            })
            .skip_while(move |(slot, _)| *slot < first)
    }

    /// The live records, in no order, for all cores of the ambient thread pool.
    pub(crate) fn par_iter(&self) -> impl ParallelIterator<Item = &StoredRecord> {
        self.blocks.par_iter().flat_map_iter(|records| records.iter().flatten())
    }

    /// Slots that exist, live or not.
    pub(crate) fn slots(&self) -> usize {
        self.blocks.len() * BLOCK_RECORDS
    }
}
