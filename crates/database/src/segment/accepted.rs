//! Rows that filters accept, kept for the next searches with the same filters.
//!
//! A segment never changes, and neither does what a filter accepts of it; which rows are dead is
//! looked at apart. A service asks with few filters again and again (a tenant, a language), each of
//! which costs more to evaluate than a search does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use super::Segment;
use crate::error::Result;
use crate::filter::Filter;
use crate::graph::ChosenRows;

/// Filters that are remembered of a segment. What they accept takes two bytes a row at most, and its
/// codes some 60 bytes for each of a bounded number of rows.
const MOST_FILTERS: usize = 8;

/// What a filter accepts of a segment, dead rows included.
pub(crate) struct Accepted {
    rows: RoaringBitmap,
    /// A bit a row: a walk asks for one at random, which takes a search in a bitmap.
    bits: Box<[u64]>,
    searches: AtomicU32,
    codes: RwLock<Option<Arc<ChosenRows>>>,
}

impl Accepted {
    fn new(rows: RoaringBitmap, count: u32) -> Self {
        let mut bits = vec![0u64; count.div_ceil(64) as usize].into_boxed_slice();
        for row in &rows {
            bits[row as usize / 64] |= 1 << (row % 64);
        }
        Self { rows, bits, searches: AtomicU32::new(0), codes: RwLock::new(None) }
    }

    pub(crate) fn rows(&self) -> &RoaringBitmap {
        &self.rows
    }

    /// # Panics
    /// The segment has no such row.
    #[inline]
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.bits[row as usize / 64] & 1 << (row % 64) != 0
    }

    /// Codes of the rows, once they were made.
    pub(crate) fn codes(&self) -> Option<Arc<ChosenRows>> {
        self.codes.read().clone()
    }

    /// Counts a search that codes would have served; says of one of them, the one after so many,
    /// that it shall make them.
    pub(crate) fn note_search(&self, many: u32) -> bool {
        self.searches.fetch_add(1, Ordering::Relaxed) == many
    }

    pub(crate) fn set_codes(&self, codes: ChosenRows) -> Arc<ChosenRows> {
        self.codes.write().insert(Arc::new(codes)).clone()
    }

    fn memory_bytes(&self) -> u64 {
        let codes = self.codes.read().as_ref().map_or(0, |codes| codes.memory_bytes());
        (self.rows.serialized_size() + size_of_val(&*self.bits)) as u64 + codes
    }
}

/// The filters that were asked for last, the last one at the end.
#[derive(Default)]
pub(super) struct KnownFilters(Mutex<Vec<(Box<str>, Arc<Accepted>)>>);

impl Segment {
    /// The rows that a filter accepts.
    ///
    /// # Errors
    /// As [`Segment::matching`].
    pub(crate) fn accepted(&self, filter: &Filter) -> Result<Arc<Accepted>> {
        let evaluate = || {
            let rows = self.matching(filter, None)?;
            Ok(Arc::new(Accepted::new(rows, self.rows())))
        };
        let Some(name) = filter.name() else {
            return evaluate();
        };
        {
            let mut known = self.filters.0.lock();
            if let Some(place) = known.iter().rposition(|(other, _)| **other == *name) {
                known[place..].rotate_left(1);
                return Ok(known[known.len() - 1].1.clone());
            }
        }
        // Not under the lock: other filters need not wait. Who is sooner with this one makes the same.
        let accepted: Arc<Accepted> = evaluate()?;
        let mut known = self.filters.0.lock();
        if known.len() == MOST_FILTERS {
            known.remove(0);
        }
        known.push((name.into(), accepted.clone()));
        Ok(accepted)
    }

    /// Bytes of memory that remembered filters take.
    pub(crate) fn accepted_bytes(&self) -> u64 {
        let known = self.filters.0.lock();
        known.iter().map(|(name, accepted)| name.len() as u64 + accepted.memory_bytes()).sum()
    }
}
