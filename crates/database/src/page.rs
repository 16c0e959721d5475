//! What is shown of a ranking by words or in a field, or of one that is fused.

use crate::error::{Error, Result};
use crate::group_by::RankedGroups;
use crate::grouped_search::GroupBy;
use crate::record::Hit;
use crate::schema::Metric;
use crate::score::{inner, visible};
use crate::search::Ranking;
use crate::snapshot::Snapshot;

/// Which hits, or groups of them, of a ranking.
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    /// The least score, or the greatest distance.
    pub(crate) within: Option<f32>,
    /// How scores are shown.
    pub(crate) metric: Metric,
}

impl Snapshot {
    /// The hits of a page. `rank` gives the best so many of all, which are the first of any longer
    /// ranking. Groups are taken from a ranking that grows until it has as many as were asked for.
    pub(crate) fn page_of(
        &self,
        page: &Page,
        group_by: Option<&GroupBy<'_>>,
        rank: &mut dyn FnMut(usize) -> Result<Ranking>,
    ) -> Result<Vec<Hit>> {
        let Page { offset, limit, metric, .. } = *page;
        let within = page.within.map(|within| inner(within, metric));
        let reach = offset.saturating_add(limit);
        let mut rank = |limit| {
            let mut ranking = rank(limit)?;
            let is_whole = ranking.len() < limit;
            let before = ranking.len();
            ranking.retain(|(score, _)| within.is_none_or(|within| *score >= within));
            Ok::<_, Error>((is_whole || ranking.len() < before, ranking))
        };
        let shown: Ranking = match group_by {
            None => rank(reach)?.1.into_iter().skip(offset).collect(),
            Some(group_by) => {
                let groups = self.first_groups(reach, group_by, &mut rank)?.into_iter();
                groups.skip(offset).flat_map(|(_, hits)| hits).collect()
            }
        };
        let hits = shown.into_iter();
        let hit = |(score, address)| self.hit(address, visible(score, metric)).transpose();
        hits.filter_map(hit).collect()
    }

    /// The first groups of a ranking; `rank` also says whether there is no more.
    fn first_groups(
        &self,
        wanted: usize,
        group_by: &GroupBy<'_>,
        rank: &mut dyn FnMut(usize) -> Result<(bool, Ranking)>,
    ) -> Result<Vec<(Option<serde_json::Value>, Ranking)>> {
        if group_by.size == 0 {
            let reason = "the size of a group must be at least 1".to_owned();
            return Err(Error::InvalidArgument(reason));
        }
        let mut limit = wanted.saturating_mul(group_by.size);
        loop {
            let (is_whole, ranking) = rank(limit)?;
            let mut groups = RankedGroups::new(wanted, group_by.size);
            for (score, address) in ranking {
                if groups.is_full() {
                    break;
                }
                let value = self.value(address, group_by.key)?;
                groups.push(value.as_ref(), (score, address));
            }
            if is_whole || groups.is_full() {
                return Ok(groups.into_groups());
            }
            limit = limit.saturating_mul(4);
        }
    }
}
