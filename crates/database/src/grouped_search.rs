//! Searches whose hits are grouped by a value: the best groups, and the best hits of each.
//!
//! A search finds the best hits, and these may all be of one group. So it is repeated without the
//! groups that have all their hits, and once as many groups are known as were asked for, with
//! those alone that lack some. A round finds at least as many hits as fit into all groups: each
//! round therefore completes a group, and mostly the first one completes all.

use serde_json::Value;

use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::filter::{Filter, Key, Node, Test};
use crate::group_by::RankedGroups;
use crate::prepared::PreparedSearch;
use crate::record::Hit;
use crate::search::{Ranking, SearchOptions};
use crate::snapshot::Snapshot;

/// How hits are grouped.
#[derive(Clone, Copy, Debug)]
pub struct GroupBy<'a> {
    /// Hits with equal values are a group, and those without the key are one, too. An array is one
    /// value.
    pub key: &'a Key,
    /// Hits of a group at most; at least 1.
    pub size: usize,
}

/// A group of hits, best first: its value, `None` where its records lack the key.
pub type Group = (Option<Value>, Vec<Hit>);

type RankedGroup = (Option<Value>, Ranking);

impl Collection {
    /// The best groups, each as good as its best hit, without the first `offset` of them; at most
    /// `options.limit`. Otherwise as [`Collection::search`]; an exact search gives exactly the
    /// groups of all records.
    ///
    /// # Errors
    /// As [`Collection::search`]; `InvalidArgument` also for groups of size 0.
    pub fn search_groups(
        &self,
        query: &[f32],
        options: &SearchOptions<'_>,
        group_by: &GroupBy<'_>,
        offset: usize,
    ) -> Result<Vec<Group>> {
        options.validate()?;
        if group_by.size == 0 {
            return Err(Error::InvalidArgument(
                "the size of a group must be at least 1".to_owned(),
            ));
        }
        self.contain(|| {
            let snapshot = self.snapshot()?;
            let groups = self.ranked_groups(&snapshot, query, options, group_by, offset)?;
            let hits = |(value, ranking): RankedGroup| {
                Ok((value, snapshot.hits(&ranking, self.schema().metric)?))
            };
            groups.into_iter().skip(offset).map(hits).collect()
        })
    }

    /// The best `offset + limit` groups.
    fn ranked_groups(
        &self,
        snapshot: &Snapshot,
        query: &[f32],
        options: &SearchOptions<'_>,
        group_by: &GroupBy<'_>,
        offset: usize,
    ) -> Result<Vec<RankedGroup>> {
        let wanted = offset.saturating_add(options.limit);
        let mut limit = wanted.saturating_mul(group_by.size);
        let mut complete: Vec<RankedGroup> = Vec::new();
        let mut sought = wanted;
        let mut restriction = None;
        while sought > 0 {
            let filter = both(options.filter, restriction.take());
            let round = SearchOptions { limit, filter: filter.as_ref(), ..*options };
            let ranking = PreparedSearch::new(self, snapshot.clone(), &round)?.rank(query)?;
            let exhausted = ranking.len() < limit;
            let mut groups = RankedGroups::new(sought, group_by.size);
            for (score, address) in ranking {
                if groups.is_full() {
                    break;
                }
                let value = snapshot.value(address, group_by.key)?;
                groups.push(value.as_ref(), (score, address));
            }
            let (full, rest): (Vec<_>, Vec<_>) =
                groups.into_groups().into_iter().partition(|(_, hits)| hits.len() == group_by.size);
            let all_known = full.len() + rest.len() == sought;
            complete.extend(full);
            if exhausted || (all_known && rest.is_empty()) {
                complete.extend(rest);
                break;
            }
            restriction = Some(if all_known {
                sought = rest.len();
                one_of(group_by.key, &rest)
            } else {
                sought = wanted - complete.len();
                Node::Not(Box::new(one_of(group_by.key, &complete)))
            });
            limit = limit.saturating_mul(2);
        }
        complete.sort_by(|(_, a), (_, b)| match (a.first(), b.first()) {
            (Some(a), Some(b)) => b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)),
            // A group has a hit.
            _ => std::cmp::Ordering::Equal,
        });
        Ok(complete)
    }
}

/// The records of some groups.
fn one_of(key: &Key, groups: &[RankedGroup]) -> Node {
    let values = groups.iter().filter_map(|(value, _)| value.clone()).collect();
    let mut nodes = vec![Node::Test { key: key.clone(), test: Test::OneOf(values) }];
    if groups.iter().any(|(value, _)| value.is_none()) {
        let exists = Node::Test { key: key.clone(), test: Test::Exists };
        nodes.push(Node::Not(Box::new(exists)));
    }
    Node::Any(nodes)
}

fn both(filter: Option<&Filter>, restriction: Option<Node>) -> Option<Filter> {
    match (filter.map(|filter| filter.root.clone()), restriction) {
        (None, None) => None,
        (Some(root), None) | (None, Some(root)) => Some(Filter::new(root)),
        (Some(root), Some(restriction)) => Some(Filter::new(Node::All(vec![root, restriction]))),
    }
}
