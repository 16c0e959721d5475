//! Search by vectors and by words at once, fused by reciprocal ranks (Cormack, Clarke and Büttcher
//! 2009): a record's score is the sum of `weight / (constant + rank)` over the rankings that have it.

use std::collections::BTreeMap;

use kernels::TopK;

use super::page::Page;
use super::query::TextQuery;
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::grouped_search::GroupBy;
use crate::prepared::PreparedSearch;
use crate::record::Hit;
use crate::search::{Ranking, SearchOptions};
use crate::snapshot::Snapshot;
use crate::state::Address;

/// Ranks of each ranking that count at least.
const LEAST_DEPTH: usize = 100;

/// How rankings are fused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fusion {
    /// The weight of the ranking by vectors.
    pub dense: f32,
    /// The weight of the ranking by words.
    pub text: f32,
    /// The larger, the less the first ranks stand out.
    pub constant: f32,
}

impl Default for Fusion {
    fn default() -> Self {
        Self { dense: 1.0, text: 1.0, constant: 60.0 }
    }
}

impl Fusion {
    fn validate(&self) -> Result<()> {
        let numbers = [self.dense, self.text, self.constant];
        let wrong = if numbers.iter().any(|number| !number.is_finite() || *number < 0.0) {
            "weights and the constant of a fusion are finite numbers from 0"
        } else if self.dense + self.text == 0.0 {
            "one of the weights must be above 0"
        } else {
            return Ok(());
        };
        Err(Error::InvalidArgument(wrong.to_owned()))
    }
}

impl Collection {
    /// The records that are best in the ranking by vectors and in that by words, best first, without
    /// the first `offset`. Of each ranking the first `offset + options.limit` count, 100 at least.
    /// Both are of the same moment and with the same filter; `options.within` is about the fused
    /// score. With `group_by`, `offset` and the limit count groups, and of each ranking count as many
    /// as it takes to find so many groups.
    ///
    /// # Errors
    /// As [`Collection::search`] and [`Collection::search_text_by`]; `InvalidArgument` also for a
    /// fusion that makes no sense.
    pub fn search_hybrid(
        &self,
        vector: &[f32],
        query: &TextQuery,
        options: &SearchOptions<'_>,
        fusion: &Fusion,
        group_by: Option<&GroupBy<'_>>,
        offset: usize,
    ) -> Result<Vec<Hit>> {
        options.validate()?;
        fusion.validate()?;
        self.view().note_search_by_words();
        self.contain(|| {
            let snapshot = self.snapshot()?;
            let page = Page { offset, limit: options.limit, within: options.within };
            snapshot.page_of(&page, group_by, &mut |limit| {
                self.rank_fused(&snapshot, vector, query, options, fusion, limit)
            })
        })
    }

    /// The best `reach` by the fused score.
    fn rank_fused(
        &self,
        snapshot: &Snapshot,
        vector: &[f32],
        query: &TextQuery,
        options: &SearchOptions<'_>,
        fusion: &Fusion,
        reach: usize,
    ) -> Result<Ranking> {
        let limit = reach.max(LEAST_DEPTH);
        let options = SearchOptions { limit, within: None, ..*options };
        let dense = PreparedSearch::new(self, snapshot.clone(), &options)?.rank(vector)?;
        let text = snapshot.rank_texts(query, options.filter, options.limit)?;
        let mut scores: BTreeMap<Address, f32> = BTreeMap::new();
        for (ranking, weight) in [(dense, fusion.dense), (text, fusion.text)] {
            for (rank, (_, address)) in (1..).zip(ranking) {
                *scores.entry(address).or_default() += weight / (fusion.constant + rank as f32);
            }
        }
        let mut best = TopK::new(reach);
        // With a weight of 0 a ranking brings nothing in.
        let counting = scores.into_iter().filter(|(_, score)| *score > 0.0);
        counting.for_each(|(address, score)| best.push(score, address));
        Ok(best.into_sorted())
    }
}
