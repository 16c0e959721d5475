//! What a record has in its collection's fields.

use std::sync::{Arc, OnceLock};

use crate::schema::Metric;
use crate::score;
use crate::sparse_vector::SparseVector;

/// A vector in a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldVector {
    /// As many numbers as the field's dimension says.
    Dense(Vec<f32>),
    /// Of a sparse field.
    Sparse(SparseVector),
}

/// A record's vectors in the fields of its collection, by the fields' numbers: their places in
/// [`Schema::fields`](crate::Schema::fields). Clones share them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldVectors(Option<Arc<[Entry]>>);

#[derive(Clone, Debug)]
struct Entry {
    field: u8,
    vector: FieldVector,
    /// One over its length, once a search by cosine asked for it.
    inverse_norm: OnceLock<f32>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.vector == other.vector
    }
}

impl FieldVector {
    /// The numbers of a dense one.
    pub(crate) fn into_dense(self) -> Option<Vec<f32>> {
        match self {
            Self::Dense(numbers) => Some(numbers),
            Self::Sparse(_) => None,
        }
    }

    /// A sparse one.
    pub(crate) fn into_sparse(self) -> Option<SparseVector> {
        match self {
            Self::Sparse(sparse) => Some(sparse),
            Self::Dense(_) => None,
        }
    }
}

impl FieldVectors {
    /// Vectors with the numbers of their fields, which ascend.
    pub fn new(vectors: Vec<(u8, FieldVector)>) -> Self {
        let entry = |(field, vector)| Entry { field, vector, inverse_norm: OnceLock::new() };
        Self((!vectors.is_empty()).then(|| vectors.into_iter().map(entry).collect()))
    }

    /// Whether the record has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn entries(&self) -> &[Entry] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The numbers of the fields that the record has a vector in, and these.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &FieldVector)> {
        self.entries().iter().map(|entry| (entry.field, &entry.vector))
    }

    /// The vector in the field of a number.
    pub fn get(&self, field: u8) -> Option<&FieldVector> {
        self.iter().find(|(number, _)| *number == field).map(|(_, vector)| vector)
    }

    /// The vector in a dense field, and for cosine one over its length.
    pub(crate) fn dense(&self, field: u8, metric: Metric) -> Option<(&[f32], f32)> {
        let entry = self.entries().iter().find(|entry| entry.field == field)?;
        let FieldVector::Dense(vector) = &entry.vector else { return None };
        let inverse_norm = match metric {
            Metric::Cosine => *entry.inverse_norm.get_or_init(|| score::inverse_norm(vector)),
            Metric::Dot | Metric::L2 | Metric::Hamming => 1.0,
        };
        Some((vector, inverse_norm))
    }

    /// Bytes on the heap.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let bytes = |vector: &FieldVector| match vector {
            FieldVector::Dense(numbers) => numbers.len() * 4,
            FieldVector::Sparse(sparse) => sparse.indices().len() * 8,
        };
        self.iter().map(|(_, vector)| (size_of::<Entry>() + bytes(vector)) as u64).sum()
    }
}
