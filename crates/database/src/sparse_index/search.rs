//! The rows of an index with the greatest dot products.
//!
//! Rows are gone through in windows. A window's lists are added up, row by row, beginning with the
//! list that can add most to a score; once those that are left cannot lift a row to where it enters
//! by themselves, and by far not, only the rows that may still enter are looked up in them, if they
//! are few. What a list can add in a window is known from the blocks that reach into it, before any
//! of them is read. (Turtle and Flood's MaxScore, with the bounds of blocks by Ding and Suel.)
//!
//! The windows that promise most come first, so that the bar is high when the others, in their
//! order, are compared with it. What is kept does not depend on the order.
//!
//! A score that is added up in another order than that of the indices differs from it by a rounding
//! error. [`Search::slack`] is more than all of them together: where it makes no difference to the
//! rounded score, that is the score; where it does, the score is added up again in order.

use std::ops::Range;

use kernels::TopK;

use super::SparseIndex;
use super::directory::List;
use super::postings::{Found, Postings};
use crate::error::Result;
use crate::format::MAX_SEGMENT_ROWS;
use crate::sparse_vector::{SparseVector, rounded};

/// Rows of a window.
const WINDOW: usize = 2048;

/// Cells that are in memory at a time: a window has one for each list.
const CELLS: usize = 1 << 18;

/// One in so many windows is looked at before the others.
const FIRST_WINDOWS: usize = 16;

/// Lists are put aside that together can add less than this part of what a row needs to enter: were
/// it nearly all of it, nearly every row would have to be looked up in them.
const ASIDE: f64 = 0.7;

/// Rows are looked up in a list where the list has more than so many postings for each of them.
const POSTINGS_A_LOOKUP: f64 = 16.0;

/// What a list can have in a window.
#[derive(Clone, Copy)]
struct Cell {
    /// The most that it adds to a score.
    ceiling: f64,
    /// The first block that may have one of the rows; [`NO_BLOCK`] where none has.
    block: u32,
}

const NO_BLOCK: u32 = u32::MAX;

/// A list that the query asks for.
struct Term<'a, B> {
    postings: Postings<'a, B>,
    weight: f64,
    /// The first block that may have rows of the next windows.
    next: usize,
    /// Postings of a window, on the average.
    density: f64,
}

pub(super) struct Search<'a, B> {
    /// What can add most comes first.
    terms: Vec<Term<'a, B>>,
    /// The places of the terms in the order of their indices.
    in_order: Vec<usize>,
    rows: u32,
    slack: f64,
}

/// The best rows so far, and what a row must score to be one.
struct Best<'a> {
    top: TopK<u32>,
    floor: f32,
    accept: &'a dyn Fn(u32) -> bool,
}

impl Best<'_> {
    fn bar(&self) -> f32 {
        // `max` gives the other one for a floor that is no number.
        self.top.threshold().max(self.floor)
    }
}

impl<'a, B: AsRef<[u8]>> Search<'a, B> {
    pub(super) fn new(index: &'a SparseIndex<B>, query: &SparseVector) -> Result<Self> {
        let directory = index.directory();
        let mut lists: Vec<(List, f64)> = Vec::with_capacity(query.indices().len());
        let mut from = 0;
        for (index, weight) in query.iter() {
            let list = directory.find(index, &mut from)?;
            lists.extend(list.map(|list| (list, f64::from(weight))));
        }
        let magnitudes = lists.iter().map(|(list, weight)| list.bounds.magnitude(*weight));
        // A sum of n numbers is off by less than n roundings of the sum of their magnitudes, and so
        // are the sums of ceilings that it is added to. This is several times as much.
        let slack = magnitudes.sum::<f64>() * (lists.len() + 8) as f64 * (4.0 * f64::EPSILON);
        let ceiling = |(list, weight): &(List, f64)| list.bounds.ceiling(*weight);
        lists.sort_by(|a, b| ceiling(b).total_cmp(&ceiling(a)));
        let mut in_order: Vec<usize> = (0..lists.len()).collect();
        in_order.sort_unstable_by_key(|place| lists[*place].0.index);
        let windows = f64::from(index.rows()) / WINDOW as f64;
        let term = |(list, weight): (List, f64)| {
            let postings = Postings::new(&index.pages, index.rows(), list)?;
            let density = f64::from(list.postings) / windows;
            Ok(Term { postings, weight, next: 0, density })
        };
        let terms = lists.into_iter().map(term).collect::<Result<_>>()?;
        Ok(Self { terms, in_order, rows: index.rows().min(MAX_SEGMENT_ROWS), slack })
    }

    pub(super) fn run(
        mut self,
        limit: usize,
        floor: f32,
        accept: &dyn Fn(u32) -> bool,
    ) -> Result<Vec<(f32, u32)>> {
        let mut best = Best { top: TopK::new(limit), floor, accept };
        if limit == 0 || self.terms.is_empty() {
            return Ok(Vec::new());
        }
        let windows = (self.rows as usize).div_ceil(WINDOW);
        let at_once = (CELLS / self.terms.len()).max(1);
        let mut window = Window::new(self.terms.len());
        for first in (0..windows).step_by(at_once) {
            let range = first..windows.min(first + at_once);
            let cells = self.cells(&range)?;
            let cells_of = |place: usize| &cells[place * self.terms.len()..][..self.terms.len()];
            let sum = |place| cells_of(place).iter().map(|cell| cell.ceiling).sum::<f64>();
            let ceilings: Vec<f64> = (0..range.len()).map(sum).collect();
            let mut order: Vec<usize> = (0..range.len()).collect();
            let firsts = range.len().div_ceil(FIRST_WINDOWS);
            if firsts < order.len() {
                let promise = |a: &usize, b: &usize| ceilings[*b].total_cmp(&ceilings[*a]);
                order.select_nth_unstable_by(firsts, promise);
                order[..firsts].sort_unstable_by(promise);
                order[firsts..].sort_unstable();
            }
            let terms = self.terms.len();
            for place in order {
                if self.is_below(ceilings[place], &best) {
                    continue;
                }
                let start = (range.start + place) * WINDOW;
                let rows = start as u32..(self.rows as usize).min(start + WINDOW) as u32;
                self.collect(&mut window, &cells[place * terms..][..terms], rows, &mut best)?;
            }
        }
        Ok(best.top.into_sorted())
    }

    /// What each list can have in each of the next windows.
    fn cells(&mut self, windows: &Range<usize>) -> Result<Vec<Cell>> {
        let stride = self.terms.len();
        let mut cells = vec![Cell { ceiling: 0.0, block: NO_BLOCK }; windows.len() * stride];
        let rows = (windows.start * WINDOW) as u32..(windows.end * WINDOW) as u32;
        for (place, term) in self.terms.iter_mut().enumerate() {
            let mut first = term.postings.first_row(term.next);
            while let Some(entry) = term.postings.entry(term.next)
                && first < rows.end
            {
                if entry.last_row < first || entry.last_row >= self.rows {
                    return Err(term.postings.corrupt());
                }
                let from = first.max(rows.start) as usize / WINDOW - windows.start;
                let to = entry.last_row.min(rows.end - 1) as usize / WINDOW - windows.start;
                let ceiling = entry.bounds.ceiling(term.weight);
                for window in from..=to {
                    let cell = &mut cells[window * stride + place];
                    cell.ceiling = cell.ceiling.max(ceiling);
                    cell.block = cell.block.min(term.next as u32);
                }
                if entry.last_row >= rows.end {
                    break;
                }
                first = entry.last_row + 1;
                term.next += 1;
            }
        }
        Ok(cells)
    }

    /// Whether no row whose score is at most this, rounding errors apart, enters.
    fn is_below(&self, score: f64, best: &Best<'_>) -> bool {
        score <= self.cutoff(best)
    }

    /// The greatest sum that [`Search::is_below`] the bar.
    fn cutoff(&self, best: &Best<'_>) -> f64 {
        // What rounds to the bar is above the number before it.
        f64::from(best.bar().next_down()) - self.slack
    }

    /// Puts the best rows of a window among the best of all.
    fn collect(
        &mut self,
        window: &mut Window,
        cells: &[Cell],
        rows: Range<u32>,
        best: &mut Best<'_>,
    ) -> Result<()> {
        window.set_ceilings(cells);
        window.scores.fill(0.0);
        let cutoff = self.cutoff(best);
        let mut added = 0;
        // A row that no list has scores zero, and is told apart only where that would enter.
        let marks_rows = 0.0 > cutoff;
        if marks_rows {
            window.met.fill(0);
        }
        let most_aside = if cutoff > 0.0 { cutoff * ASIDE } else { cutoff };
        while added < cells.len() && window.rest[added] > most_aside {
            self.terms[added].add(cells[added], &rows, window, marks_rows)?;
            added += 1;
        }
        window.find_candidates(cutoff, window.rest[added], marks_rows);
        for (place, cell) in cells.iter().enumerate().skip(added) {
            if window.candidates.is_empty() {
                return Ok(());
            }
            if cell.block == NO_BLOCK {
                continue;
            }
            let term = &mut self.terms[place];
            if term.density < POSTINGS_A_LOOKUP * window.candidates.len() as f64 {
                term.add(*cell, &rows, window, false)?;
            } else {
                term.look_up(*cell, &rows, window)?;
            }
            let enough = cutoff - window.rest[place + 1];
            let Window { candidates, scores, .. } = window;
            candidates.retain(|place| scores[usize::from(*place)] > enough);
        }
        for place in &window.candidates {
            let row = rows.start + u32::from(*place);
            let sum = window.scores[usize::from(*place)];
            if self.is_below(sum, best) {
                continue;
            }
            let score = self.score(row, sum)?;
            if score >= best.bar() && (best.accept)(row) {
                best.top.push(score, row);
            }
        }
        Ok(())
    }

    /// The score of a row whose products have this sum in some order.
    fn score(&mut self, row: u32, sum: f64) -> Result<f32> {
        let (low, high) = (rounded(sum - self.slack), rounded(sum + self.slack));
        if low == high {
            return Ok(low);
        }
        let mut sum = 0.0;
        for place in &self.in_order {
            let Term { postings, weight, .. } = &mut self.terms[*place];
            if let Some(value) = postings.value(row)? {
                sum += *weight * f64::from(value);
            }
        }
        Ok(rounded(sum))
    }
}

impl<B: AsRef<[u8]>> Term<'_, B> {
    /// Adds what the list has of a window.
    fn add(
        &mut self,
        cell: Cell,
        rows: &Range<u32>,
        window: &mut Window,
        marks_rows: bool,
    ) -> Result<()> {
        if cell.block == NO_BLOCK {
            return Ok(());
        }
        let (weight, block) = (self.weight, cell.block as usize);
        let Window { scores, met, .. } = window;
        // Windows start at multiples of their size.
        let place = |row: u32| row as usize % WINDOW;
        let product = |value: &[u8; 4]| weight * f64::from(f32::from_le_bytes(*value));
        self.postings.visit(block, rows.clone(), |found| match found {
            Found::Run(first, values) => {
                let scores = &mut scores[place(first)..][..values.len()];
                scores.iter_mut().zip(values).for_each(|(score, value)| *score += product(value));
                if marks_rows {
                    (first..).zip(values).for_each(|(row, _)| mark(met, place(row)));
                }
            }
            Found::Rows(rows, values) => {
                for (row, value) in rows.iter().zip(values) {
                    scores[place(*row)] += product(value);
                }
                if marks_rows {
                    rows.iter().for_each(|row| mark(met, place(*row)));
                }
            }
        })
    }

    /// Adds what the list has of the candidates.
    fn look_up(&mut self, cell: Cell, rows: &Range<u32>, window: &mut Window) -> Result<()> {
        let mut block = cell.block as usize;
        for place in &window.candidates {
            let row = rows.start + u32::from(*place);
            if let Some(value) = self.postings.value_from(&mut block, row)? {
                window.scores[usize::from(*place)] += self.weight * f64::from(value);
            }
        }
        Ok(())
    }
}

fn mark(met: &mut [u64; WINDOW / 64], place: usize) {
    met[place / 64] |= 1 << (place % 64);
}

/// What is known of the rows of a window.
struct Window {
    scores: Box<[f64; WINDOW]>,
    /// A bit a row that one of the lists has.
    met: [u64; WINDOW / 64],
    /// For each list what it and those behind it can add together; 0 behind the last one.
    rest: Vec<f64>,
    /// The rows that may enter, in ascending order.
    candidates: Vec<u16>,
}

impl Window {
    fn new(terms: usize) -> Self {
        Self {
            scores: Box::new([0.0; WINDOW]),
            met: [0; WINDOW / 64],
            rest: vec![0.0; terms + 1],
            candidates: Vec::with_capacity(WINDOW),
        }
    }

    fn set_ceilings(&mut self, cells: &[Cell]) {
        let mut rest = 0.0;
        for (place, cell) in cells.iter().enumerate().rev() {
            rest += cell.ceiling;
            self.rest[place] = rest;
        }
    }

    /// Finds the rows that may score more than the cutoff when up to `rest` is added to what they
    /// have.
    fn find_candidates(&mut self, cutoff: f64, rest: f64, only_met: bool) {
        let enough = cutoff - rest;
        self.candidates.clear();
        for (word, scores) in self.scores.as_chunks::<64>().0.iter().enumerate() {
            // Most words have none, which is seen without looking at each of them.
            if !scores.iter().fold(false, |any, score| any | (*score > enough)) {
                continue;
            }
            for (bit, score) in scores.iter().enumerate() {
                if *score > enough && (!only_met || self.met[word] >> bit & 1 == 1) {
                    self.candidates.push((word * 64 + bit) as u16);
                }
            }
        }
    }
}
