//! Searching a collection's fields, alone or fused with one another and with the records' own
//! vectors.

use kernels::TopK;
use rayon::prelude::*;

use super::dense_search::DenseSearch;
use super::field::{DenseField, FieldKind, field_named};
use super::segment_fields::FieldIndex;
use super::vectors::FieldVector;
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::fusion::{self, LEAST_DEPTH};
use crate::graph;
use crate::grouped_search::GroupBy;
use crate::page::Page;
use crate::prepared::PreparedSearch;
use crate::record::{Hit, ScoredId};
use crate::schema::Metric;
use crate::score::visible;
use crate::search::{Ranking, SearchOptions};
use crate::snapshot::{Selection, Snapshot};
use crate::sparse_index::SparseScorer;
use crate::sparse_vector::SparseVector;
use crate::state::{Address, LiveSegment};
use crate::validate::validate_query;

/// What a search in a field goes by.
#[derive(Clone, Copy, Debug)]
pub enum FieldQuery<'a> {
    /// A vector of as many numbers as the field's have.
    Dense(&'a [f32]),
    /// A sparse vector: records are found that have an index in common with it.
    Sparse(&'a SparseVector),
}

/// One of the rankings that a fused search is of.
#[derive(Clone, Copy, Debug)]
pub struct FusedQuery<'a> {
    /// The field; `None` for the records' own vectors.
    pub field: Option<&'a str>,
    /// What it goes by.
    pub query: FieldQuery<'a>,
    /// What a place in this ranking counts.
    pub weight: f32,
}

impl Collection {
    /// The records whose vectors in a field match a query best, best first, without the first
    /// `offset`. Records without a vector there are never found. Sparse vectors are searched
    /// exactly, and score by their dot product. With `group_by`, `offset` and the limit count
    /// groups.
    ///
    /// # Errors
    /// `InvalidArgument` for a field that is not there or takes other vectors; otherwise as
    /// [`Collection::search`].
    pub fn search_field(
        &self,
        field: &str,
        query: FieldQuery<'_>,
        options: &SearchOptions<'_>,
        group_by: Option<&GroupBy<'_>>,
        offset: usize,
    ) -> Result<Vec<Hit>> {
        options.validate()?;
        let (number, kind) = self.check_query(field, &query)?;
        let metric = metric_of(kind);
        let page = Page { offset, limit: options.limit, within: options.within, metric };
        self.contain(|| {
            let snapshot = self.snapshot()?;
            snapshot.page_of(&page, group_by, &mut |limit| {
                let options = SearchOptions { limit, ..*options };
                self.rank_field(&snapshot, number, kind, &query, &options)
            })
        })
    }

    /// As [`Collection::search_field`] for many queries, without the texts: one list a query.
    ///
    /// # Errors
    /// As [`Collection::search_field`].
    pub fn search_field_batch(
        &self,
        field: &str,
        queries: &[FieldQuery<'_>],
        options: &SearchOptions<'_>,
    ) -> Result<Vec<Vec<ScoredId>>> {
        options.validate()?;
        let checked = queries.iter().map(|query| self.check_query(field, query));
        checked.collect::<Result<Vec<_>>>()?;
        let (number, kind) = field_named(&self.schema().fields, field)?;
        let metric = metric_of(kind);
        self.contain(|| {
            let snapshot = self.snapshot()?;
            let one = |query: &FieldQuery<'_>| {
                let ranking = self.rank_field(&snapshot, number, kind, query, options)?;
                let mut scored = Vec::with_capacity(ranking.len());
                for (score, address) in ranking {
                    if let Some(within) = options.within
                        && score < crate::score::inner(within, metric)
                    {
                        break;
                    }
                    let score = visible(score, metric);
                    scored.extend(snapshot.id(address)?.map(|id| ScoredId { id, score }));
                }
                Ok(scored)
            };
            queries.par_iter().map(one).collect()
        })
    }

    /// The records that are best in several rankings, best first: each scores the sum, over the
    /// rankings that have it, of `weight / (constant + rank)` (60 for a constant of `None`). Of each
    /// ranking the first `offset + options.limit` count, 100 at least. All are of the same moment and with
    /// the same filter; `options.within` is about the fused score. With `group_by`, `offset` and the
    /// limit count groups.
    ///
    /// # Errors
    /// As [`Collection::search_field`]; `InvalidArgument` also where there are no queries, one of a
    /// field comes twice, or weights make no sense.
    pub fn search_fused(
        &self,
        queries: &[FusedQuery<'_>],
        options: &SearchOptions<'_>,
        constant: Option<f32>,
        group_by: Option<&GroupBy<'_>>,
        offset: usize,
    ) -> Result<Vec<Hit>> {
        options.validate()?;
        let constant = constant.unwrap_or(fusion::CONSTANT);
        let weights: Vec<f32> = queries.iter().map(|query| query.weight).collect();
        fusion::validate(&weights, constant)?;
        for (place, FusedQuery { field, query, .. }) in queries.iter().enumerate() {
            if queries[..place].iter().any(|other| other.field == *field) {
                let reason = "a fused search has one query for a field".to_owned();
                return Err(Error::InvalidArgument(reason));
            }
            if let Some(field) = field {
                self.check_query(field, query)?;
            }
        }
        let page =
            Page { offset, limit: options.limit, within: options.within, metric: Metric::Dot };
        self.contain(|| {
            let snapshot = self.snapshot()?;
            snapshot.page_of(&page, group_by, &mut |reach| {
                let limit = reach.max(LEAST_DEPTH);
                let options = SearchOptions { limit, within: None, ..*options };
                let rankings = queries.iter().map(|query| {
                    Ok((self.rank_fused_query(&snapshot, query, &options)?, query.weight))
                });
                let rankings = rankings.collect::<Result<Vec<_>>>()?;
                Ok(fusion::fuse(rankings, constant, reach))
            })
        })
    }

    fn rank_fused_query(
        &self,
        snapshot: &Snapshot,
        query: &FusedQuery<'_>,
        options: &SearchOptions<'_>,
    ) -> Result<Ranking> {
        match (query.field, query.query) {
            (Some(field), query) => {
                let (number, kind) = field_named(&self.schema().fields, field)?;
                self.rank_field(snapshot, number, kind, &query, options)
            }
            (None, FieldQuery::Dense(vector)) => {
                PreparedSearch::new(self, snapshot.clone(), options)?.rank(vector)
            }
            (None, FieldQuery::Sparse(_)) => Err(Error::InvalidArgument(
                "the records' own vectors are not sparse: give numbers".to_owned(),
            )),
        }
    }

    /// The number and the kind of a field that a query fits.
    fn check_query(&self, field: &str, query: &FieldQuery<'_>) -> Result<(u8, FieldKind)> {
        let (number, kind) = field_named(&self.schema().fields, field)?;
        match (kind, query) {
            (FieldKind::Dense(DenseField { dimension, metric, .. }), FieldQuery::Dense(vector)) => {
                validate_query(vector, dimension, metric)?;
            }
            (FieldKind::Sparse, FieldQuery::Sparse(_)) => {}
            (FieldKind::Dense(_), FieldQuery::Sparse(_)) => {
                let reason = format!("field '{field}' is dense: search it by a vector of numbers");
                return Err(Error::InvalidArgument(reason));
            }
            (FieldKind::Sparse, FieldQuery::Dense(_)) => {
                let reason = format!("field '{field}' is sparse: search it by a sparse vector");
                return Err(Error::InvalidArgument(reason));
            }
        }
        Ok((number, kind))
    }

    /// The best `options.limit`, whatever `options.within` says.
    pub(super) fn rank_field(
        &self,
        snapshot: &Snapshot,
        number: u8,
        kind: FieldKind,
        query: &FieldQuery<'_>,
        options: &SearchOptions<'_>,
    ) -> Result<Ranking> {
        self.view().note_search();
        loop {
            let ranked = match (kind, query) {
                (FieldKind::Dense(field), FieldQuery::Dense(vector)) => {
                    let index = self.index();
                    let effort = options.effort.unwrap_or(match index.search_effort {
                        0 => {
                            let coded = index.build_options(&field.schema()).code_bits;
                            graph::default_effort(options.limit, coded.min(field.dimension))
                        }
                        effort => effort as usize,
                    });
                    let scratches = self.view().scratches();
                    DenseSearch { snapshot, number, field, options, effort, scratches }.run(vector)
                }
                (_, FieldQuery::Sparse(vector)) => rank_sparse(snapshot, number, vector, options),
                (FieldKind::Sparse, FieldQuery::Dense(_)) => Ok(Ranking::new()),
            };
            match ranked {
                Err(Error::Corrupt { path, offset, reason }) => {
                    // An index that is damaged is made anew, twice at most.
                    let discard = |live: &LiveSegment| {
                        live.segment.field_indexes().discard(&live.segment, &path)
                    };
                    if !snapshot.segments.iter().any(discard) {
                        return Err(Error::Corrupt { path, offset, reason });
                    }
                }
                ranked => {
                    self.look_after_fields(snapshot)?;
                    return ranked;
                }
            }
        }
    }
}

/// How the scores of a field become what is shown.
fn metric_of(kind: FieldKind) -> Metric {
    match kind {
        FieldKind::Dense(field) => field.metric,
        FieldKind::Sparse => Metric::Dot,
    }
}

fn rank_sparse(
    snapshot: &Snapshot,
    number: u8,
    query: &SparseVector,
    options: &SearchOptions<'_>,
) -> Result<Ranking> {
    let mut best = TopK::new(options.limit);
    for (part, live) in snapshot.segments.iter().enumerate() {
        let index = live.segment.field_indexes().index(&live.segment, number)?;
        let FieldIndex::Sparse(index) = &*index else { continue };
        let selection = live.select(options.filter)?;
        let accept = |row| match &selection {
            Selection::Live => live.is_live(row),
            Selection::Rows(rows) => rows.contains(row),
        };
        for (score, row) in index.search(query, options.limit, best.threshold(), &accept)? {
            best.push(score, Address::new(part, row));
        }
    }
    let scorer = SparseScorer::new(query);
    for (head, records) in snapshot.heads.iter().enumerate() {
        let part = snapshot.segments.len() + head;
        for (slot, record) in records.records.iter_from(0) {
            if let Some(FieldVector::Sparse(vector)) = record.vectors.get(number)
                && let Some(score) = scorer.score(vector)
                && score >= best.threshold()
                && options.filter.is_none_or(|filter| filter.matches(record))
            {
                best.push(score, Address::new(part, slot));
            }
        }
    }
    Ok(best.into_sorted())
}
