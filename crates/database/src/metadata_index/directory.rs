//! The keys of an index, sorted, each with its parts.

use super::section::Section;
use crate::error::Result;
use crate::format::{KEY_RECORD_FIXED_BYTES, PART_BYTES, PART_KINDS};

/// A part of what is known of a key: a set of rows, or a dictionary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Entries of a dictionary; 0 for a set of rows.
    pub(super) entries: u64,
    /// The offset of a dictionary, or the reference to a set of rows.
    pub(super) at: u64,
}

/// The parts of a key by their kind.
pub(super) struct Parts([Option<Part>; PART_KINDS]);

impl Parts {
    pub(super) fn get(&self, kind: u8) -> Option<Part> {
        self.0[kind as usize]
    }
}

/// Appends the record of a key and gives back its offset.
pub(super) fn put_key(body: &mut Vec<u8>, name: &str, parts: &[(u8, Part)]) -> u64 {
    let offset = body.len() as u64;
    body.extend_from_slice(&(name.len() as u16).to_le_bytes());
    body.push(parts.len() as u8);
    body.extend_from_slice(name.as_bytes());
    for (kind, part) in parts {
        body.push(*kind);
        body.extend_from_slice(&part.entries.to_le_bytes());
        body.extend_from_slice(&part.at.to_le_bytes());
    }
    offset
}

/// The directory of a section: offsets of key records, in the order of their names' bytes.
pub(super) struct Directory<'a, B> {
    pub(super) section: &'a Section<B>,
    pub(super) offset: u64,
    pub(super) keys: u32,
}

impl<B: AsRef<[u8]>> Directory<'_, B> {
    /// The parts of a key, or `None` for one that is not indexed.
    pub(super) fn find(&self, name: &str) -> Result<Option<Parts>> {
        let (mut low, mut high) = (0, self.keys);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(middle)?.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.parts(middle).map(Some),
            }
        }
        Ok(None)
    }

    /// The name of a key by its number.
    pub(super) fn name(&self, key: u32) -> Result<&[u8]> {
        let record = self.record(key)?;
        let fixed = self.section.get(record, KEY_RECORD_FIXED_BYTES as u64)?;
        let length = u16::from_le_bytes([fixed[0], fixed[1]]);
        self.section.get(record.saturating_add(KEY_RECORD_FIXED_BYTES as u64), u64::from(length))
    }

    fn parts(&self, key: u32) -> Result<Parts> {
        let record = self.record(key)?;
        let fixed = self.section.get(record, KEY_RECORD_FIXED_BYTES as u64)?;
        let name_bytes = u64::from(u16::from_le_bytes([fixed[0], fixed[1]]));
        let count = u64::from(fixed[2]);
        let start = record.saturating_add(KEY_RECORD_FIXED_BYTES as u64).saturating_add(name_bytes);
        let bytes = self.section.get(start, count * PART_BYTES as u64)?;
        let mut parts = Parts([None; PART_KINDS]);
        for part in bytes.chunks_exact(PART_BYTES) {
            let number = |at: usize| {
                u64::from_le_bytes(part[at..at + 8].try_into().expect("8 bytes of a part"))
            };
            let Some(slot) = parts.0.get_mut(part[0] as usize) else {
                return Err(self.section.corrupt(start, "has a part of an unknown kind"));
            };
            *slot = Some(Part { entries: number(1), at: number(9) });
        }
        Ok(parts)
    }

    fn record(&self, key: u32) -> Result<u64> {
        self.section.u64(self.offset.saturating_add(u64::from(key) * 8))
    }
}
