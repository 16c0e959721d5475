//! Rows of a graph that were chosen by something else than their vectors, coded once more, together.
//!
//! A walk that may return one row in ten looks at ten times as many. Where the same rows are asked
//! for again and again, their codes are laid side by side: one bit a coordinate, of which 32 are
//! scanned in a tenth of the time of a visit, and four, which say which of the best by these have
//! their vectors read.

use kernels::{FineQuery, SortedPairs};

use super::best_estimates::{BestEstimates, CentredBlocks};
use super::fine_codes::FineCodes;
use super::open::{Graph, Region};
use super::query::Query;
use super::search::{SearchOptions, enter, may_enter};

/// Rows with the best estimates by one bit a coordinate that are looked at by four, as a multiple of
/// the effort.
const EFFORTS: usize = 3;

/// A row's vector is not read where its score would have to be further from what four bits a
/// coordinate say than so many standard errors.
const STANDARD_ERRORS: f32 = 3.0;

/// Rows that are requested before they are looked at.
const AHEAD: usize = 8;

/// Rows that are coded at a time: bounds the memory.
const ROWS_AT_ONCE: usize = 256;

/// Codes of some rows of a graph, in memory.
pub struct ChosenRows {
    rows: Vec<u32>,
    blocks: CentredBlocks,
    codes: FineCodes,
}

impl ChosenRows {
    /// Bytes of memory.
    pub fn memory_bytes(&self) -> u64 {
        size_of_val(&*self.rows) as u64 + self.blocks.memory_bytes() + self.codes.memory_bytes()
    }
}

impl<R: Region> Graph<R> {
    /// Codes these rows, on the calling thread: some microseconds a row. Needs memory for a copy of
    /// their vectors meanwhile.
    ///
    /// # Panics
    /// One of them is not a row of the graph.
    pub fn choose(&self, rows: &[u32]) -> ChosenRows {
        let mut codes = FineCodes::new(rows.len(), self.header.layout.padded);
        for rows in rows.chunks(ROWS_AT_ONCE) {
            codes.extend(self.backend, &self.points_of(rows));
        }
        let order: Vec<u32> = (0..rows.len() as u32).collect();
        let blocks = self.centred_blocks(&self.points_of(rows), &order, |index| index);
        ChosenRows { rows: rows.to_vec(), blocks, codes }
    }

    /// The rows with the best scores among those of `chosen`, which this graph made, that `accept`
    /// takes; otherwise as [`Graph::search`]. Nearly always all of the best: one is missing if codes
    /// say much too little of it.
    pub fn search_chosen(
        &self,
        chosen: &ChosenRows,
        query: &Query<'_>,
        options: &SearchOptions,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<(f32, u32)> {
        let backend = self.backend;
        let limit = options.limit.min(chosen.rows.len());
        if limit == 0 {
            return Vec::new();
        }
        let row_of = |index: u32| chosen.rows[index as usize];
        let slack = STANDARD_ERRORS * chosen.codes.standard_error(query);
        // Numbers so large that there are no estimates.
        if !slack.is_finite() || !query.entry_base.is_finite() {
            return self.score_all(
                chosen.rows.iter().copied().filter(|&row| accept(row)),
                query,
                limit,
            );
        }
        let effort = options.effort.max(limit).saturating_mul(EFFORTS);
        let mut pairs = SortedPairs::default();
        let mut coarse = BestEstimates::new(backend, effort, &mut pairs);
        coarse.scan(query, &chosen.blocks, chosen.blocks.all(), |index| accept(row_of(index)));
        let coarse = coarse.numbers();
        let mut fine_query = FineQuery::default();
        fine_query.prepare(backend, &query.point);
        let mut fine = SortedPairs::default();
        coarse.iter().take(AHEAD).for_each(|&index| chosen.codes.request(backend, index));
        for (place, &index) in coarse.iter().enumerate() {
            if let Some(&index) = coarse.get(place + AHEAD) {
                chosen.codes.request(backend, index);
            }
            let key = chosen.codes.similarity(backend, &fine_query, query.entry_base, index);
            fine.insert(backend, key, row_of(index));
        }
        let pairs = fine.keys().iter().copied().zip(fine.values().iter().copied());
        self.score_best(pairs, query, limit, slack)
    }

    /// The rows with the best scores, given with what these are about, the greatest first.
    pub(super) fn score_best(
        &self,
        rows: impl Iterator<Item = (f32, u32)> + Clone,
        query: &Query<'_>,
        limit: usize,
        slack: f32,
    ) -> Vec<(f32, u32)> {
        let mut ahead = rows.clone();
        ahead.by_ref().take(limit.max(AHEAD)).for_each(|(_, row)| self.request_vector(row));
        let mut found: Vec<(f32, u32)> = Vec::with_capacity(limit + 1);
        for (key, row) in rows {
            if let Some(&(worst, _)) = found.get(limit - 1)
                && key < (f64::from(worst) * query.key_scale) as f32 - slack
            {
                break;
            }
            if let Some((_, row)) = ahead.next() {
                self.request_vector(row);
            }
            let score = self.score(query, row);
            if may_enter(&found, limit, score, row) {
                enter(&mut found, limit, score, row);
            }
        }
        found
    }
}
