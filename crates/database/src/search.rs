//! Exact search over every live row, on all cores of the ambient thread pool.
//!
//! A scan is bound by memory, so it reads one byte a number where it can: codes give a ceiling for
//! each row's score, and only the rows whose ceiling reaches the k-th best score so far are scored
//! on their vectors. The ceilings are proven (see `kernels::QuantizedQuery`), so the result is that
//! of scoring every row.

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
    let mut ceilings = [0.0; BLOCK_ROWS];
    let mut scores = [0.0; BLOCK_ROWS];
    for first_row in (0..slab.rows()).step_by(BLOCK_ROWS) {
        let rows = first_row..slab.rows().min(first_row + BLOCK_ROWS);
        let codes = slab.codes(rows.clone());
        for (query, best) in queries.iter().zip(best.iter_mut()) {
            let enters = |row: usize| {
                slab.is_live(row)
                    && filter.is_none_or(|filter| snapshot.matches(first_slot + row as u32, filter))
            };
            let inverse_norms = slab.inverse_norms(rows.clone());
            let Some((codes, factors)) = codes else {
                let scores = &mut scores[..rows.len()];
                query.score_rows(slab.values(rows.clone()), inverse_norms, scores);
                for (&score, row) in scores.iter().zip(rows.clone()) {
                    // A filter costs more than a score, so only what would enter is put to it.
                    if score >= best.threshold() && enters(row) {
                        best.push(score, first_slot + row as u32);
                    }
                }
                continue;
            };
            let ceilings = &mut ceilings[..rows.len()];
            query.ceilings(codes, factors, inverse_norms, ceilings);
            for (&ceiling, row) in ceilings.iter().zip(rows.clone()) {
                // NaN is not less than anything: such a row is scored.
                if ceiling < best.threshold() || !enters(row) {
                    continue;
                }
                let mut score = [0.0];
                let inverse_norm = slab.inverse_norms(row..row + 1);
                query.score_rows(slab.values(row..row + 1), inverse_norm, &mut score);
                best.push(score[0], first_slot + row as u32);
            }
        }
    }
}
