//! Every node's neighbours, from its near rows.

use std::collections::HashMap;

use rayon::prelude::*;

use super::error::GraphError;
use super::neighbour_lists::{Candidate, NeighbourLists, RowFilter};
use super::point_codes::PointCodes;
use super::progress::Phase;
use super::prune::Pruner;
use super::space::Points;

/// Rows that one task handles.
const ROWS_PER_TASK: usize = 64;

/// Rows that chose a node are remembered up to so many times its places.
pub(crate) const INCOMING_OF_A_PLACE: usize = 2;

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

    /// Gives each node the diverse ones of its near rows, then nodes that chose it: good enough to walk.
    pub(crate) fn choose(
        points: &Points,
        codes: &PointCodes<'_>,
        near: &[Vec<Candidate>],
        strongest: &[Vec<Candidate>],
        degree: usize,
        phase: &Phase<'_>,
    ) -> Result<Self, GraphError> {
        let chosen: Vec<Vec<Candidate>> = near
            .par_chunks(ROWS_PER_TASK)
            .map_init(
                || Pruner::new(points, codes),
                |pruner, near| {
                    let choose = |near: &Vec<Candidate>| pruner.diverse(near, degree);
                    let chosen: Vec<Vec<Candidate>> = near.iter().map(choose).collect();
                    phase.advance(near.len())?;
                    Ok(chosen)
                },
            )
            .collect::<Result<Vec<_>, GraphError>>()?
            .into_iter()
            .flatten()
            .collect();
        Self::link(points, codes, near, &chosen, strongest, degree, false, phase)
    }

    /// Gives each node the rows that it chose, or `again` the diverse ones among these and the nodes that
    /// chose it, and then the nearest others of both, since a walk must find back: scanning a block costs
    /// the same however many of its places are used. Rows in `strongest`, whose dot product with the node
    /// is great, go before those.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn link(
        points: &Points,
        codes: &PointCodes<'_>,
        near: &[Vec<Candidate>],
        chosen: &[Vec<Candidate>],
        strongest: &[Vec<Candidate>],
        degree: usize,
        again: bool,
        phase: &Phase<'_>,
    ) -> Result<Self, GraphError> {
        let incoming = NeighbourLists::new(near.len(), INCOMING_OF_A_PLACE * degree);
        chosen.par_iter().with_min_len(ROWS_PER_TASK).enumerate().for_each(|(row, chosen)| {
            for candidate in chosen {
                let back = Candidate { distance: candidate.distance, row: row as u32 };
                incoming.add(candidate.row, back);
            }
        });
        let incoming = incoming.into_lists();
        let mut neighbours = vec![0u32; near.len() * degree];
        let mut counts = vec![0u16; near.len()];
        neighbours
            .par_chunks_mut(degree * ROWS_PER_TASK)
            .zip(counts.par_chunks_mut(ROWS_PER_TASK))
            .enumerate()
            .try_for_each_init(
                || (Pruner::new(points, codes), Vec::new()),
                |(pruner, all), (task, (places, counts))| {
                    for (index, (places, count)) in
                        places.chunks_mut(degree).zip(counts).enumerate()
                    {
                        let row = task * ROWS_PER_TASK + index;
                        union(&chosen[row], &incoming[row], all);
                        let places_of_near = degree - strongest[row].len().min(degree / 4);
                        let mut rows = if again {
                            pruner.diverse(all, places_of_near)
                        } else {
                            chosen[row].iter().take(places_of_near).copied().collect()
                        };
                        for other in strongest[row].iter().chain(all.iter()).chain(&near[row]) {
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
                },
            )?;
        let mut adjacency = Self { degree, neighbours, counts };
        adjacency.link_copies(points);
        Ok(adjacency)
    }

    /// Rings the copies of each row: each has the next one as its first neighbour, then those of
    /// the original. So a walk meets one more copy a visit, and never nothing but copies.
    fn link_copies(&mut self, points: &Points) {
        // The copy of each original that was met last; the ring closes at the original.
        let mut last: HashMap<u32, u32> = HashMap::new();
        for row in (0..points.len() as u32).filter(|&row| !points.is_original(row)) {
            last.insert(points.original(row), row);
        }
        for &original in last.keys() {
            let count = &mut self.counts[original as usize];
            *count = (*count + 1).min(self.degree as u16);
            let places = &mut self.neighbours[original as usize * self.degree..][..self.degree];
            places.copy_within(..self.degree - 1, 1);
        }
        let mut before = last;
        for row in (0..points.len() as u32).filter(|&row| !points.is_original(row)).rev() {
            let original = points.original(row);
            let from = original as usize * self.degree;
            self.neighbours.copy_within(from..from + self.degree, row as usize * self.degree);
            self.counts[row as usize] = self.counts[original as usize];
            let next = before.insert(original, row).filter(|&next| next != row);
            self.neighbours[row as usize * self.degree] = next.unwrap_or(original);
        }
        for (original, first) in before {
            self.neighbours[original as usize * self.degree] = first;
        }
    }
}

/// What is in either of two lists, nearest first, each row once.
fn union(first: &[Candidate], second: &[Candidate], all: &mut Vec<Candidate>) {
    all.clear();
    let (mut rest, mut others) = (first, second);
    let mut present = RowFilter::default();
    loop {
        let candidate = match (rest.first(), others.first()) {
            (Some(candidate), other) if other.is_none_or(|other| candidate.before(other)) => {
                rest = &rest[1..];
                candidate
            }
            (_, Some(other)) => {
                others = &others[1..];
                other
            }
            (_, None) => break,
        };
        // The distances of a pair from one and from the other may differ in the last bits.
        let row = candidate.row;
        if !(present.may_hold(row) && all.iter().any(|other| other.row == row)) {
            present.add(row);
            all.push(*candidate);
        }
    }
}

/// Nearest first, each row once.
pub(crate) fn sort_and_deduplicate(candidates: &mut Vec<Candidate>) {
    candidates.sort_unstable_by(|a, b| a.row.cmp(&b.row).then(a.distance.total_cmp(&b.distance)));
    candidates.dedup_by_key(|candidate| candidate.row);
    candidates.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
}
