//! The best rows of a graph for a query.

use super::fine_rows::FineRows;
use super::open::{Graph, Region};
use super::query::Query;
use super::walk::{Scratch, WalkOptions, walk};

/// What a search gives and how hard it tries.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions {
    /// The most rows to give.
    pub limit: usize,
    /// Rows that are kept in sight and, in the end, all visited; at least `limit` are. Only rows
    /// that may be returned count. More takes longer and misses less.
    pub effort: usize,
    /// Records that are requested before they are used: 2 for memory, more for disks.
    pub ahead: usize,
}

impl SearchOptions {
    /// The defaults for so many rows of vectors whose codes say this many of their numbers.
    pub fn new(limit: usize, coded: usize) -> Self {
        Self { limit, effort: default_effort(limit, coded), ahead: 2 }
    }
}

/// The effort of a search that was not told otherwise, by the numbers of a vector that a code has
/// bits for. Codes that say less estimate worse, so that more rows must be in sight.
pub fn default_effort(limit: usize, coded: usize) -> usize {
    let scarcity = (384.0 / coded as f64).clamp(1.0, 4.0);
    (limit + limit / 2).max((64.0 * scarcity) as usize)
}

/// The effort of a walk that stands for `effort` in one without a filter and without codes of all
/// rows.
///
/// Where a filter accepts a tenth of the rows, the ten best of them are among the hundred best of all
/// or so: of these a walk finds nearly all with far fewer than 6.4 times as many in sight, which it
/// takes to find the ten best of all. With codes of all rows a walk needs still less.
pub fn filtered_effort(effort: usize, limit: usize, share: f64, has_codes: bool) -> usize {
    let part = share.clamp(0.0, 1.0).sqrt().max(LEAST_PART);
    let part = if has_codes && share < 1.0 { part * CODED_PART } else { part };
    ((effort as f64 * part) as usize).max(limit + limit / 2)
}

/// The default effort of a walk that has codes of all rows, where it is `effort` without: finds as
/// much.
pub fn coded_effort(effort: usize, limit: usize) -> usize {
    (effort * 3 / 4).max(limit + limit / 2)
}

/// The effort of a walk through one of several graphs, which has this part of their rows, where it is
/// `effort` if it has all.
///
/// The best rows of all are shared out among the graphs, so one with a tenth of the rows has one of the
/// ten best, if rows do not lie together that were written together: [`is_short`] tells afterwards.
pub fn shared_effort(effort: usize, limit: usize, share: f64) -> usize {
    let part = share.clamp(0.0, 1.0).sqrt().max(LEAST_PART);
    ((effort as f64 * part) as usize).max(limit + limit / 2).min(effort)
}

/// Whether a walk of this effort, where the whole one is `whole`, found so many of the `limit` best rows
/// that it may have missed others of them.
pub fn is_short(effort: usize, whole: usize, found: usize, limit: usize) -> bool {
    effort < whole && (found + 1) * whole > effort * limit
}

/// No filter, and no sharing, makes the effort less than this part.
const LEAST_PART: f64 = 0.45;

/// What codes of all rows make of that.
const CODED_PART: f64 = 0.75;

/// Rows in sight altogether, as a multiple of the effort: a search whose filter passes fewer than
/// this part of what it sees is a scan of all rows instead.
const MOST_IN_SIGHT: usize = 32;

impl<R: Region> Graph<R> {
    /// The rows with the best scores that `accept` takes, best first and the smaller row first where
    /// scores are equal. Rows that it refuses are walked through. There are `limit` of them whenever
    /// it takes so many: where it takes hardly any, all rows are scanned.
    pub fn search(
        &self,
        query: &Query<'_>,
        options: &SearchOptions,
        accept: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Vec<(f32, u32)> {
        self.search_with(None, query, options, accept, scratch)
    }

    /// As [`Graph::search`], by the codes of all rows, which this graph made, if there are any: that
    /// finds more with less effort.
    pub fn search_with(
        &self,
        fine: Option<&FineRows>,
        query: &Query<'_>,
        options: &SearchOptions,
        accept: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Vec<(f32, u32)> {
        let limit = options.limit.min(self.count() as usize);
        if limit == 0 {
            return Vec::new();
        }
        let effort = options.effort.max(limit);
        let most = effort.saturating_mul(MOST_IN_SIGHT);
        if let Some(fine) = fine {
            let bounds = (limit, effort, most);
            return match self.walk_finely(fine, query, options, bounds, &accept, scratch) {
                Some(found) if found.len() == limit => found,
                _ => self.scan(query, limit, accept),
            };
        }
        let walk_options = WalkOptions { effort, most, ahead: options.ahead };
        let mut found = Vec::with_capacity(limit + 1);
        let start = self.start(query);
        let visit = |row| {
            let score = self.score(query, row);
            if may_enter(&found, limit, score, row) && accept(row) {
                enter(&mut found, limit, score, row);
            }
            (f64::from(score) * query.key_scale) as f32
        };
        let tables = &query.tables;
        let finished =
            walk(self, self.backend, tables, &start, &walk_options, scratch, &accept, visit);
        if finished && found.len() == limit { found } else { self.scan(query, limit, accept) }
    }

    /// As [`Graph::search`], exactly: scores every row that `accept` takes.
    pub fn scan(
        &self,
        query: &Query<'_>,
        limit: usize,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<(f32, u32)> {
        self.score_all((0..self.count()).filter(|&row| accept(row)), query, limit)
    }

    /// The best of these rows.
    pub(super) fn score_all(
        &self,
        rows: impl Iterator<Item = u32>,
        query: &Query<'_>,
        limit: usize,
    ) -> Vec<(f32, u32)> {
        let mut found = Vec::new();
        for row in rows {
            let score = self.score(query, row);
            if may_enter(&found, limit, score, row) {
                enter(&mut found, limit, score, row);
            }
        }
        found
    }
}

#[inline]
fn better((a_score, a_row): (f32, u32), (b_score, b_row): (f32, u32)) -> bool {
    a_score > b_score || (a_score == b_score && a_row < b_row)
}

#[inline]
pub(super) fn may_enter(found: &[(f32, u32)], limit: usize, score: f32, row: u32) -> bool {
    found.len() < limit || found.last().is_some_and(|&worst| better((score, row), worst))
}

#[inline]
pub(super) fn enter(found: &mut Vec<(f32, u32)>, limit: usize, score: f32, row: u32) {
    if found.len() == limit {
        found.pop();
    }
    let at = found.partition_point(|&other| better(other, (score, row)));
    found.insert(at, (score, row));
}
