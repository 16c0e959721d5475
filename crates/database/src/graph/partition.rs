//! Rows in overlapping parts, whose rows are then compared with each other (`compare`).
//!
//! Rows are assigned to the nearest few of some random leaders, recursively, until a part is small
//! enough to compare all of its rows with each other in one matrix product (as in "PiPNN", arXiv
//! 2602.21247). Neighbours that one part separates meet in another: each row is in several.

use kernels::{
    Activation, Backend, DISTANCES_PER_MINIMUM, Input, Lengths, Output, PackedMatrix, Precision,
    Rows as MatrixRows, RowsMut, matmul,
};
use rayon::prelude::*;

use super::error::GraphError;
use super::neighbour_lists::Candidate;
use super::order::Order;
use super::progress::Phase;
use super::random::Random;
use super::space::{Nearness, Points};

/// How rows are partitioned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionOptions {
    /// The most rows of a part whose rows are all compared.
    pub(crate) leaf: usize,
    /// Parts that each row is in.
    pub(crate) replicas: usize,
    /// Near rows that a part gives to each of its rows.
    pub(crate) nearest: usize,
    /// Near rows that are kept of what all parts give.
    pub(crate) keep: usize,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self { leaf: 1024, replicas: 6, nearest: 24, keep: 48 }
    }
}

/// Rows with the greatest dot products that are kept of a row, where dot products are searched.
pub(crate) const STRONGEST: usize = 8;

/// The most leaders of one partition.
const MOST_LEADERS: usize = 1024;

/// Rows that one task assigns.
const ROWS_PER_TASK: usize = 512;

/// Rows that are multiplied at a time: their products with all leaders stay in the second-level cache until
/// the nearest are found among them.
const ROWS_PER_PRODUCT: usize = 96;

/// All parts, each row in about `replicas` of them, and an order in which near rows are side by
/// side.
pub(crate) fn partition(
    points: &Points,
    options: &PartitionOptions,
    seed: u64,
    phase: &Phase<'_>,
) -> Result<(Vec<Vec<u32>>, Order), GraphError> {
    let rows: Vec<u32> = (0..points.len() as u32).filter(|&row| points.is_original(row)).collect();
    if rows.len() <= options.leaf {
        let order = Order::beginning_with(rows.iter().copied(), points.len());
        return Ok((vec![rows], order));
    }
    let division = divide(points, &rows, options.replicas, options.leaf, seed, phase)?;
    let homes = division.assigned.iter().copied().step_by(division.replicas);
    let order = Order::by_leaders(points, &rows, homes, &division.leaders);
    Ok((division.split(points, rows, options.leaf, seed, phase)?, order))
}

fn split(
    points: &Points,
    rows: Vec<u32>,
    leaf: usize,
    seed: u64,
    phase: &Phase<'_>,
) -> Result<Vec<Vec<u32>>, GraphError> {
    if rows.len() <= leaf {
        return Ok(vec![rows]);
    }
    divide(points, &rows, 1, leaf, seed, phase)?.split(points, rows, leaf, seed, phase)
}

/// Rows by leaders.
struct Division {
    leaders: Vec<u32>,
    /// The numbers of each row's nearest leaders, `replicas` a row, nearest first.
    assigned: Vec<u32>,
    replicas: usize,
}

fn divide(
    points: &Points,
    rows: &[u32],
    replicas: usize,
    leaf: usize,
    seed: u64,
    phase: &Phase<'_>,
) -> Result<Division, GraphError> {
    // Parts half full on average, so that few of them must be split again.
    let wanted = (2 * rows.len() * replicas).div_ceil(leaf);
    let leaders_count = wanted.clamp(2, MOST_LEADERS.min(rows.len()));
    let leaders = Random::new(seed).sample(rows, leaders_count);
    let replicas = replicas.min(leaders_count);
    let assigned = assign(points, rows, &leaders, replicas, phase)?;
    Ok(Division { leaders, assigned, replicas })
}

impl Division {
    /// The parts, of at most `leaf` rows each.
    fn split(
        self,
        points: &Points,
        rows: Vec<u32>,
        leaf: usize,
        seed: u64,
        phase: &Phase<'_>,
    ) -> Result<Vec<Vec<u32>>, GraphError> {
        let mut parts: Vec<Vec<u32>> = vec![Vec::new(); self.leaders.len()];
        for (row, leaders) in rows.iter().zip(self.assigned.chunks(self.replicas)) {
            for &leader in leaders {
                parts[leader as usize].push(*row);
            }
        }
        let total = rows.len();
        drop((self, rows));
        let parts = parts
            .into_par_iter()
            .enumerate()
            .map(|(index, mut part)| {
                let seed = seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                if part.len() > leaf && part.len() * 10 > total * 9 {
                    // Rows that distance does not tell apart, such as copies: any cut will do.
                    Random::new(seed).shuffle(&mut part);
                    Ok(part.chunks(leaf).map(<[u32]>::to_vec).collect())
                } else {
                    split(points, part, leaf, seed, phase)
                }
            })
            .collect::<Result<Vec<_>, GraphError>>()?;
        Ok(parts.into_iter().flatten().collect())
    }
}

/// The numbers of the nearest `replicas` leaders of each row.
fn assign(
    points: &Points,
    rows: &[u32],
    leaders: &[u32],
    replicas: usize,
    phase: &Phase<'_>,
) -> Result<Vec<u32>, GraphError> {
    let mut values = Vec::new();
    gather(points, leaders, &mut values);
    let part = Part::new(points, leaders, &values);
    drop(values);
    let mut assigned = vec![0u32; rows.len() * replicas];
    assigned
        .par_chunks_mut(ROWS_PER_TASK * replicas)
        .zip(rows.par_chunks(ROWS_PER_TASK))
        .try_for_each_init(Comparison::default, |comparison, (assigned, rows)| {
            let Comparison { values, products, minima, best } = comparison;
            minima.resize(leaders.len().div_ceil(DISTANCES_PER_MINIMUM), 0.0);
            let blocks = rows.chunks(ROWS_PER_PRODUCT);
            for (assigned, rows) in assigned.chunks_mut(ROWS_PER_PRODUCT * replicas).zip(blocks) {
                gather(points, rows, values);
                part.products(values, products);
                for ((distances, assigned), &row) in
                    products.chunks_mut(leaders.len()).zip(assigned.chunks_mut(replicas)).zip(rows)
                {
                    part.turn_into_distances(points, row, distances, minima);
                    nearest(best, replicas, distances, minima, f32::INFINITY);
                    for (to, from) in assigned.iter_mut().zip(&*best) {
                        *to = from.row;
                    }
                }
            }
            phase.advance(rows.len())
        })?;
    Ok(assigned)
}

/// Buffers of a thread that compares the rows of parts.
#[derive(Default)]
struct Comparison {
    values: Vec<f32>,
    products: Vec<f32>,
    minima: Vec<f32>,
    best: Vec<Candidate>,
}

/// The positions of the `most` least distances below `limit`, least first.
/// `minima` are no greater than the least of each [`DISTANCES_PER_MINIMUM`].
fn nearest(
    best: &mut Vec<Candidate>,
    most: usize,
    distances: &[f32],
    minima: &[f32],
    mut limit: f32,
) {
    best.clear();
    for ((chunk, distances), &least) in
        distances.chunks(DISTANCES_PER_MINIMUM).enumerate().zip(minima)
    {
        // Most chunks hold nothing that is near.
        if least >= limit {
            continue;
        }
        for (index, &distance) in distances.iter().enumerate() {
            let position = chunk * DISTANCES_PER_MINIMUM + index;
            if distance >= limit {
                continue;
            }
            if best.len() == most {
                best.pop();
            }
            let at = best.partition_point(|other| other.distance <= distance);
            best.insert(at, Candidate { distance, row: position as u32 });
            if best.len() == most {
                limit = best[most - 1].distance;
            }
        }
    }
}

/// Rows that others are compared with, as the right-hand side of a matrix product.
struct Part {
    packed: PackedMatrix,
    /// Squared lengths, lifts included; 1 for angles.
    squares: Vec<f32>,
    lifts: Vec<f32>,
    /// Inverse lengths for angles, else 1.
    scales: Vec<f32>,
}

impl Part {
    /// `values` are the points of `rows`.
    fn new(points: &Points, rows: &[u32], values: &[f32]) -> Self {
        let backend = Backend::active();
        let values = MatrixRows::new(values, rows.len(), points.width, points.width);
        let packed = PackedMatrix::new(backend, Precision::F32, values, None);
        let of = |measure: &dyn Fn(u32) -> f32| rows.iter().map(|&row| measure(row)).collect();
        match points.kind {
            Nearness::Distance => Self {
                packed,
                squares: of(&|row| square(points, backend, row)),
                lifts: of(&|row| points.lift(row)),
                scales: vec![1.0; rows.len()],
            },
            Nearness::Angle => Self {
                packed,
                squares: vec![1.0; rows.len()],
                lifts: vec![0.0; rows.len()],
                scales: of(&|row| points.inverse_length(row)),
            },
        }
    }

    /// The products of each of some points with each row of the part.
    fn products(&self, values: &[f32], products: &mut Vec<f32>) {
        let (width, columns) = (self.packed.depth(), self.packed.columns());
        let count = values.len() / width;
        products.resize(count * columns, 0.0);
        matmul(
            Input::F32(MatrixRows::new(values, count, width, width)),
            &self.packed,
            0,
            Activation::Identity,
            Output::F32(RowsMut::new(products, count, columns, columns)),
        );
    }

    /// Turns a row's products into its distances, those of [`Points::distance`] up to rounding, and
    /// gives their minima.
    fn turn_into_distances(
        &self,
        points: &Points,
        row: u32,
        products: &mut [f32],
        minima: &mut [f32],
    ) {
        let backend = Backend::active();
        let own = match points.kind {
            Nearness::Distance => {
                let square = square(points, backend, row);
                Lengths { square, lift: points.lift(row), scale: 1.0 }
            }
            Nearness::Angle => {
                Lengths { square: 1.0, lift: 0.0, scale: points.inverse_length(row) }
            }
        };
        let others = Lengths { square: &*self.squares, lift: &*self.lifts, scale: &*self.scales };
        backend.distances_of_products(own, others, products, minima);
    }
}

fn square(points: &Points, backend: Backend, row: u32) -> f32 {
    let point = points.get(row);
    backend.dot(point, point) + points.lift(row) * points.lift(row)
}

pub(crate) fn gather(points: &Points, rows: &[u32], values: &mut Vec<f32>) {
    values.clear();
    for &row in rows {
        values.extend_from_slice(points.get(row));
    }
}
