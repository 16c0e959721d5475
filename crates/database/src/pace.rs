//! How soon rows get into a graph, and when writers wait for that.
//!
//! While nobody searches, a load goes on as fast as the log takes it, and is indexed in one go once
//! it pauses. While somebody does, every row that is in no graph yet makes searches slower: they
//! are merged once scanning their codes takes as long as walking through a graph of them, and
//! writers who are faster than that wait, the longer the more there are.

use std::sync::Arc;
use std::time::Duration;

use crate::head::{Head, HeadSnapshot};
use crate::snapshot::Snapshot;
use crate::state::{LiveSegment, State};
use crate::store::Store;

/// How long a merge waits for more segments to come: a load in one go is then merged once.
const MERGE_DELAY: Duration = Duration::from_secs(1);

/// Rows in no graph from which on a merge does not wait any more, though nobody searches: their codes
/// take memory.
const MOST_WAITING_ROWS: u64 = 1 << 18;

/// Rows in no graph from which on a merge does not wait any more while somebody searches. Their codes
/// are scanned in less time than a walk through a graph of them takes.
const LEAST_ROWS_BESIDE_SEARCHES: u64 = 1 << 13;

/// Writers wait from half as many rows in no graph on while somebody searches.
const MANY_ROWS_BESIDE_SEARCHES: u64 = 1 << 13;

/// How long a writer of one row waits for that where there are so many rows, and with the square of
/// their number shorter or longer where there are fewer or more: so there is a pace at which as many
/// rows get into graphs as come, whatever the machine can do, and no writer is held up until all of
/// them are. A writer who is slowed down only then has taken the processors for long before.
const DELAY_A_ROW: Duration = Duration::from_micros(200);

/// A writer of one row waits at most for so many times as long.
const GREATEST_DELAY: f64 = 50.0;

/// No writer waits longer.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How long a writer of so many rows waits where others are in no graph.
fn delay(rows: usize, unindexed: u64) -> Duration {
    let part = unindexed as f64 / MANY_ROWS_BESIDE_SEARCHES as f64;
    let times = if part < 0.5 { 0.0 } else { (part * part).min(GREATEST_DELAY) };
    DELAY_A_ROW.mul_f64(times * rows as f64).min(LONGEST_DELAY)
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
            true => rows >= LEAST_ROWS_BESIDE_SEARCHES.max(self.index().minimum_rows.into()),
            false => rows >= MOST_WAITING_ROWS,
        };
        if is_due { Duration::ZERO } else { MERGE_DELAY }
    }

    /// Has the background make what a search misses: a segment of a head that is larger than those beside
    /// searches, and codes. While nobody searches, they are not worth their time.
    pub(crate) fn prepare_for_searches(self: &Arc<Self>, snapshot: &Snapshot) {
        let index = self.index();
        let lacks_codes = |live: &LiveSegment| live.segment.wants_codes(&index);
        let is_large = |head: &HeadSnapshot| head.vectors.rows() >= self.head_records();
        let head_is_large = snapshot.heads.last().is_some_and(is_large);
        if snapshot.segments.iter().any(lacks_codes)
            || (head_is_large && !self.has_failed_to_flush())
        {
            self.upkeep().flush_soon(self);
        }
    }

    /// Records in a head before it becomes a segment: while somebody searches no more than a segment
    /// needs to be coded, since a scan of its codes is six times as fast as one of the head.
    pub(crate) fn head_records(&self) -> usize {
        let records = self.limits().head_records;
        match self.view().is_searched() {
            true => records.min(self.index().least_coded_rows() as usize),
            false => records,
        }
    }

    /// How long a writer of so many rows is to wait for merges.
    pub(crate) fn delay_for_merges(&self, rows: usize, state: &State) -> Duration {
        if !self.view().is_searched() {
            return Duration::ZERO;
        }
        let in_heads: usize = state.heads().iter().map(Head::len).sum();
        let delay = delay(rows, unindexed_rows(state) + in_heads as u64);
        if delay.is_zero() || self.next_merge(state).is_none() { Duration::ZERO } else { delay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_rows_wait_for_a_graph_the_longer_do_writers() {
        let many = MANY_ROWS_BESIDE_SEARCHES;
        assert_eq!(delay(1000, many / 2 - 1), Duration::ZERO);
        assert_eq!(delay(1000, many / 2), Duration::from_millis(50));
        assert_eq!(delay(1000, many), Duration::from_millis(200));
        assert_eq!(delay(1000, 2 * many), Duration::from_millis(800));
        assert_eq!(delay(1, 1 << 40), DELAY_A_ROW.mul_f64(GREATEST_DELAY));
        assert_eq!(delay(1 << 30, 1 << 40), LONGEST_DELAY);
    }
}
