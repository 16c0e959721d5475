//! Ranking the records of a snapshot by their words.

use std::sync::Arc;

use kernels::TopK;
use roaring::RoaringBitmap;

use super::best_rows::{Rows, Term, collect_best};
use super::bm25::{FieldStatistics, TermWeight};
use super::field::{head_text, text_of};
use super::head_texts::HeadMatches;
use super::query::TextQuery;
use super::segment_texts::{SegmentCursor, SegmentIndex};
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::grouped_search::GroupBy;
use crate::head::HeadSnapshot;
use crate::page::Page;
use crate::record::Hit;
use crate::schema::Metric;
use crate::search::{Ranking, SearchOptions};
use crate::snapshot::Snapshot;
use crate::state::{Address, LiveSegment};

impl Collection {
    /// The records whose texts have the query's words, best first by BM25, without the first
    /// `offset`, at most `limit`. Records without a text are never found. The statistics are those
    /// of all live records; a filter changes no score. Equal scores come in the order of a scan.
    ///
    /// # Errors
    /// `InvalidArgument` for a limit of 0, `Corrupt` or `Io` where a text cannot be read.
    pub fn search_text(
        &self,
        query: &TextQuery,
        filter: Option<&Filter>,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Hit>> {
        let options = SearchOptions { filter, ..SearchOptions::new(limit) };
        self.search_text_by(query, &options, None, offset)
    }

    /// As [`Collection::search_text`], with options, of which `within` is about the score by words.
    /// With `group_by`, `offset` and the limit count groups, as in [`Collection::search_groups`].
    ///
    /// # Errors
    /// As [`Collection::search_text`]; `InvalidArgument` also for groups of size 0.
    pub fn search_text_by(
        &self,
        query: &TextQuery,
        options: &SearchOptions<'_>,
        group_by: Option<&GroupBy<'_>>,
        offset: usize,
    ) -> Result<Vec<Hit>> {
        options.validate()?;
        self.view().note_search_by_words();
        let page =
            Page { offset, limit: options.limit, within: options.within, metric: Metric::Dot };
        self.contain(|| {
            let snapshot = self.snapshot()?;
            snapshot.page_of(&page, group_by, &mut |limit| {
                snapshot.rank_texts(query, options.filter, limit)
            })
        })
    }
}

impl Snapshot {
    pub(super) fn rank_texts(
        &self,
        query: &TextQuery,
        filter: Option<&Filter>,
        limit: usize,
    ) -> Result<Ranking> {
        loop {
            match TextSearch::new(self, query).and_then(|search| search.run(filter, limit)) {
                Err(Error::Corrupt { path, offset, reason }) => {
                    // An index that is damaged is made anew, twice at most.
                    let discard =
                        |live: &LiveSegment| live.segment.texts().discard(&live.segment, &path);
                    if !self.segments.iter().any(discard) {
                        return Err(Error::Corrupt { path, offset, reason });
                    }
                }
                outcome => return outcome,
            }
        }
    }
}

/// A search by words, with the indexes that it needs.
struct TextSearch<'a> {
    snapshot: &'a Snapshot,
    query: &'a TextQuery,
    /// For each segment its index of each field.
    segments: Vec<Vec<Arc<SegmentIndex>>>,
    /// For each head what it has of the terms in each field.
    heads: Vec<Vec<HeadMatches>>,
    /// The runs of several terms that must be there, and those that must not: they are looked for
    /// in the stored texts of what would be a hit.
    required_runs: Vec<Vec<usize>>,
    excluded_runs: Vec<Vec<usize>>,
}

/// The cursors of each field's terms, where the segment has them.
type Cursors<'a> = Vec<Vec<Option<SegmentCursor<'a>>>>;

impl<'a> TextSearch<'a> {
    fn new(snapshot: &'a Snapshot, query: &'a TextQuery) -> Result<Self> {
        let of_segment = |live: &LiveSegment| {
            let keys = query.fields().iter();
            keys.map(|(key, _)| live.segment.texts().index(&live.segment, key)).collect()
        };
        let of_head = |head: &HeadSnapshot| {
            let keys = query.fields().iter();
            keys.map(|(key, _)| head.texts().matches(head, key, &query.terms)).collect()
        };
        let runs = |runs: &[Vec<usize>]| -> Vec<Vec<usize>> {
            runs.iter().filter(|run| run.len() > 1).cloned().collect()
        };
        Ok(Self {
            snapshot,
            query,
            required_runs: runs(&query.required),
            excluded_runs: runs(&query.excluded),
            segments: snapshot.segments.iter().map(of_segment).collect::<Result<_>>()?,
            heads: snapshot.heads.iter().map(of_head).collect::<Result<_>>()?,
        })
    }

    fn run(&self, filter: Option<&Filter>, limit: usize) -> Result<Ranking> {
        let mut cursors = Vec::with_capacity(self.segments.len());
        for indexes in &self.segments {
            let of_index = indexes.iter().map(|index| find_terms(index, &self.query.terms));
            cursors.push(of_index.collect::<Result<Cursors<'_>>>()?);
        }
        let weights = self.weights(&cursors)?;
        let mut best = TopK::new(limit);
        for (part, cursors) in cursors.into_iter().enumerate() {
            self.rank_segment(part, cursors, &weights, filter, &mut best)?;
        }
        for head in 0..self.heads.len() {
            self.rank_head(head, &weights, filter, &mut best)?;
        }
        Ok(best.into_sorted())
    }

    /// What each field's terms count, by the statistics of all live records.
    fn weights(&self, cursors: &[Cursors<'_>]) -> Result<Vec<Vec<TermWeight>>> {
        let mut weights = Vec::new();
        for (field, (_, field_weight)) in self.query.fields().iter().enumerate() {
            let mut statistics = FieldStatistics::default();
            for (live, indexes) in self.snapshot.segments.iter().zip(&self.segments) {
                let index = &indexes[field];
                statistics.texts += index.texts();
                statistics.words += index.words();
                for row in live.dead.iter() {
                    if let Some(length) = index.length(row)? {
                        statistics.texts = statistics.texts.saturating_sub(1);
                        statistics.words = statistics.words.saturating_sub(u64::from(length));
                    }
                }
            }
            for matches in &self.heads {
                statistics.texts += matches[field].texts;
                statistics.words += matches[field].words;
            }
            let mut of_field = Vec::new();
            for (term, (_, count)) in self.query.terms.iter().enumerate() {
                let in_heads = self.heads.iter().map(|matches| matches[field].terms[term].len());
                let mut found = in_heads.sum::<usize>() as u64;
                for (live, cursors) in self.snapshot.segments.iter().zip(cursors) {
                    if let Some(cursor) = &cursors[field][term] {
                        let dead = cursor.count_of(&live.dead)?;
                        found += u64::from(cursor.postings()).saturating_sub(dead);
                    }
                }
                of_field.push(TermWeight::new(statistics, found, *count, *field_weight));
            }
            weights.push(of_field);
        }
        Ok(weights)
    }

    fn rank_segment(
        &self,
        part: usize,
        cursors: Cursors<'_>,
        weights: &[Vec<TermWeight>],
        filter: Option<&Filter>,
        best: &mut TopK<Address>,
    ) -> Result<()> {
        let live = &self.snapshot.segments[part];
        let indexes = &self.segments[part];
        let mut among = match filter {
            Some(filter) => Some(live.segment.accepted(filter)?.rows().clone()),
            None => None,
        };
        if self.query.has_conditions() {
            let rows_of = |term: usize| {
                let mut rows = RoaringBitmap::new();
                for cursor in cursors.iter().filter_map(|terms| terms[term].as_ref()) {
                    rows |= cursor.rows()?;
                }
                Ok(rows)
            };
            let all = || {
                let mut all = RoaringBitmap::new();
                all.insert_range(0..live.segment.rows());
                all
            };
            among = Some(self.candidates(among.unwrap_or_else(all), &rows_of)?);
        }
        if let Some(among) = &mut among {
            *among -= &*live.dead;
        }
        let mut terms = Vec::new();
        for ((cursors, weights), index) in cursors.into_iter().zip(weights).zip(indexes) {
            for ((cursor, weight), (_, count)) in
                cursors.into_iter().zip(weights).zip(&self.query.terms)
            {
                if let Some(cursor) = cursor.filter(|_| *count > 0) {
                    terms.push(Term { index, cursor, weight: *weight });
                }
            }
        }
        let rows = Rows { count: live.segment.rows(), among: among.as_ref(), dead: &live.dead };
        let mut accepts = |row| {
            self.has_runs(&mut |field| text_of(&live.segment, row, &self.query.fields()[field].0))
        };
        collect_best(part, &mut terms, &rows, &mut accepts, best)
    }

    fn rank_head(
        &self,
        number: usize,
        weights: &[Vec<TermWeight>],
        filter: Option<&Filter>,
        best: &mut TopK<Address>,
    ) -> Result<()> {
        let (head, matches) = (&self.snapshot.heads[number], &self.heads[number]);
        let part = self.segments.len() + number;
        let postings = || matches.iter().zip(weights).flat_map(|(m, w)| m.terms.iter().zip(w));
        let last = postings().flat_map(|(rows, _)| rows).map(|((slot, _), _)| *slot).max();
        let Some(last) = last else { return Ok(()) };
        let mut scores = vec![0.0; last as usize + 1];
        for (rows, weight) in postings() {
            for ((slot, count), length) in rows {
                scores[*slot as usize] += weight.score(*count, *length);
            }
        }
        let among = match self.query.has_conditions() {
            false => None,
            true => {
                let rows_of = |term: usize| {
                    let rows = matches.iter().flat_map(|field| &field.terms[term]);
                    Ok(rows.map(|((slot, _), _)| *slot).collect())
                };
                let all = (0..=last).collect();
                Some(self.candidates(all, &rows_of)?)
            }
        };
        for (slot, score) in (0..).zip(scores) {
            let score = score as f32;
            // A row with a term that counts has a score above zero: weights are.
            if score > 0.0
                && score >= best.threshold()
                && among.as_ref().is_none_or(|among| among.contains(slot))
                && filter.is_none_or(|filter| head.matches(slot, filter))
                && self.has_runs(&mut |field| {
                    let record = head.records.get(slot);
                    let key = &self.query.fields()[field].0;
                    record.map_or(Ok(None), |record| head_text(head, record, key))
                })?
            {
                best.push(score, Address::new(part, slot));
            }
        }
        Ok(())
    }

    /// Those of some rows that have all terms of what must be there, and none of what must not,
    /// where that is a single term.
    fn candidates(
        &self,
        mut rows: RoaringBitmap,
        rows_of: &dyn Fn(usize) -> Result<RoaringBitmap>,
    ) -> Result<RoaringBitmap> {
        for term in self.query.required.iter().flatten() {
            rows &= rows_of(*term)?;
        }
        for run in &self.query.excluded {
            if let [term] = run[..] {
                rows -= rows_of(term)?;
            }
        }
        Ok(rows)
    }

    /// Whether the fields of a record, whose texts `text` gives, have the runs of several terms that
    /// must be there, each in one field, and none of those that must not.
    fn has_runs(&self, text: &mut dyn FnMut(usize) -> Result<Option<String>>) -> Result<bool> {
        let (required, excluded) = (&self.required_runs, &self.excluded_runs);
        if required.is_empty() && excluded.is_empty() {
            return Ok(true);
        }
        let mut found = vec![false; required.len()];
        for field in 0..self.query.fields().len() {
            let Some(text) = text(field)? else { continue };
            if self.query.runs_in(&text, excluded).contains(&true) {
                return Ok(false);
            }
            let here = self.query.runs_in(&text, required);
            found.iter_mut().zip(here).for_each(|(found, here)| *found |= here);
        }
        Ok(!found.contains(&false))
    }
}

/// The postings of each term that an index has.
fn find_terms<'a>(
    index: &'a SegmentIndex,
    terms: &[(String, u32)],
) -> Result<Vec<Option<SegmentCursor<'a>>>> {
    terms.iter().map(|(term, _)| index.find(term)).collect()
}
