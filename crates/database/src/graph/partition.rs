//! Near rows of every row, by partitions and matrix products.
//!
//! Rows are assigned to the nearest few of some random leaders, recursively, until a part is small
//! enough to compare all of its rows with each other in one matrix product (as in "PiPNN", arXiv
//! 2602.21247). Neighbours that one part separates meet in another: each row is in several.

use kernels::{Activation, Backend, PackedMatrix, Rows as MatrixRows, RowsMut, matmul};
use rayon::prelude::*;

use super::error::GraphError;
use super::neighbour_lists::{Candidate, NeighbourLists};
use super::progress::Phase;
use super::random::Random;
use super::space::Points;

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

/// The most leaders of one partition.
const MOST_LEADERS: usize = 1024;

/// Rows that one task assigns.
const ROWS_PER_TASK: usize = 512;

/// All parts: each row is in about `replicas` of them.
pub(crate) fn partition(
    points: &Points,
    options: &PartitionOptions,
    seed: u64,
    phase: &Phase<'_>,
) -> Result<Vec<Vec<u32>>, GraphError> {
    let rows: Vec<u32> = (0..points.len() as u32).collect();
    split(points, rows, options.replicas, options.leaf, seed, phase)
}

fn split(
    points: &Points,
    rows: Vec<u32>,
    replicas: usize,
    leaf: usize,
    seed: u64,
    phase: &Phase<'_>,
) -> Result<Vec<Vec<u32>>, GraphError> {
    if rows.len() <= leaf {
        return Ok(vec![rows]);
    }
    let mut random = Random::new(seed);
    // Parts half full on average, so that few of them must be split again.
    let wanted = (2 * rows.len() * replicas).div_ceil(leaf);
    let leaders_count = wanted.clamp(2, MOST_LEADERS.min(rows.len()));
    let leaders = random.sample(&rows, leaders_count);
    let assigned = assign(points, &rows, &leaders, replicas.min(leaders_count), phase)?;
    let mut parts: Vec<Vec<u32>> = vec![Vec::new(); leaders_count];
    for (row, leaders) in rows.iter().zip(assigned.chunks(replicas.min(leaders_count))) {
        for &leader in leaders {
            parts[leader as usize].push(*row);
        }
    }
    let total = rows.len();
    drop(rows);
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
                split(points, part, 1, leaf, seed, phase)
            }
        })
        .collect::<Result<Vec<_>, GraphError>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// The numbers of the nearest `replicas` leaders of each row.
fn assign(
    points: &Points,
    rows: &[u32],
    leaders: &[u32],
    replicas: usize,
    phase: &Phase<'_>,
) -> Result<Vec<u32>, GraphError> {
    let backend = Backend::active();
    let packed = pack(points, leaders, backend);
    let norms = half_norms(points, leaders, backend);
    let mut assigned = vec![0u32; rows.len() * replicas];
    assigned
        .par_chunks_mut(ROWS_PER_TASK * replicas)
        .zip(rows.par_chunks(ROWS_PER_TASK))
        .try_for_each(|(assigned, rows)| {
            let products = products(points, rows, &packed);
            let mut best: Vec<Candidate> = Vec::with_capacity(replicas + 1);
            for ((products, assigned), &row) in
                products.chunks(leaders.len()).zip(assigned.chunks_mut(replicas)).zip(rows)
            {
                best.clear();
                for (leader, (product, norm)) in products.iter().zip(&norms).enumerate() {
                    let lifts = points.lift(row) * points.lift(leaders[leader]);
                    keep_nearest(
                        &mut best,
                        replicas,
                        Candidate { distance: norm - product - lifts, row: leader as u32 },
                    );
                }
                for (to, from) in assigned.iter_mut().zip(&best) {
                    *to = from.row;
                }
            }
            phase.advance(rows.len())
        })?;
    Ok(assigned)
}

/// Compares all rows of every part and merges what each row finds into `lists`.
pub(crate) fn compare_parts(
    points: &Points,
    parts: &[Vec<u32>],
    nearest: usize,
    lists: &NeighbourLists,
    phase: &Phase<'_>,
) -> Result<(), GraphError> {
    parts.par_iter().try_for_each(|part| {
        let backend = Backend::active();
        let packed = pack(points, part, backend);
        let norms = half_norms(points, part, backend);
        let mut best: Vec<Candidate> = Vec::with_capacity(nearest + 1);
        for (block, rows) in part.chunks(ROWS_PER_TASK).enumerate() {
            let products = products(points, rows, &packed);
            for (index, (&row, products)) in
                rows.iter().zip(products.chunks(part.len())).enumerate()
            {
                let own = block * ROWS_PER_TASK + index;
                best.clear();
                for (other, (product, norm)) in products.iter().zip(&norms).enumerate() {
                    let distance = norm - product - points.lift(row) * points.lift(part[other]);
                    if other != own {
                        keep_nearest(&mut best, nearest, Candidate { distance, row: part[other] });
                    }
                }
                // Half of a squared distance, less what is the same for all others.
                for candidate in &mut best {
                    candidate.distance = (2.0 * (candidate.distance + norms[own])).max(0.0);
                }
                lists.merge(row, &best);
            }
        }
        phase.advance(part.len())
    })
}

#[inline]
fn keep_nearest(best: &mut Vec<Candidate>, most: usize, candidate: Candidate) {
    if best.len() == most {
        if !candidate.before(&best[most - 1]) {
            return;
        }
        best.pop();
    }
    let mut at = best.len();
    while at > 0 && candidate.before(&best[at - 1]) {
        at -= 1;
    }
    best.insert(at, candidate);
}

fn gather(points: &Points, rows: &[u32]) -> Vec<f32> {
    let mut values = Vec::with_capacity(rows.len() * points.width);
    for &row in rows {
        values.extend_from_slice(points.get(row));
    }
    values
}

fn pack(points: &Points, rows: &[u32], backend: Backend) -> PackedMatrix {
    let values = gather(points, rows);
    let mut packed = PackedMatrix::new(backend);
    packed.pack_transposed(MatrixRows::new(&values, rows.len(), points.width, points.width));
    packed
}

fn half_norms(points: &Points, rows: &[u32], backend: Backend) -> Vec<f32> {
    rows.iter()
        .map(|&row| {
            let point = points.get(row);
            0.5 * (backend.dot(point, point) + points.lift(row) * points.lift(row))
        })
        .collect()
}

fn products(points: &Points, rows: &[u32], packed: &PackedMatrix) -> Vec<f32> {
    let values = gather(points, rows);
    let columns = packed.columns();
    let mut products = vec![0.0f32; rows.len() * columns];
    matmul(
        MatrixRows::new(&values, rows.len(), points.width, points.width),
        packed,
        None,
        Activation::Identity,
        RowsMut::new(&mut products, rows.len(), columns, columns),
    );
    products
}
