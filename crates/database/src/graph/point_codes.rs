//! Points in one byte a coordinate: what a build compares.
//!
//! They take a quarter of the memory and of the time that the points take, and are as exact as choices
//! among neighbours need, but for rows that are very near to each other: those are compared exactly.

use kernels::{Backend, ElementType, Measure, RowScorer, StoredRows};
use rayon::prelude::*;

use super::neighbour_lists::Candidate;
use super::space::{Nearness, Points};

/// Distances below this part of a point's squared length are not told from each other by bytes: for
/// 384 coordinates a distance is off by about a thousandth of it.
pub(crate) const TIGHT: f32 = 1.0 / 128.0;

/// Rows that one task codes.
const ROWS_PER_TASK: usize = 256;

/// Bytes besides the codes of a point's coordinates: a scale and a squared length.
pub(crate) const CODE_BYTES_BESIDES: usize = 8;

/// The codes of all points.
pub(crate) struct PointCodes<'a> {
    points: &'a Points,
    backend: Backend,
    row_bytes: usize,
    /// `Int8` rows, one after the other.
    bytes: Vec<u8>,
    /// Squared lengths, without lifts; 1 for angles.
    squares: Vec<f32>,
}

impl<'a> PointCodes<'a> {
    pub(crate) fn new(points: &'a Points) -> Self {
        let backend = Backend::active();
        let row_bytes = ElementType::Int8.row_bytes(points.width);
        let mut bytes = vec![0u8; points.len() * row_bytes];
        let mut squares = vec![0.0f32; points.len()];
        let tasks = bytes.par_chunks_mut(row_bytes * ROWS_PER_TASK);
        tasks.zip(squares.par_chunks_mut(ROWS_PER_TASK)).enumerate().for_each(
            |(task, (bytes, squares))| {
                let rows = (task * ROWS_PER_TASK) as u32..;
                for ((row, bytes), square) in rows.zip(bytes.chunks_mut(row_bytes)).zip(squares) {
                    let point = points.get(row);
                    backend.encode_row(ElementType::Int8, point, bytes).expect("points are finite");
                    *square = match points.kind {
                        Nearness::Distance => backend.dot(point, point),
                        Nearness::Angle => 1.0,
                    };
                }
            },
        );
        Self { points, backend, row_bytes, bytes, squares }
    }

    pub(crate) fn rows(&self) -> StoredRows<'_> {
        StoredRows::new(ElementType::Int8, self.points.width, self.row_bytes, &self.bytes)
    }

    /// The codes of a row, and their scale.
    pub(crate) fn of(&self, row: u32) -> &[u8] {
        &self.bytes[row as usize * self.row_bytes..][..self.row_bytes]
    }

    /// What gives dot products of a row with others.
    pub(crate) fn scorer(&self, row: u32) -> RowScorer<'_> {
        self.backend.row_scorer_of_row(ElementType::Int8, Measure::Dot, self.of(row))
    }

    /// About [`Points::distance`], from the dot product of the codes.
    #[inline]
    pub(crate) fn distance(&self, a: u32, b: u32, product: f32) -> f32 {
        match self.points.kind {
            Nearness::Distance => {
                let rise = self.points.lift(a) - self.points.lift(b);
                self.squares[a as usize] + self.squares[b as usize] - 2.0 * product + rise * rise
            }
            Nearness::Angle => {
                2.0 - 2.0 * product * self.points.inverse_length(a) * self.points.inverse_length(b)
            }
        }
    }

    /// A point's squared length, without its lift; 1 for angles.
    pub(crate) fn square(&self, row: u32) -> f32 {
        self.squares[row as usize]
    }

    /// Makes the least of a row's distances, which are sorted, exact where bytes do not tell them from
    /// each other, and sorts them again.
    pub(crate) fn sharpen(&self, row: u32, candidates: &mut [Candidate]) {
        let limit = TIGHT * self.square(row);
        let tight = candidates.iter().take_while(|candidate| candidate.distance < limit).count();
        if tight > 0 {
            for candidate in &mut candidates[..tight] {
                candidate.distance = self.points.distance(self.backend, row, candidate.row);
            }
            candidates
                .sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
        }
    }
}
