//! Vectors in a collection's fields: what fields are, what goes into them, and searches.

mod column;
mod field;
mod search;
mod sparse;

pub(crate) use column::columns;
pub(crate) use field::{SparseField, VectorField, fields_of, fields_to_python};
pub(crate) use search::{FieldSearch, recall, search, search_batch, search_fused};
pub(crate) use sparse::SparseVector;
