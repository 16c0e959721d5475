//! A walk that goes by the four-bit codes of rows, and reads the vectors of the best ones at its end.
//!
//! What the bits in a node say of its neighbours only decides which of them are looked at: their own
//! codes say where they come in the pool. A node's vector is not read when it is visited.

use kernels::{FineQuery, NEIGHBOURS_PER_BLOCK};

use super::fine_rows::{FineRows, StartScratch};
use super::open::{Graph, Region};
use super::query::Query;
use super::search::SearchOptions;
use super::walk::{Nodes, Scratch};

/// Memory for a walk by codes, used again by the next one.
#[derive(Debug, Default)]
pub(super) struct FineScratch {
    query: FineQuery,
    start: StartScratch,
    /// Rows whose codes were requested, and will be used while those of the next ones come.
    requested: Vec<u32>,
    coming: Vec<u32>,
}

/// A row is not scored where its score would have to be further from what its code says than so many
/// standard errors.
const STANDARD_ERRORS: f32 = 1.5;

impl<R: Region> Graph<R> {
    /// Walks by the codes of the rows. `None` where the walk met too few rows that `accept` takes.
    pub(super) fn walk_finely(
        &self,
        fine: &FineRows,
        query: &Query<'_>,
        options: &SearchOptions,
        (limit, effort, most): (usize, usize, usize),
        accept: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Option<Vec<(f32, u32)>> {
        let (backend, codes) = (self.backend, &fine.codes);
        scratch.begin(self.count());
        let mut memory = std::mem::take(&mut scratch.fine);
        let FineScratch { query: fine_query, start, requested, coming } = &mut memory;
        fine_query.prepare(backend, &query.point);
        requested.clear();
        coming.clear();
        let rank = |rows: &mut Vec<u32>, scratch: &mut Scratch| {
            for row in rows.drain(..) {
                let key = codes.similarity(backend, fine_query, query.entry_base, row);
                if key > scratch.threshold(effort) {
                    scratch.insert(backend, key, row, accept(row), effort, false);
                }
            }
        };
        fine.start(self, query, start, |row| {
            if scratch.mark(row) {
                codes.request(backend, row);
                requested.push(row);
            }
        });
        rank(requested, scratch);
        loop {
            while scratch.requested.len() < options.ahead.max(1) {
                let Some(next) = scratch.next() else { break };
                self.request_edges(next.1);
                scratch.requested.push_back(next);
            }
            let Some((key, node)) = scratch.requested.pop_front() else {
                if requested.is_empty() {
                    break;
                }
                rank(requested, scratch);
                continue;
            };
            if scratch.in_sight() > most {
                scratch.fine = memory;
                return None;
            }
            self.check(node);
            for block in self.blocks(node) {
                let mut estimates = [0.0f32; NEIGHBOURS_PER_BLOCK];
                let threshold = scratch.threshold(effort);
                let mut above = backend.estimate_neighbours(
                    &query.tables,
                    &block.neighbours,
                    key,
                    threshold,
                    &mut estimates,
                );
                while above != 0 {
                    let row = block.id(above.trailing_zeros() as usize);
                    above &= above - 1;
                    // A number beyond the end is damage.
                    if row < self.count() && scratch.mark(row) {
                        codes.request(backend, row);
                        coming.push(row);
                    }
                }
            }
            rank(requested, scratch);
            std::mem::swap(requested, coming);
        }
        scratch.fine = memory;
        let slack = STANDARD_ERRORS * codes.standard_error(query);
        Some(self.score_best(scratch.accepted_rows(), query, limit, slack))
    }
}
