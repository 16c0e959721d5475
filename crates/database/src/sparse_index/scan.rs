//! Scoring vectors one by one, where there is no index.

use std::borrow::Borrow;

use kernels::TopK;

use crate::sparse_vector::{SparseVector, rounded};

/// A query that many vectors are compared with.
///
/// ```
/// use database::{SparseScorer, SparseVector};
///
/// # fn main() -> database::Result<()> {
/// let query = SparseVector::new(vec![1, 5], vec![1.0, 2.0])?;
/// let vectors = [SparseVector::new(vec![5], vec![1.5])?, SparseVector::new(vec![7], vec![1.0])?];
/// let scorer = SparseScorer::new(&query);
/// assert_eq!(scorer.score(&vectors[0]), Some(3.0));
/// assert_eq!(scorer.best((0..).zip(&vectors), 10, f32::NEG_INFINITY), [(3.0, 0)]);
/// # Ok(())
/// # }
/// ```
pub struct SparseScorer<'a> {
    query: &'a SparseVector,
    /// A bit for the low bits of each of the query's indices: most indices of a vector are not
    /// among them, which is known after one look.
    marks: Box<[u64; MARKS / 64]>,
}

const MARKS: usize = 1 << 14;

fn mark(index: u32) -> (usize, u64) {
    let place = index as usize % MARKS;
    (place / 64, 1 << (place % 64))
}

impl<'a> SparseScorer<'a> {
    /// Makes a query ready.
    pub fn new(query: &'a SparseVector) -> Self {
        let mut marks = Box::new([0; MARKS / 64]);
        for index in query.indices() {
            let (word, bit) = mark(*index);
            marks[word] |= bit;
        }
        Self { query, marks }
    }

    /// What [`SparseVector::dot`] is.
    pub fn score(&self, vector: &SparseVector) -> Option<f32> {
        let mut rest = self.query.indices();
        let mut sum = None;
        for (index, value) in vector.iter() {
            let (word, bit) = mark(index);
            if self.marks[word] & bit == 0 {
                continue;
            }
            let place = rest.partition_point(|other| *other < index);
            rest = &rest[place..];
            if rest.first() == Some(&index) {
                let weight = self.query.values()[self.query.values().len() - rest.len()];
                *sum.get_or_insert(0.0) += f64::from(value) * f64::from(weight);
            }
        }
        sum.map(rounded)
    }

    /// The best of some vectors with their numbers, as [`SparseIndex::search`] gives them.
    ///
    /// [`SparseIndex::search`]: crate::SparseIndex::search
    pub fn best<V: Borrow<SparseVector>>(
        &self,
        vectors: impl IntoIterator<Item = (u32, V)>,
        limit: usize,
        floor: f32,
    ) -> Vec<(f32, u32)> {
        let mut best = TopK::new(limit);
        // `max` gives the other one for a floor that is no number.
        let floor = floor.max(f32::NEG_INFINITY);
        for (row, vector) in vectors {
            if let Some(score) = self.score(vector.borrow()).filter(|score| *score >= floor) {
                best.push(score, row);
            }
        }
        best.into_sorted()
    }
}
