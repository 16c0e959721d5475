//! The space in which a graph is built and walked: every metric as a Euclidean distance.
//!
//! A row is scaled (to unit length for cosine, by the longest row's length otherwise), rotated and
//! taken relative to the centre of all rows. One more coordinate, its *lift*, makes the order of
//! distances the order of scores: a query's lift is 0, a row's is what its scaled length misses to
//! 1 (dot), 1 for a zero row and else 0 (cosine), and 0 (L2). So all rows are of equal length for
//! dot and cosine, and `|q - x|^2` is a constant less `2 <q, x>` (Y. Bachrach et al., "Speeding up
//! the Xbox recommender system using a Euclidean transformation for inner-product spaces", 2014).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use kernels::{Backend, Rotation, bytes_of};
use rayon::prelude::*;

use super::Rows;
use super::error::GraphError;
use super::header::Header;
use super::order::Order;
use super::progress::Phase;
use crate::schema::Metric;

/// What turns a row or a query into a point of the space.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    /// Length of the longest row, or 1 where that is 0; 1 for cosine.
    pub(crate) unit: f32,
    /// Root of the mean squared length of the scaled rows: queries for dot are scaled to it.
    pub(crate) typical: f32,
    /// Mean of the rotated rows, of the padded dimension; zero for dot.
    pub(crate) centre: Vec<f32>,
}

/// The seed of the rotation; a region keeps it.
pub(crate) const SEED_OF_ROTATION: u64 = 0x5eed;

/// Rows that one task handles.
const ROWS_PER_TASK: usize = 256;

impl Space {
    /// Measures `rows` and gives their points: row-major, of the padded dimension; and lifts.
    pub(crate) fn measure(
        rows: &dyn Rows,
        dimension: usize,
        metric: Metric,
        phase: &Phase<'_>,
    ) -> Result<(Self, Points), GraphError> {
        let count = rows.count() as usize;
        let rotation = Rotation::new(dimension, SEED_OF_ROTATION);
        let width = Rotation::padded(dimension);
        let backend = Backend::active();
        let mut values = vec![0.0f32; count * width];
        let mut norms = vec![0.0f64; count];
        let mut hashes = vec![0u64; count];
        values
            .par_chunks_mut(width * ROWS_PER_TASK)
            .zip(norms.par_chunks_mut(ROWS_PER_TASK))
            .zip(hashes.par_chunks_mut(ROWS_PER_TASK))
            .enumerate()
            .try_for_each(|(task, ((values, norms), hashes))| {
                let mut row = vec![0.0f32; dimension];
                for (index, (value, norm)) in values.chunks_mut(width).zip(norms).enumerate() {
                    rows.copy((task * ROWS_PER_TASK + index) as u32, &mut row);
                    hashes[index] = hash(&row);
                    *norm = rotate_unit(backend, &rotation, &mut row, value);
                }
                phase.advance(values.len() / width)
            })?;
        let longest = norms.iter().fold(0.0f64, |most, &norm| most.max(norm));
        let unit = if metric == Metric::Cosine || longest == 0.0 { 1.0 } else { longest as f32 };
        let squares: f64 = norms.iter().map(|norm| (norm / f64::from(unit)).powi(2)).sum();
        let typical = match metric {
            Metric::Cosine => 1.0,
            Metric::Dot | Metric::L2 | Metric::Hamming => {
                (squares / count.max(1) as f64).sqrt() as f32
            }
        };
        let scaled_norm = |norm: f64| scaled_norm(metric, unit, norm);
        let sums = values
            .par_chunks_mut(width * ROWS_PER_TASK)
            .zip(norms.par_chunks(ROWS_PER_TASK))
            .map(|(values, norms)| {
                let mut sum = vec![0.0f64; width];
                for (value, &norm) in values.chunks_mut(width).zip(norms) {
                    let scale = scaled_norm(norm);
                    for (x, sum) in value.iter_mut().zip(&mut sum) {
                        *x *= scale;
                        *sum += f64::from(*x);
                    }
                }
                sum
            })
            .reduce(
                || vec![0.0; width],
                |mut a, b| {
                    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                    a
                },
            );
        // Angles are taken from zero.
        let part = if metric == Metric::Dot { 0.0 } else { 1.0 / count.max(1) as f64 };
        let centre: Vec<f32> = sums.iter().map(|sum| (sum * part) as f32).collect();
        values.par_chunks_mut(width).for_each(|value| {
            value.iter_mut().zip(&centre).for_each(|(x, centre)| *x -= centre);
        });
        let lifts = norms.iter().map(|&norm| lift(metric, unit, norm)).collect();
        let inverse_lengths = norms
            .iter()
            .map(|&norm| {
                let length = scaled_norm(norm);
                if length > 0.0 { 1.0 / length } else { 0.0 }
            })
            .collect();
        let kind = if metric == Metric::Dot { Nearness::Angle } else { Nearness::Distance };
        let originals = originals(&values, width, &hashes);
        let points = Points { width, kind, values, lifts, inverse_lengths, originals };
        Ok((Self { unit, typical, centre }, points))
    }
}

/// Rotates a row, scaled to unit length unless it is zero, into `out`, and gives its length.
fn rotate_unit(backend: Backend, rotation: &Rotation, row: &mut [f32], out: &mut [f32]) -> f64 {
    let norm = backend.norm_widened(row);
    // Scaled before it is rotated, so that no square overflows or vanishes.
    if norm > 0.0 {
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
    backend.rotate(rotation, row, out);
    norm
}

/// The length of a row's point, without its lift, relative to zero.
fn scaled_norm(metric: Metric, unit: f32, norm: f64) -> f32 {
    match metric {
        Metric::Cosine => f32::from(norm > 0.0),
        Metric::Dot | Metric::L2 | Metric::Hamming => (norm / f64::from(unit)).min(1.0) as f32,
    }
}

fn lift(metric: Metric, unit: f32, norm: f64) -> f32 {
    match metric {
        Metric::Cosine => f32::from(norm == 0.0),
        Metric::Dot => (1.0 - (norm / f64::from(unit)).powi(2)).max(0.0).sqrt() as f32,
        Metric::L2 | Metric::Hamming => 0.0,
    }
}

fn hash(row: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes_of(row));
    hasher.finish()
}

/// For each row the first one that is equal to it.
fn originals(values: &[f32], width: usize, hashes: &[u64]) -> Vec<u32> {
    let value = |row: usize| &values[row * width..][..width];
    let mut first = HashMap::with_capacity(hashes.len());
    let original = |(row, &hash): (usize, &u64)| {
        let other = *first.entry(hash).or_insert(row);
        (if value(other) == value(row) { other } else { row }) as u32
    };
    hashes.iter().enumerate().map(original).collect()
}

/// What makes two rows near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nearness {
    /// Their distance, lifts included.
    Distance,
    /// Their angle: for dot, where short rows are near each other but no query's answer.
    Angle,
}

/// Rows as points of a [`Space`].
pub(crate) struct Points {
    pub(crate) width: usize,
    pub(crate) kind: Nearness,
    values: Vec<f32>,
    lifts: Vec<f32>,
    inverse_lengths: Vec<f32>,
    originals: Vec<u32>,
}

impl Points {
    pub(crate) fn len(&self) -> usize {
        self.lifts.len()
    }

    /// Rows as points of the space of a graph that was built, for their codes: they are not compared
    /// with each other.
    pub(crate) fn of_space(
        header: &Header,
        rotation: &Rotation,
        centre: &[f32],
        count: usize,
        copy: impl Fn(usize, &mut [f32]),
    ) -> Self {
        let (metric, unit, width) = (header.layout.metric, header.unit, header.layout.padded);
        let backend = Backend::active();
        let mut values = vec![0.0f32; count * width];
        let mut row = vec![0.0f32; header.layout.dimension];
        let place = |(index, value): (usize, &mut [f32])| {
            copy(index, &mut row);
            let norm = rotate_unit(backend, rotation, &mut row, value);
            let scale = scaled_norm(metric, unit, norm);
            value.iter_mut().zip(centre).for_each(|(x, centre)| *x = *x * scale - centre);
            lift(metric, unit, norm)
        };
        let lifts = values.chunks_mut(width).enumerate().map(place).collect();
        let kind = Nearness::Distance;
        Self { width, kind, values, lifts, inverse_lengths: Vec::new(), originals: Vec::new() }
    }

    /// Points of a space, one after the other, without lifts: for codes, as [`Points::of_space`].
    pub(crate) fn from_values(values: Vec<f32>, width: usize) -> Self {
        let lifts = vec![0.0; values.len() / width];
        let kind = Nearness::Distance;
        Self { width, kind, values, lifts, inverse_lengths: Vec::new(), originals: Vec::new() }
    }

    /// Moves every row to its place in `order`; from then on rows are known by their places. Each
    /// vector is moved once, along the cycles of the permutation, without memory for another copy.
    pub(crate) fn reorder(&mut self, order: &Order) {
        let count = self.len() as u32;
        let width = self.width;
        let mut first = vec![0.0f32; width];
        let mut moved = vec![false; self.len()];
        for start in 0..count {
            if moved[start as usize] {
                continue;
            }
            first.copy_from_slice(self.get(start));
            let mut at = start;
            loop {
                moved[at as usize] = true;
                let from = order.row(at);
                let to = at as usize * width;
                if from == start {
                    self.values[to..to + width].copy_from_slice(&first);
                    break;
                }
                self.values.copy_within(from as usize * width..(from as usize + 1) * width, to);
                at = from;
            }
        }
        let from = |place| order.row(place) as usize;
        self.lifts = (0..count).map(|place| self.lifts[from(place)]).collect();
        self.inverse_lengths = (0..count).map(|place| self.inverse_lengths[from(place)]).collect();
        let original = |place| order.place(self.originals[from(place)]);
        self.originals = (0..count).map(original).collect();
    }

    pub(crate) fn get(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.width..][..self.width]
    }

    pub(crate) fn lift(&self, row: u32) -> f32 {
        self.lifts[row as usize]
    }

    /// One over a point's length, for angles; 0 for a zero row.
    pub(crate) fn inverse_length(&self, row: u32) -> f32 {
        self.inverse_lengths[row as usize]
    }

    /// The first row that is equal to `row`. Only originals are compared with others; copies get
    /// their original's neighbours.
    pub(crate) fn original(&self, row: u32) -> u32 {
        self.originals[row as usize]
    }

    pub(crate) fn is_original(&self, row: u32) -> bool {
        self.original(row) == row
    }

    /// The part of a row's lift that its distance to others depends on: nothing for angles.
    pub(crate) fn distinct_lift(&self, row: u32) -> f32 {
        if self.kind == Nearness::Distance { self.lift(row) } else { 0.0 }
    }

    /// How far apart two rows are: a squared distance, of unit vectors for angles.
    #[inline]
    pub(crate) fn distance(&self, backend: Backend, a: u32, b: u32) -> f32 {
        match self.kind {
            Nearness::Distance => {
                let lift = self.lift(a) - self.lift(b);
                backend.squared_l2(self.get(a), self.get(b)) + lift * lift
            }
            Nearness::Angle => {
                let inverse = self.inverse_length(a) * self.inverse_length(b);
                (2.0 - 2.0 * backend.dot(self.get(a), self.get(b)) * inverse).max(0.0)
            }
        }
    }
}
