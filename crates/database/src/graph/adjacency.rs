//! Every node's neighbours, from its near rows.

use kernels::Backend;
use rayon::prelude::*;

use super::error::GraphError;
use super::neighbour_lists::{Candidate, NeighbourLists};
use super::progress::Phase;
use super::prune::diverse;
use super::space::Points;

/// Rows that one task handles.
const ROWS_PER_TASK: usize = 64;

/// The neighbours of all nodes, `degree` places each.
pub(crate) struct Adjacency {
    degree: usize,
    neighbours: Vec<u32>,
    counts: Vec<u16>,
}

impl Adjacency {
    pub(crate) fn of(&self, row: u32) -> &[u32] {
        let row = row as usize;
        &self.neighbours[row * self.degree..][..usize::from(self.counts[row])]
    }

    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Gives each node the diverse ones of its near rows and of the nodes that chose it. A walk
    /// must find back, so the latter count as near. Places that are left go to the nearest others,
    /// because scanning a block costs the same however many of its places are used.
    pub(crate) fn choose(
        points: &Points,
        near: &[Vec<Candidate>],
        degree: usize,
        phase: &Phase<'_>,
    ) -> Result<Self, GraphError> {
        let backend = Backend::active();
        let incoming = NeighbourLists::new(near.len(), 2 * degree);
        let chosen: Vec<Vec<Candidate>> = near
            .par_chunks(ROWS_PER_TASK)
            .enumerate()
            .map(|(task, near)| {
                let mut chosen = Vec::with_capacity(near.len());
                for (index, near) in near.iter().enumerate() {
                    let row = (task * ROWS_PER_TASK + index) as u32;
                    let diverse = diverse(points, backend, near, degree);
                    for candidate in &diverse {
                        let back = Candidate { distance: candidate.distance, row };
                        incoming.merge(candidate.row, &[back]);
                    }
                    chosen.push(diverse);
                }
                phase.advance(near.len())?;
                Ok(chosen)
            })
            .collect::<Result<Vec<_>, GraphError>>()?
            .into_iter()
            .flatten()
            .collect();
        let incoming = incoming.into_lists();
        let mut neighbours = vec![0u32; near.len() * degree];
        let mut counts = vec![0u16; near.len()];
        neighbours
            .par_chunks_mut(degree * ROWS_PER_TASK)
            .zip(counts.par_chunks_mut(ROWS_PER_TASK))
            .enumerate()
            .try_for_each(|(task, (places, counts))| {
                let mut all = Vec::new();
                for (index, (places, count)) in places.chunks_mut(degree).zip(counts).enumerate() {
                    let row = task * ROWS_PER_TASK + index;
                    all.clear();
                    all.extend_from_slice(&chosen[row]);
                    all.extend_from_slice(&incoming[row]);
                    sort_and_deduplicate(&mut all);
                    let mut rows = diverse(points, backend, &all, degree);
                    for other in all.iter().chain(&near[row]) {
                        if rows.len() == degree {
                            break;
                        }
                        if !rows.iter().any(|taken| taken.row == other.row) {
                            rows.push(*other);
                        }
                    }
                    for (place, taken) in places.iter_mut().zip(&rows) {
                        *place = taken.row;
                    }
                    *count = rows.len() as u16;
                }
                phase.advance(ROWS_PER_TASK)
            })?;
        Ok(Self { degree, neighbours, counts })
    }
}

/// Nearest first, each row once.
pub(crate) fn sort_and_deduplicate(candidates: &mut Vec<Candidate>) {
    candidates.sort_unstable_by(|a, b| a.row.cmp(&b.row).then(a.distance.total_cmp(&b.distance)));
    candidates.dedup_by_key(|candidate| candidate.row);
    candidates.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
}
