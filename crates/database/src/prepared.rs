//! A search made ready, and what it finds.

use rayon::prelude::*;

use crate::collection::Collection;
use crate::error::Result;
use crate::record::{Hit, ScoredId};
use crate::schema::{Metric, Schema};
use crate::score::{Query, visible};
use crate::search::{Plan, Ranking, SearchOptions};
use crate::snapshot::Snapshot;
use crate::validate::{validate_queries, validate_query};

/// A search made ready: it works on the collection as it was then, however often it is run.
pub struct PreparedSearch<'a> {
    collection: &'a Collection,
    options: SearchOptions<'a>,
    plan: Plan,
    dimension: usize,
    metric: Metric,
}

impl<'a> PreparedSearch<'a> {
    /// # Errors
    /// `InvalidArgument` for options that make no sense, `Corrupt` where a filter cannot be
    /// evaluated because a segment is damaged.
    pub(crate) fn new(
        collection: &'a Collection,
        snapshot: Snapshot,
        options: &SearchOptions<'a>,
    ) -> Result<Self> {
        let Schema { dimension, metric, .. } = *collection.schema();
        let plan = collection.plan(snapshot, options)?;
        Ok(Self { collection, options: *options, plan, dimension, metric })
    }

    /// Does something with the plan; with one made anew, as often as damage comes to light.
    fn contain<T>(&self, run: impl Fn(&Plan) -> Result<T>) -> Result<T> {
        let mut snapshot = self.plan.snapshot().clone();
        let mut outcome = run(&self.plan);
        loop {
            match outcome {
                Ok(found) if !snapshot.is_outdated() => return Ok(found),
                Err(error) if !snapshot.learn_from(&error) => return Err(error),
                _ => {}
            }
            self.collection.look_after_damage()?;
            snapshot = snapshot.renewed();
            outcome =
                self.collection.plan(snapshot.clone(), &self.options).and_then(|plan| run(&plan));
        }
    }

    /// Whether so many queries are answered sooner by the calling thread alone; otherwise they are
    /// answered by the ambient thread pool.
    pub fn is_quick(&self, queries: usize) -> bool {
        self.plan.is_quick(queries, self.dimension)
    }

    /// See [`Collection::search`](crate::Collection::search).
    ///
    /// # Errors
    /// `Dimension`, `NonFinite` and, for packed bits, `InvalidArgument` for an unusable query, `Corrupt` or `Io` where a record cannot
    /// be read back from disk.
    pub fn search(&self, query: &[f32]) -> Result<Vec<Hit>> {
        self.search_from(query, 0)
    }

    /// As [`PreparedSearch::search`], without the first `offset` hits, whose texts are not read.
    /// They count for the limit.
    ///
    /// # Errors
    /// As `search`.
    pub fn search_from(&self, query: &[f32], offset: usize) -> Result<Vec<Hit>> {
        self.contain(|plan| {
            let ranking = self.rank_by(plan, query)?;
            plan.snapshot().hits(ranking.get(offset..).unwrap_or_default(), self.metric)
        })
    }

    /// The hits' scores and places, best first.
    pub(crate) fn rank(&self, query: &[f32]) -> Result<Ranking> {
        self.rank_by(&self.plan, query)
    }

    fn rank_by(&self, plan: &Plan, query: &[f32]) -> Result<Ranking> {
        validate_query(query, self.dimension, self.metric)?;
        let query = [Query::new(query, self.metric)];
        let found = plan.run(&query, self.options.filter, self.dimension)?;
        Ok(found.into_iter().flatten().collect())
    }

    /// See [`Collection::search_batch`](crate::Collection::search_batch).
    ///
    /// # Errors
    /// `Dimension` where `queries` is not `count` vectors, `NonFinite` naming the first unusable
    /// query, `Corrupt`.
    pub fn search_batch(&self, queries: &[f32], count: usize) -> Result<Vec<Vec<ScoredId>>> {
        validate_queries(queries, count, self.dimension, self.metric)?;
        let queries: Vec<Query<'_>> = queries
            .chunks_exact(self.dimension)
            .map(|query| Query::new(query, self.metric))
            .collect();
        self.contain(|plan| {
            let found = plan.run(&queries, self.options.filter, self.dimension)?;
            let scored = |ranking: Ranking| -> Result<Vec<ScoredId>> {
                let snapshot = plan.snapshot();
                snapshot.expect(ranking.iter().map(|&(_, address)| address));
                let scored = |(score, address)| {
                    let id = snapshot.id(address).transpose()?;
                    Some(id.map(|id| ScoredId { id, score: visible(score, self.metric) }))
                };
                ranking.into_iter().filter_map(scored).collect()
            };
            match plan.is_quick(count, self.dimension) {
                true => found.into_iter().map(scored).collect(),
                // Reading ids waits for memory, and would hold up all threads but one.
                false => found.into_par_iter().map(scored).collect(),
            }
        })
    }
}
