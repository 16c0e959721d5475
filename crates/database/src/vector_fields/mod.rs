//! Vectors that records have beside their own: in named fields, dense or sparse.
//!
//! A collection's fields are fixed when it is created ([`field`]). What a record has in them is a
//! part of the record ([`vectors`], [`encoding`]), in logs and in segments, so it is as durable as
//! the record's text. All else is derived: each field of a segment has an index in a file of its own
//! beside it ([`segment_fields`]), with a graph where the field has many vectors there
//! ([`dense_index`]) or of postings ([`crate::sparse_index`]). Heads are searched by what their
//! records have.
//!
//! A search sees exactly the records of its snapshot, since an index says of which rows it is, and a
//! snapshot's dead rows and a filter's bitmap count for these rows ([`search`]).

mod dense_index;
mod dense_search;
mod encoding;
mod field;
mod recall;
mod search;
mod segment_fields;
mod upkeep;
mod validate;
mod vectors;

pub(crate) use encoding::{decode_vector, decode_vectors, put_vectors};
pub(crate) use field::validate_fields;
pub use field::{DenseField, FieldKind, VectorField};
pub use search::{FieldQuery, FusedQuery};
pub(crate) use segment_fields::{SegmentFields, verify_index};
pub(crate) use upkeep::BehindProgress;
pub(crate) use validate::{check_columns, keep_rows, take_rows};
pub use vectors::{FieldVector, FieldVectors};
