//! Vectors that are zero nearly everywhere.

use crate::error::{Error, Result};
use crate::format::MAX_SPARSE_NUMBERS;

/// Numbers at some places; at all others there are zeros.
///
/// A zero that is given is kept: the vector has that index, and counts as having it in common with
/// another one, though the product adds nothing.
///
/// ```
/// use database::SparseVector;
///
/// # fn main() -> database::Result<()> {
/// let text = SparseVector::new(vec![3, 70_000, u32::MAX], vec![0.5, 1.0, -2.0])?;
/// let query = SparseVector::new(vec![3, 4, 70_000], vec![2.0, 9.0, 0.25])?;
/// assert_eq!(text.dot(&query), Some(1.25));
/// assert_eq!(text.dot(&SparseVector::new(vec![4], vec![1.0])?), None);
/// assert!(SparseVector::new(vec![5, 5], vec![1.0, 1.0]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseVector {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl SparseVector {
    /// A number for each index; the indices are in ascending order, each but once, and there are at
    /// most 65,536.
    ///
    /// # Errors
    /// `InvalidArgument` says what is wrong.
    pub fn new(indices: Vec<u32>, values: Vec<f32>) -> Result<Self> {
        let vector = Self { indices, values };
        match vector.problem() {
            Some(problem) => Err(Error::InvalidArgument(problem)),
            None => Ok(vector),
        }
    }

    fn problem(&self) -> Option<String> {
        let Self { indices, values } = self;
        if indices.len() != values.len() {
            return Some(format!(
                "a sparse vector has a value for each index, not {} for {}",
                values.len(),
                indices.len()
            ));
        }
        if indices.len() > MAX_SPARSE_NUMBERS {
            return Some(format!(
                "a sparse vector has at most {MAX_SPARSE_NUMBERS} numbers, not {}",
                indices.len()
            ));
        }
        if let Some(pair) = indices.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Some(match pair[0] == pair[1] {
                true => format!("a sparse vector has each index once, but {} twice", pair[0]),
                false => format!(
                    "the indices of a sparse vector ascend, but {} comes before {}",
                    pair[0], pair[1]
                ),
            });
        }
        let place = values.iter().position(|value| !value.is_finite())?;
        Some(format!("the value at index {} is NaN or an infinity", indices[place]))
    }

    /// Where it has numbers, in ascending order.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The numbers, one an index.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The indices and their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.indices.iter().copied().zip(self.values.iter().copied())
    }

    /// Gives the indices and the values.
    pub fn into_parts(self) -> (Vec<u32>, Vec<f32>) {
        (self.indices, self.values)
    }

    /// The sum of the products of what both have, in double precision and in the order of the
    /// indices, rounded once; `None` where they have no index in common. A sum that is too large
    /// for single precision is an infinity.
    pub fn dot(&self, other: &Self) -> Option<f32> {
        let (mut own, mut others) = (0, 0);
        let mut sum = None;
        while let (Some(a), Some(b)) = (self.indices.get(own), other.indices.get(others)) {
            if a == b {
                let product = f64::from(self.values[own]) * f64::from(other.values[others]);
                *sum.get_or_insert(0.0) += product;
            }
            own += usize::from(a <= b);
            others += usize::from(b <= a);
        }
        sum.map(rounded)
    }
}

/// A sum of products as a score, which has no negative zero.
pub(crate) fn rounded(sum: f64) -> f32 {
    sum as f32 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sparse_vector_is_refused_in_words() {
        let cases: [(Vec<u32>, Vec<f32>, &str); 5] = [
            (vec![1, 2], vec![1.0], "a value for each index, not 1 for 2"),
            (vec![2, 1], vec![1.0, 1.0], "ascend, but 2 comes before 1"),
            (vec![7, 7], vec![1.0, 1.0], "each index once, but 7 twice"),
            (vec![1, 9], vec![1.0, f32::NAN], "the value at index 9 is NaN"),
            ((0..65_537).collect(), vec![0.0; 65_537], "at most 65536 numbers, not 65537"),
        ];
        for (indices, values, expected) in cases {
            let error = SparseVector::new(indices, values).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(SparseVector::new((0..65_536).collect(), vec![0.0; 65_536]).is_ok());
    }

    #[test]
    fn scores_have_no_negative_zero_and_end_at_infinity() {
        let vector = |value| SparseVector::new(vec![4], vec![value]).unwrap();
        let tiny = vector(-f32::MIN_POSITIVE).dot(&vector(f32::MIN_POSITIVE)).unwrap();
        assert_eq!(tiny.to_bits(), 0f32.to_bits());
        assert_eq!(vector(f32::MAX).dot(&vector(-f32::MAX)), Some(f32::NEG_INFINITY));
        assert_eq!(vector(0.0).dot(&vector(1.0)), Some(0.0));
    }
}
