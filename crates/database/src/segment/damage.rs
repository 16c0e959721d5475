//! What is known to be damaged in a segment, and what is read in its place.
//!
//! A section is *derived* if the others say what is in it: once one of these is found to be damaged,
//! nobody reads it any more, the same is found by way of the records, and the background writes the
//! segment anew ([`Segment::is_to_be_rebuilt`]). What else is damaged makes rows *lost*: they can be
//! neither read nor found, and the segment stays as it is until somebody accepts that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;
use serde_json::Value;

use super::Segment;
use super::id_table::IdTable;
use crate::error::Result;
use crate::filter::Key;
use crate::format::{
    SECTION_CHECKSUMS, SECTION_GRAPH, SECTION_ID_TABLE, SECTION_INVERSE_NORMS,
    SECTION_METADATA_INDEX, SECTION_RECORD_OFFSETS,
};
use crate::order_by::{Direction, OrderBy};
use crate::record::Id;

/// Whether the other sections say what is in this one. Of a graph, all but the vectors.
pub(super) fn is_derived(kind: u32) -> bool {
    matches!(
        kind,
        SECTION_GRAPH
            | SECTION_METADATA_INDEX
            | SECTION_ID_TABLE
            | SECTION_RECORD_OFFSETS
            | SECTION_INVERSE_NORMS
            | SECTION_CHECKSUMS
    )
}

/// What is known to be damaged. Only grows.
#[derive(Clone, Default)]
pub(super) struct Damage {
    /// Whether every block was compared with its checksum, and every row read.
    pub(super) was_examined: bool,
    /// Offsets in the file, and what is wrong there.
    pub(super) problems: Vec<(u64, String)>,
    /// Where derived sections start that are not used any more, and where damaged blocks do.
    pub(super) sections: BTreeSet<u64>,
    /// Rows that cannot be read.
    pub(super) lost: RoaringBitmap,
    /// Their ids, as far as they can be told.
    pub(super) lost_ids: BTreeMap<u32, Id>,
    /// In the place of the section of that name, and so are the following.
    pub(super) record_offsets: Option<Arc<[u64]>>,
    pub(super) ids: Option<Arc<IdTable>>,
    pub(super) inverse_norms: Option<Arc<[f32]>>,
}

/// Damage that is learned of while others read.
#[derive(Default)]
pub(super) struct KnownDamage {
    /// How often something was learned; 0 as long as nothing is known.
    version: AtomicU64,
    damage: RwLock<Arc<Damage>>,
    /// Held by whoever examines the segment.
    pub(super) examining: Mutex<()>,
}

impl KnownDamage {
    pub(super) fn get(&self) -> Option<Arc<Damage>> {
        match self.version.load(Ordering::Acquire) {
            0 => None,
            _ => Some(self.damage.read().clone()),
        }
    }

    pub(super) fn set(&self, damage: Damage) {
        *self.damage.write() = Arc::new(damage);
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Segment {
    /// How often damage was learned of: who reads anew after this has changed meets less of it.
    pub fn damage_version(&self) -> u64 {
        self.damage.version.load(Ordering::Acquire)
    }

    /// Whether a derived section, of which this is the range, can be used.
    pub(super) fn is_usable(&self, section: &Range<u64>) -> bool {
        self.damage.get().is_none_or(|damage| !damage.sections.contains(&section.start))
    }

    /// Whether a row cannot be read.
    pub fn is_lost(&self, row: u32) -> bool {
        self.damage.get().is_some_and(|damage| damage.lost.contains(row))
    }

    /// The rows that cannot be read, as far as is known.
    pub fn lost_rows(&self) -> RoaringBitmap {
        self.damage.get().map_or_else(RoaringBitmap::new, |damage| damage.lost.clone())
    }

    /// Whether something derived is damaged: the same rows written anew have it again.
    pub fn is_to_be_rebuilt(&self) -> bool {
        self.damage.get().is_some_and(|damage| !damage.sections.is_empty())
    }

    /// What is wrong, as far as is known: offsets in the file, and words.
    pub fn known_problems(&self) -> Vec<(u64, String)> {
        self.damage.get().map_or_else(Vec::new, |damage| damage.problems.clone())
    }

    /// The ids of those rows among these that are lost, as far as records or the metadata index tell
    /// them.
    pub(crate) fn ids_of_lost(&self, rows: &RoaringBitmap) -> Vec<Id> {
        let damage = self.damage.get();
        let ids = damage.iter().flat_map(|damage| &damage.lost_ids);
        ids.filter(|(row, _)| rows.contains(**row)).map(|(_, id)| id.clone()).collect()
    }

    /// What [`Segment::ids_of_lost`] knows. Takes as long as going through all ids.
    pub(super) fn find_lost_ids(&self, lost: &RoaringBitmap) -> BTreeMap<u32, Id> {
        let mut ids = BTreeMap::new();
        for row in lost {
            if let Ok(id) = self.id(row) {
                ids.insert(row, id);
            }
        }
        if (ids.len() as u64) < lost.len()
            && let Ok(Some(index)) = self.metadata_index()
        {
            let order = OrderBy { key: Key::Id, direction: Direction::Ascending };
            // An index that turns out to be damaged here tells nothing, and the next filter finds out.
            let sorted = index.sorted_rows(&order, None, usize::MAX, self).unwrap_or_default();
            for (value, row) in sorted.into_iter().filter(|(_, row)| lost.contains(*row)) {
                let id = value.and_then(|value| match value {
                    Value::String(text) => Some(Id::from(text.as_str())),
                    number => number.as_i64().map(Id::Int),
                });
                if let Some(id) = id {
                    ids.entry(row).or_insert(id);
                }
            }
        }
        ids
    }

    /// # Errors
    /// `Corrupt` for a row that is lost, with where the file is damaged.
    pub(crate) fn check_not_lost(&self, row: u32) -> Result<()> {
        match self.damage.get().filter(|damage| damage.lost.contains(row)) {
            None => Ok(()),
            Some(damage) => {
                let offset = damage.problems.first().map_or(0, |(offset, _)| *offset);
                Err(self.blocks.corrupt(offset, "a record changed on the medium"))
            }
        }
    }

    /// Remembers that a derived section cannot be used.
    pub(super) fn note(&self, section: &Range<u64>, offset: u64, what: String) {
        let mut damage = self.damage.get().map_or_else(Damage::default, |damage| (*damage).clone());
        damage.sections.insert(section.start);
        damage.problems.push((offset, what));
        self.damage.set(damage);
    }
}
