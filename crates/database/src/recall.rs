//! How good a collection's approximate searches are, measured against exact ones.

use std::ops::Range;

use roaring::RoaringBitmap;

use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::score::Query;
use crate::search::{Ranking, SearchOptions};
use crate::snapshot::Snapshot;
use crate::state::Address;
use crate::upkeep::Progress;
use crate::validate::validate_queries;

/// Queries answered between two reports of progress.
const QUERIES_A_REPORT: usize = 64;

impl Collection {
    /// The share of the `limit` nearest records that approximate searches find, 0 to 1, over these
    /// queries. Records exactly as good as the last of them count as found. Takes an exact search a
    /// query, on the ambient thread pool.
    ///
    /// # Errors
    /// As [`Collection::search_batch`]; `InvalidArgument` where there is no query or no record,
    /// `Interrupted` where `progress` said so.
    pub fn recall(
        &self,
        queries: &[f32],
        options: &SearchOptions<'_>,
        progress: Progress<'_>,
    ) -> Result<f64> {
        let (dimension, metric) = (self.schema().dimension, self.schema().metric);
        validate_queries(queries, queries.len() / dimension, dimension, metric)?;
        self.contain(|| self.recall_of(&self.snapshot()?, queries, &[], options, progress))
    }

    /// As [`Collection::recall`], with the vectors of `sample` records as queries, spread evenly
    /// over the collection. Each is left out of its own results.
    ///
    /// # Errors
    /// As [`Collection::recall`].
    pub fn recall_of_sample(
        &self,
        sample: usize,
        options: &SearchOptions<'_>,
        progress: Progress<'_>,
    ) -> Result<f64> {
        self.contain(|| {
            let snapshot = self.snapshot()?;
            let addresses = evenly(&snapshot.select(None)?, sample);
            let mut queries = Vec::with_capacity(addresses.len() * self.schema().dimension);
            for address in &addresses {
                if let Some(record) = snapshot.record(*address)? {
                    queries.extend(record.vector);
                }
            }
            self.recall_of(&snapshot, &queries, &addresses, options, progress)
        })
    }

    fn recall_of(
        &self,
        snapshot: &Snapshot,
        queries: &[f32],
        own: &[Address],
        options: &SearchOptions<'_>,
        progress: Progress<'_>,
    ) -> Result<f64> {
        let (dimension, metric) = (self.schema().dimension, self.schema().metric);
        options.validate()?;
        let limit = options.limit + usize::from(!own.is_empty());
        let asked = SearchOptions { limit, ..*options };
        let plan = |exact| {
            let options = SearchOptions { exact: exact || options.exact, ..asked };
            self.plan(snapshot.clone(), &options)
        };
        let (approximate, exact) = (plan(false)?, plan(true)?);
        let queries: Vec<Query<'_>> =
            queries.chunks_exact(dimension).map(|query| Query::new(query, metric)).collect();
        measure(queries.len(), own, limit, progress, &|block, is_exact| {
            let plan = if is_exact { &exact } else { &approximate };
            plan.run(&queries[block], options.filter, dimension)
        })
    }
}

/// The share of what exact searches find that the others find, for so many queries, block by block.
/// `rank` answers a block of them with the best `limit`, exactly or not; where a query is that of a
/// record's `own`, that one is left out of its results.
///
/// # Errors
/// `InvalidArgument` where exact searches find nothing, `Interrupted` where `progress` said so, and what
/// `rank` says.
pub(crate) fn measure(
    queries: usize,
    own: &[Address],
    limit: usize,
    progress: Progress<'_>,
    rank: &dyn Fn(Range<usize>, bool) -> Result<Vec<Ranking>>,
) -> Result<f64> {
    let (mut found, mut wanted) = (0, 0);
    for first in (0..queries).step_by(QUERIES_A_REPORT) {
        if progress(first as u64, queries as u64).is_break() {
            return Err(Error::Interrupted { doing: "measuring the recall".to_owned() });
        }
        let block = first..queries.min(first + QUERIES_A_REPORT);
        let (approximate, exact) = (rank(block.clone(), false)?, rank(block, true)?);
        for (row, (approximate, exact)) in approximate.into_iter().zip(exact).enumerate() {
            let (approximate, exact) = match own.get(first + row) {
                None => (approximate, exact),
                Some(own) => (without(approximate, *own, limit), without(exact, *own, limit)),
            };
            wanted += exact.len();
            let last = exact.last().map_or(f32::INFINITY, |(score, _)| *score);
            found +=
                approximate.iter().filter(|(score, _)| *score >= last).count().min(exact.len());
        }
    }
    match wanted {
        0 => Err(Error::InvalidArgument("there is nothing to measure a recall with".to_owned())),
        _ => Ok(found as f64 / wanted as f64),
    }
}

/// What is left of the best `limit` without one record, which may not be among them.
fn without(mut best: Ranking, own: Address, limit: usize) -> Ranking {
    best.retain(|(_, address)| *address != own);
    best.truncate(limit - 1);
    best
}

/// So many of the rows of all parts, or all, spread evenly.
pub(crate) fn evenly(parts: &[RoaringBitmap], sample: usize) -> Vec<Address> {
    let total: u64 = parts.iter().map(RoaringBitmap::len).sum();
    let sample = (sample as u64).min(total);
    let mut addresses = Vec::with_capacity(sample as usize);
    let (mut part, mut before) = (0, 0);
    for number in 0..sample {
        let position = (u128::from(number) * u128::from(total) / u128::from(sample)) as u64;
        while position - before >= parts[part].len() {
            before += parts[part].len();
            part += 1;
        }
        // The position lies inside this part, whose rows are fewer than 2^32.
        if let Some(row) = parts[part].select((position - before) as u32) {
            addresses.push(Address::new(part, row));
        }
    }
    addresses
}
