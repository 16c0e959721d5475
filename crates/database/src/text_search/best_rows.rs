//! The best rows of a segment for a query's terms, without looking at most postings.
//!
//! Rows are gone through in windows. For each window, the entries of the postings' blocks bound
//! what each term can add to a score there. The terms that together cannot lift a row to the k-th
//! best score so far are put aside (Turtle and Flood 1995; Ding and Suel 2011 for bounds by block):
//! a row that none of the others has is never looked at, and where that is all terms, neither is
//! the window. The others' postings are added up; the terms that were put aside are asked only for
//! rows that they could still lift far enough.
//!
//! A score is the same as if every posting had been added up: see [`TermWeight::score`].

use kernels::TopK;
use roaring::RoaringBitmap;

use super::bm25::TermWeight;
use super::segment_texts::{SegmentCursor, SegmentIndex};
use crate::error::Result;
use crate::state::Address;

/// Rows of a window.
const WINDOW: usize = 2048;

/// The postings of a term in one field, and what they count.
pub(super) struct Term<'a> {
    pub(super) index: &'a SegmentIndex,
    pub(super) cursor: SegmentCursor<'a>,
    pub(super) weight: TermWeight,
}

/// The rows of a segment that count.
pub(super) struct Rows<'a> {
    pub(super) count: u32,
    /// Only these, where there are any conditions; none of them is dead.
    pub(super) among: Option<&'a RoaringBitmap>,
    pub(super) dead: &'a RoaringBitmap,
}

impl Rows<'_> {
    fn has(&self, row: u32) -> bool {
        match self.among {
            Some(among) => among.contains(row),
            None => !self.dead.contains(row),
        }
    }

    /// The first row that counts, or may, from this one on.
    fn next(&self, row: u32) -> Option<u32> {
        match self.among {
            Some(among) => among.range(row..).next(),
            None => (row < self.count).then_some(row),
        }
    }
}

/// Puts the best rows of a part into `best`, of those that `accepts` lets in; it is asked only for
/// rows that would enter.
pub(super) fn collect_best(
    part: usize,
    terms: &mut [Term<'_>],
    rows: &Rows<'_>,
    accepts: &mut dyn FnMut(u32) -> Result<bool>,
    best: &mut TopK<Address>,
) -> Result<()> {
    let mut window = Window { scores: vec![0.0; WINDOW], met: [0; WINDOW / 64] };
    let mut from = 0;
    while let Some(first) = rows.next(from) {
        terms.iter_mut().for_each(|term| term.cursor.advance_to(first));
        let next = terms.iter().filter_map(|term| term.cursor.least_row()).min();
        let Some(next) = next.map(|next| next.max(first)) else {
            break;
        };
        let end = next.saturating_add(WINDOW as u32).min(rows.count);
        if next >= end {
            break;
        }
        window.collect(part, terms, next..end, rows, accepts, best)?;
        from = end;
    }
    Ok(())
}

struct Window {
    /// What the terms that are added up give to each row.
    scores: Vec<f64>,
    /// A bit a row that has one of them.
    met: [u64; WINDOW / 64],
}

impl Window {
    fn collect(
        &mut self,
        part: usize,
        terms: &mut [Term<'_>],
        range: std::ops::Range<u32>,
        rows: &Rows<'_>,
        accepts: &mut dyn FnMut(u32) -> Result<bool>,
        best: &mut TopK<Address>,
    ) -> Result<()> {
        let mut bounds: Vec<(f64, usize)> = terms
            .iter_mut()
            .enumerate()
            .map(|(place, term)| {
                term.cursor.advance_to(range.start);
                let bounds = term.cursor.bounds(range.clone());
                (if bounds.most_count == 0 { 0.0 } else { term.weight.bound(bounds) }, place)
            })
            .filter(|(bound, _)| *bound > 0.0)
            .collect();
        bounds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        // Terms are put aside as long as together they cannot lift a row to where it enters.
        let mut aside = 0;
        let mut rest = 0.0;
        for (bound, _) in &bounds {
            if !is_below(rest + bound, best) {
                break;
            }
            rest += bound;
            aside += 1;
        }
        let (aside, added) = bounds.split_at(aside);
        if added.is_empty() {
            return Ok(());
        }
        for (_, place) in added {
            self.add(&mut terms[*place], range.clone())?;
        }
        let outcome = (0..WINDOW / 64).try_for_each(|word| {
            let mut bits = std::mem::take(&mut self.met[word]);
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let score = std::mem::take(&mut self.scores[place]);
                let row = range.start + place as u32;
                if is_below(score + rest, best) || !rows.has(row) {
                    continue;
                }
                let score = complete(score, rest, aside, terms, row, best)?;
                if score.is_some_and(|score| score >= best.threshold()) && accepts(row)? {
                    best.push(score.unwrap_or_default(), Address::new(part, row));
                }
            }
            Ok(())
        });
        if outcome.is_err() {
            self.scores.fill(0.0);
            self.met.fill(0);
        }
        outcome
    }

    fn add(&mut self, term: &mut Term<'_>, range: std::ops::Range<u32>) -> Result<()> {
        let lengths = term.index.lengths(range.clone())?;
        let weight = term.weight;
        let Self { scores, met } = self;
        term.cursor.visit(range.clone(), |row, count| {
            let place = (row - range.start) as usize;
            scores[place] += weight.score(count, u32::from_le_bytes(lengths[place]));
            met[place / 64] |= 1 << (place % 64);
        })
    }
}

/// Adds what the terms that were put aside have of a row; `None` once that cannot be enough.
fn complete(
    mut score: f64,
    mut rest: f64,
    aside: &[(f64, usize)],
    terms: &mut [Term<'_>],
    row: u32,
    best: &TopK<Address>,
) -> Result<Option<f32>> {
    for (bound, place) in aside.iter().rev() {
        if is_below(score + rest, best) {
            return Ok(None);
        }
        rest -= bound;
        let term = &mut terms[*place];
        let count = term.cursor.count_in(row)?;
        if count > 0 {
            let length = term.index.length(row)?.unwrap_or_default();
            score += term.weight.score(count, length);
        }
    }
    Ok(Some(score as f32))
}

/// Whether nothing up to this score enters. Rounding to fewer bits keeps an order.
fn is_below(score: f64, best: &TopK<Address>) -> bool {
    (score as f32) < best.threshold()
}
