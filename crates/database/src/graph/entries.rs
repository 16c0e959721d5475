//! Where walks start: a sample of all rows, for dot products the longest ones, and whatever no walk from there would reach.
//!
//! The entry points are scanned like the neighbours of a node that lies in the centre of all rows.

use super::adjacency::Adjacency;
use super::layout::MAX_ENTRIES;
use super::random::Random;
use super::space::{Nearness, Points};

/// Rows of the sample: enough to start near every query, few enough to scan in about the time of
/// ten visits.
const SAMPLE: usize = 512;

/// The sample is at most this part of all rows.
const SAMPLE_PART: usize = 8;

/// Chooses the entry points; every row can be reached from them, up to [`MAX_ENTRIES`].
pub(crate) fn choose_entries(points: &Points, adjacency: &Adjacency, seed: u64) -> Vec<u32> {
    let count = adjacency.len();
    let rows: Vec<u32> = (0..count as u32).collect();
    let sample = SAMPLE.min(count.div_ceil(SAMPLE_PART));
    let mut entries = Random::new(seed).sample(&rows, sample);
    if points.kind == Nearness::Angle {
        // The longest rows are answers to more queries than any others.
        let mut longest = rows.clone();
        let inverse = |row: &u32| points.inverse_length(*row);
        longest.sort_by(|a, b| inverse(a).total_cmp(&inverse(b)));
        longest.retain(|row| inverse(row) > 0.0 && !entries.contains(row));
        longest.truncate(sample);
        entries.extend(longest);
    }
    let mut reached = vec![false; count];
    let mut ahead = Vec::new();
    for &entry in &entries {
        reached[entry as usize] = true;
        ahead.push(entry);
    }
    reach(adjacency, &mut reached, &mut ahead);
    for row in rows {
        if !reached[row as usize] && entries.len() < MAX_ENTRIES {
            entries.push(row);
            reached[row as usize] = true;
            ahead.push(row);
            reach(adjacency, &mut reached, &mut ahead);
        }
    }
    entries
}

/// Marks what can be reached from the rows in `ahead`.
fn reach(adjacency: &Adjacency, reached: &mut [bool], ahead: &mut Vec<u32>) {
    while let Some(row) = ahead.pop() {
        for &neighbour in adjacency.of(row) {
            if !std::mem::replace(&mut reached[neighbour as usize], true) {
                ahead.push(neighbour);
            }
        }
    }
}
