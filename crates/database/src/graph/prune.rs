//! Which of a node's near rows become its neighbours.
//!
//! A candidate is *diverse* if it is not much nearer to a diverse one before it than to the node:
//! else a walk reaches it through that one (the rule of relative neighbourhood graphs, with the
//! slack of S. J. Subramanya et al., "DiskANN", NeurIPS 2019).
//!
//! Candidates are compared by the codes of all points; those that are too near for these, exactly.

use kernels::Backend;

use super::neighbour_lists::Candidate;
use super::point_codes::{PointCodes, TIGHT};
use super::space::Points;

/// How much farther, as a factor of squared distances, an other neighbour may be than the node
/// before it no longer stands for a candidate.
const SLACK: f32 = 1.2;

/// Diverse rows that a candidate is compared with at a time: one that is not diverse itself is
/// mostly found out by the first few.
const AT_A_TIME: usize = 8;

/// Candidates whose codes are fetched from memory before they are compared.
const AHEAD: usize = 4;

/// Chooses neighbours; its buffers are reused.
pub(crate) struct Pruner<'a> {
    points: &'a Points,
    codes: &'a PointCodes<'a>,
    backend: Backend,
    /// The rows of the diverse candidates.
    rows: Vec<u32>,
}

impl<'a> Pruner<'a> {
    pub(crate) fn new(points: &'a Points, codes: &'a PointCodes<'a>) -> Self {
        Self { points, codes, backend: Backend::active(), rows: Vec::new() }
    }

    /// Chooses at most `degree` diverse rows of a node's `candidates`, which are sorted, nearest first,
    /// without repetition and without the node, whose neighbours they may become.
    pub(crate) fn diverse(&mut self, candidates: &[Candidate], degree: usize) -> Vec<Candidate> {
        let rows = self.codes.rows();
        self.rows.clear();
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
            let row = candidate.row;
            let hidden = if candidate.distance < TIGHT * self.codes.square(row) {
                chosen.iter().any(|other| {
                    self.points.distance(self.backend, other.row, row) * SLACK < candidate.distance
                })
            } else {
                let scorer = self.codes.scorer(row);
                let mut products = [0.0f32; AT_A_TIME];
                self.rows.chunks(AT_A_TIME).any(|others| {
                    let products = &mut products[..others.len()];
                    scorer.score_listed(rows, others, products);
                    products.iter().zip(others).any(|(&product, &other)| {
                        self.codes.distance(row, other, product) * SLACK < candidate.distance
                    })
                })
            };
            if !hidden {
                chosen.push(*candidate);
                self.rows.push(row);
            }
        }
        chosen
    }

    fn fetch(&self, row: u32) {
        self.backend.prefetch(self.codes.of(row));
    }
}
