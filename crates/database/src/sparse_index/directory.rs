//! The lists of an index in the order of their indices, [`SPARSE_LIST_BYTES`] each.

use super::postings::Bounds;
use crate::bytes::Reader;
use crate::error::Result;
use crate::format::SPARSE_LIST_BYTES;
use crate::paged::Pages;

/// What is known of a list without reading it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct List {
    /// What its rows have in common.
    pub(super) index: u32,
    pub(super) postings: u32,
    /// Where its blocks are, one behind the other.
    pub(super) blocks: u64,
    /// Where what is known of each of them is.
    pub(super) entries: u64,
    pub(super) bounds: Bounds,
}

impl List {
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&self.postings.to_le_bytes());
        bytes.extend_from_slice(&self.blocks.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        self.bounds.put(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        Some(Self {
            index: reader.u32()?,
            postings: reader.u32()?,
            blocks: reader.u64()?,
            entries: reader.u64()?,
            bounds: Bounds::read(&mut reader)?,
        })
    }
}

pub(super) struct Directory<'a, B> {
    pub(super) pages: &'a Pages<B>,
    /// Where it is.
    pub(super) offset: u64,
    pub(super) lists: u64,
}

impl<B: AsRef<[u8]>> Directory<'_, B> {
    /// The list of an index, looked for from a place on; the place of where it is, or would be, is
    /// where to look for a greater index.
    pub(super) fn find(&self, index: u32, from: &mut u64) -> Result<Option<List>> {
        let (mut low, mut high) = (*from, self.lists);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.pages.u32(self.place(middle))? < index {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        *from = low;
        if low >= self.lists {
            return Ok(None);
        }
        let bytes = self.pages.get(self.place(low), SPARSE_LIST_BYTES as u64)?;
        Ok(List::read(bytes).filter(|list| list.index == index))
    }

    fn place(&self, list: u64) -> u64 {
        self.offset.saturating_add(list.saturating_mul(SPARSE_LIST_BYTES as u64))
    }
}
