//! Which of a node's near rows become its neighbours.
//!
//! A candidate is *diverse* if it is not much nearer to a diverse one before it than to the node:
//! else a walk reaches it through that one (the rule of relative neighbourhood graphs, with the
//! slack of S. J. Subramanya et al., "DiskANN", NeurIPS 2019).
//!
//! Candidates are compared by one-byte codes relative to the node, which are as exact as the rule
//! needs however near to each other all of them are: each is read once instead of once a pair.

use kernels::{Backend, ElementType, Measure, StoredRows, bytes_of};

use super::neighbour_lists::Candidate;
use super::space::Points;

/// How much farther, as a factor of squared distances, an other neighbour may be than the node
/// before it no longer stands for a candidate.
const SLACK: f32 = 1.2;

/// Diverse rows that a candidate is compared with at a time: one that is not diverse itself is
/// mostly found out by the first few.
const AT_A_TIME: usize = 8;

/// Candidates whose points are fetched from memory before they are coded.
const AHEAD: usize = 4;

/// Chooses neighbours; its buffers are reused.
pub(crate) struct Pruner<'a> {
    points: &'a Points,
    backend: Backend,
    /// A candidate relative to the node.
    relative: Vec<f32>,
    /// The codes of the diverse candidates, and of the one in question behind them.
    codes: Vec<u8>,
    /// Squared lengths and lifts of the diverse candidates.
    squares: Vec<f32>,
    lifts: Vec<f32>,
}

impl<'a> Pruner<'a> {
    pub(crate) fn new(points: &'a Points) -> Self {
        Self {
            points,
            backend: Backend::active(),
            relative: vec![0.0; points.width],
            codes: Vec::new(),
            squares: Vec::new(),
            lifts: Vec::new(),
        }
    }

    /// Chooses at most `degree` diverse rows of `candidates`, which are sorted, nearest first,
    /// without repetition and without `node`, whose neighbours they may become.
    pub(crate) fn diverse(
        &mut self,
        node: u32,
        candidates: &[Candidate],
        degree: usize,
    ) -> Vec<Candidate> {
        let row_bytes = ElementType::Int8.row_bytes(self.points.width);
        self.codes.resize((degree + 1) * row_bytes, 0);
        self.squares.clear();
        self.lifts.clear();
        let mut chosen: Vec<Candidate> = Vec::with_capacity(degree);
        for candidate in candidates.iter().take(AHEAD) {
            self.fetch(candidate.row);
        }
        for (index, candidate) in candidates.iter().enumerate() {
            if chosen.len() == degree {
                break;
            }
            if let Some(ahead) = candidates.get(index + AHEAD) {
                self.fetch(ahead.row);
            }
            let (others, rest) = self.codes.split_at_mut(chosen.len() * row_bytes);
            let own = &mut rest[..row_bytes];
            let square = self.points.encode_relative(
                self.backend,
                node,
                candidate.row,
                &mut self.relative,
                own,
            );
            let scorer = self.backend.row_scorer_of_row(ElementType::Int8, Measure::Dot, own);
            let lift = self.points.distinct_lift(candidate.row);
            let mut products = [0.0f32; AT_A_TIME];
            let hidden = (0..chosen.len()).step_by(AT_A_TIME).any(|first| {
                let count = AT_A_TIME.min(chosen.len() - first);
                let products = &mut products[..count];
                let rows = StoredRows::new(ElementType::Int8, self.points.width, row_bytes, others);
                scorer.score_from(rows, first, products);
                let others = self.squares[first..].iter().zip(&self.lifts[first..]);
                products.iter().zip(others).any(|(product, (other_square, other_lift))| {
                    let rise = lift - other_lift;
                    let distance = square + other_square - 2.0 * product + rise * rise;
                    distance * SLACK < candidate.distance
                })
            });
            if !hidden {
                chosen.push(*candidate);
                self.squares.push(square);
                self.lifts.push(lift);
            }
        }
        chosen
    }

    fn fetch(&self, row: u32) {
        self.backend.prefetch(bytes_of(self.points.get(row)));
    }
}
