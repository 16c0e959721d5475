//! Exact search: every live row is scored, on all cores of the ambient thread pool.

use kernels::TopK;
use rayon::prelude::*;

use crate::filter::Filter;
use crate::score::Query;
use crate::state::Snapshot;
use crate::vectors::Slab;

/// Rows scored at a time: their vectors stay in the cache while each query meets them.
const BLOCK_ROWS: usize = 256;

/// Queries that go over the vectors together.
const BLOCK_QUERIES: usize = 16;

/// What to find.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions<'a> {
    /// How many records at most; at least 1.
    pub limit: usize,
    /// Only these records, or all.
    pub filter: Option<&'a Filter>,
}

impl SearchOptions<'_> {
    /// The best `limit` of all records.
    pub fn new(limit: usize) -> Self {
        Self { limit, filter: None }
    }
}

/// Scores and their slots, best first.
pub(crate) type Ranking = Vec<(f32, u32)>;

/// The best slots for each query. Equal scores go to the smaller
/// slot, so the answer does not depend on how the work was divided.
pub(crate) fn search(
    snapshot: &Snapshot,
    queries: &[Query<'_>],
    options: SearchOptions<'_>,
) -> Vec<Ranking> {
    queries
        .par_chunks(BLOCK_QUERIES)
        .flat_map_iter(|queries| {
            let empty = || queries.iter().map(|_| TopK::new(options.limit)).collect();
            let best: Vec<TopK> = snapshot
                .vectors
                .slabs()
                .fold(empty, |mut best: Vec<TopK>, (first_slot, slab)| {
                    if let Some(slab) = slab {
                        search_slab(snapshot, queries, options.filter, first_slot, slab, &mut best);
                    }
                    best
                })
                .reduce(empty, |mut best, other| {
                    for (best, other) in best.iter_mut().zip(other) {
                        best.merge(other);
                    }
                    best
                });
            best.into_iter().map(TopK::into_sorted)
        })
        .collect()
}

fn search_slab(
    snapshot: &Snapshot,
    queries: &[Query<'_>],
    filter: Option<&Filter>,
    first_slot: u32,
    slab: &Slab,
    best: &mut [TopK],
) {
    let mut scores = [0.0; BLOCK_ROWS];
    for first_row in (0..slab.rows()).step_by(BLOCK_ROWS) {
        let rows = first_row..slab.rows().min(first_row + BLOCK_ROWS);
        let scores = &mut scores[..rows.len()];
        for (query, best) in queries.iter().zip(best.iter_mut()) {
            query.score_rows(slab.values(rows.clone()), slab.inverse_norms(rows.clone()), scores);
            for (&score, row) in scores.iter().zip(rows.clone()) {
                let slot = first_slot + row as u32;
                // A filter costs more than a score, so only what would enter is put to it.
                if score >= best.threshold()
                    && slab.is_live(row)
                    && filter.is_none_or(|filter| snapshot.matches(slot, filter))
                {
                    best.push(score, slot);
                }
            }
        }
    }
}
