//! How soon rows get into a graph, and when writers wait for that.
//!
//! While nobody searches, a load goes on as fast as the log takes it, and is indexed in one go once
//! it pauses. While somebody does, every row that is in no graph yet makes searches slower: they
//! are merged as soon as a graph is worth it, and writers who are faster than that wait.

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::Snapshot;
use crate::state::{LiveSegment, State};
use crate::store::Store;

/// How long a merge waits for more segments to come: a load in one go is then merged once.
const MERGE_DELAY: Duration = Duration::from_secs(1);

/// Rows in no graph from which on a merge does not wait any more, though nobody searches: their codes
/// take memory.
const MOST_WAITING_ROWS: u64 = 1 << 18;

/// Rows in no graph from which on writers wait while somebody searches.
const MOST_ROWS_BESIDE_SEARCHES: u64 = 1 << 15;

/// How long a writer of one row waits at most for that. So writes are slowed down to the pace of a
/// graph's building, more or less, and none is held up for all of it.
const DELAY_A_ROW: Duration = Duration::from_micros(200);

/// How long a writer of so many rows waits for merges at most.
pub(crate) fn longest_delay(rows: usize) -> Duration {
    DELAY_A_ROW.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX))
}

/// Rows of segments that are in no graph.
fn unindexed_rows(state: &State) -> u64 {
    let unindexed = state.segments().iter().filter(|live| !live.segment.is_indexed());
    unindexed.map(LiveSegment::live_rows).sum()
}

impl Store {
    /// Has the background do what there is to do.
    pub(crate) fn look_after(self: &Arc<Self>) -> crate::error::Result<()> {
        let (flush, merge) = {
            let state = self.state()?;
            let is_due = self.next_merge(&state).is_some() || self.lacks_field_graphs(&state);
            let merge = is_due.then(|| self.merge_delay(&state));
            (state.heads().len() > 1 || self.is_over_limits(&state, 1), merge)
        };
        if flush {
            self.upkeep().flush_soon(self);
        }
        if let Some(delay) = merge {
            self.upkeep().merge_soon(self, delay);
        }
        Ok(())
    }

    fn merge_delay(&self, state: &State) -> Duration {
        let rows = unindexed_rows(state);
        let is_due = match self.view().is_searched() {
            true => rows >= u64::from(self.index().minimum_rows),
            false => rows >= MOST_WAITING_ROWS,
        };
        if is_due { Duration::ZERO } else { MERGE_DELAY }
    }

    /// Has the background make the codes that a search misses: while nobody searches, they are not
    /// worth their time.
    pub(crate) fn code_for_searches(self: &Arc<Self>, snapshot: &Snapshot) {
        let index = self.index();
        if snapshot.segments.iter().any(|live| live.segment.wants_codes(&index)) {
            self.upkeep().flush_soon(self);
        }
    }

    /// Records in a head before it becomes a segment: while somebody searches no more than a segment
    /// needs to be coded, since a scan of its codes is faster than one of the head.
    pub(crate) fn head_records(&self) -> usize {
        let records = self.limits().head_records;
        match self.view().is_searched() {
            true => records.min(self.index().minimum_rows as usize),
            false => records,
        }
    }

    /// Whether writers are to wait until a merge has put more rows into a graph.
    pub(crate) fn is_behind(&self, state: &State) -> bool {
        self.view().is_searched()
            && unindexed_rows(state) >= MOST_ROWS_BESIDE_SEARCHES
            && self.next_merge(state).is_some()
    }
}
