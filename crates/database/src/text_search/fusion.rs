//! Search by vectors and by words at once, fused by reciprocal ranks.

use super::query::TextQuery;
use crate::collection::Collection;
use crate::error::Result;
use crate::fusion::{CONSTANT, LEAST_DEPTH, fuse, validate};
use crate::grouped_search::GroupBy;
use crate::page::Page;
use crate::prepared::PreparedSearch;
use crate::record::Hit;
use crate::schema::Metric;
use crate::search::{Ranking, SearchOptions};
use crate::snapshot::Snapshot;

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
        Self { dense: 1.0, text: 1.0, constant: CONSTANT }
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
        validate(&[fusion.dense, fusion.text], fusion.constant)?;
        self.view().note_search_by_words();
        self.contain(|| {
            let snapshot = self.snapshot()?;
            let (limit, within) = (options.limit, options.within);
            let page = Page { offset, limit, within, metric: Metric::Dot };
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
        Ok(fuse([(dense, fusion.dense), (text, fusion.text)], fusion.constant, reach))
    }
}
