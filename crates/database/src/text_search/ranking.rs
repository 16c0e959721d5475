//! BM25 (Robertson and Zaragoza 2009) over all parts of a snapshot.

use kernels::TopK;

use super::analyzer::TextQuery;
use super::index::Posting;
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::record::Hit;
use crate::search::Ranking;
use crate::snapshot::Snapshot;
use crate::state::Address;

/// How soon further occurrences of a term stop to count.
const K1: f32 = 1.2;

/// How much a text's length counts against it.
const B: f32 = 0.75;

/// What a part of a snapshot has of a query's terms, in live records, whatever the filter.
struct PartMatches {
    /// For each term the rows that have it, how often, and the words of their texts.
    terms: Vec<Vec<(Posting, u32)>>,
    texts: u64,
    words: u64,
}

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
        if limit == 0 {
            return Err(Error::InvalidArgument("the limit must be at least 1".to_owned()));
        }
        let snapshot = self.snapshot()?;
        let ranking = snapshot.rank_texts(query, filter, offset.saturating_add(limit))?;
        let hits = ranking.into_iter().skip(offset);
        hits.filter_map(|(score, address)| snapshot.hit(address, score).transpose()).collect()
    }
}

impl Snapshot {
    pub(super) fn rank_texts(
        &self,
        query: &TextQuery,
        filter: Option<&Filter>,
        limit: usize,
    ) -> Result<Ranking> {
        let parts = self.text_matches(query)?;
        let texts: u64 = parts.iter().map(|part| part.texts).sum();
        let words: u64 = parts.iter().map(|part| part.words).sum();
        let average = words as f32 / texts.max(1) as f32;
        let weights: Vec<f32> = query
            .terms
            .iter()
            .enumerate()
            .map(|(term, (_, count))| {
                let found: usize = parts.iter().map(|part| part.terms[term].len()).sum();
                let (texts, found) = (texts as f32, found as f32);
                *count as f32 * (1.0 + (texts - found + 0.5) / (found + 0.5)).ln()
            })
            .collect();
        let mut best = TopK::new(limit);
        for (part, matches) in parts.iter().enumerate() {
            let scores = scores(matches, &weights, average);
            let passes = self.text_filter(part, filter)?;
            for (row, score) in (0..).zip(scores) {
                // A row with a term has a score above zero: weights are.
                if score > 0.0 && score >= best.threshold() && passes(row) {
                    best.push(score, Address::new(part, row));
                }
            }
        }
        Ok(best.into_sorted())
    }

    /// Whether a row of a part passes.
    fn text_filter<'a>(
        &'a self,
        part: usize,
        filter: Option<&'a Filter>,
    ) -> Result<Box<dyn Fn(u32) -> bool + 'a>> {
        let Some(filter) = filter else { return Ok(Box::new(|_| true)) };
        if let Some(live) = self.segments.get(part) {
            let rows = live.segment.matching(filter, None)?;
            return Ok(Box::new(move |row| rows.contains(row)));
        }
        let head = &self.heads[part - self.segments.len()];
        Ok(Box::new(move |slot| head.matches(slot, filter)))
    }

    fn text_matches(&self, query: &TextQuery) -> Result<Vec<PartMatches>> {
        let mut parts = Vec::with_capacity(self.segments.len() + self.heads.len());
        for live in self.segments.iter() {
            let index = live.segment.texts().index(&live.segment, query.language)?;
            let of_term = |(term, _): &(String, u32)| {
                let rows = index.postings(term).filter(|(row, _)| live.is_live(*row));
                rows.map(|posting| (posting, index.length(posting.0).unwrap_or_default())).collect()
            };
            let dead = live.dead.iter().filter_map(|row| index.length(row)).map(u64::from);
            let (dead_texts, dead_words) =
                dead.fold((0, 0), |(texts, words), length| (texts + 1, words + length));
            parts.push(PartMatches {
                terms: query.terms.iter().map(of_term).collect(),
                texts: index.texts - dead_texts,
                words: index.words - dead_words,
            });
        }
        for head in &self.heads {
            let found = head.texts().matches(head, query.language, &query.terms)?;
            let super::caches::HeadMatches { terms, texts, words } = found;
            parts.push(PartMatches { terms, texts, words });
        }
        Ok(parts)
    }
}

/// The score of each row of a part, up to the last that has one.
fn scores(matches: &PartMatches, weights: &[f32], average: f32) -> Vec<f32> {
    let last = matches.terms.iter().flatten().map(|((row, _), _)| *row).max();
    let mut scores = vec![0.0; last.map_or(0, |row| row as usize + 1)];
    for (postings, weight) in matches.terms.iter().zip(weights) {
        for &((row, count), length) in postings {
            let count = count as f32;
            let damping = K1 * (1.0 - B + B * length as f32 / average);
            scores[row as usize] += weight * count * (K1 + 1.0) / (count + damping);
        }
    }
    scores
}
