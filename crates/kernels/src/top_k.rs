//! The best k of a stream of scores, in memory bounded by k.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::Backend;

/// A scored index. Ordered so that the *worst* is the greatest, which a max-heap keeps at hand.
#[derive(Clone, Copy, PartialEq)]
struct Entry<Index> {
    score: f32,
    index: Index,
}

impl<Index: Ord> Eq for Entry<Index> {}

impl<Index: Ord> Ord for Entry<Index> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.index.cmp(&other.index))
    }
}

impl<Index: Ord> PartialOrd for Entry<Index> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Keeps the `k` greatest scores; equal scores go to the smaller index, NaN never enters.
///
/// What it keeps does not depend on the order of the pushes.
pub struct TopK<Index = u32> {
    k: usize,
    worst_first: BinaryHeap<Entry<Index>>,
    threshold: f32,
}

impl<Index: Ord + Copy> TopK<Index> {
    /// An empty selection of at most `k`; memory grows with what is pushed, not with `k`.
    pub fn new(k: usize) -> Self {
        let threshold = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        TopK { k, worst_first: BinaryHeap::new(), threshold }
    }

    /// No score below this can enter (an equal one can, with a smaller index).
    #[inline]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Offers a score.
    #[inline]
    pub fn push(&mut self, score: f32, index: Index) {
        // Also false for NaN.
        if score >= self.threshold && self.k > 0 {
            self.insert(Entry { score: score + 0.0, index });
        }
    }

    fn insert(&mut self, entry: Entry<Index>) {
        if self.worst_first.len() < self.k {
            self.worst_first.push(entry);
        } else if let Some(mut worst) = self.worst_first.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
        if self.worst_first.len() == self.k
            && let Some(worst) = self.worst_first.peek()
        {
            self.threshold = worst.score;
        }
    }

    /// Takes over everything that `other` kept.
    pub fn merge(&mut self, other: TopK<Index>) {
        for entry in other.worst_first {
            self.push(entry.score, entry.index);
        }
    }

    /// `(score, index)`, best first.
    pub fn into_sorted(self) -> Vec<(f32, Index)> {
        let entries = self.worst_first.into_sorted_vec();
        entries.into_iter().map(|entry| (entry.score, entry.index)).collect()
    }
}

impl Backend {
    /// The `k` rows of row-major `rows` with the greatest dot product with `query`, as
    /// `(score, row)`, best first; fewer where there are fewer rows.
    ///
    /// # Panics
    /// `rows` is not a whole number of rows, or `query` is empty.
    pub fn top_k_dot(self, query: &[f32], rows: &[f32], k: usize) -> Vec<(f32, u32)> {
        const BLOCK: usize = 256;
        assert!(!query.is_empty(), "an empty query has no nearest rows");
        assert!(rows.len().is_multiple_of(query.len()), "rows must be of query.len() columns");
        let mut best = TopK::new(k);
        let mut scores = [0.0; BLOCK];
        let mut first = 0;
        for block in rows.chunks(BLOCK * query.len()) {
            let scores = &mut scores[..block.len() / query.len()];
            self.dot_many(query, block, scores);
            for (offset, &score) in scores.iter().enumerate() {
                best.push(score, first + offset as u32);
            }
            first += scores.len() as u32;
        }
        best.into_sorted()
    }
}
