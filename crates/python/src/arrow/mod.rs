//! Tables in and out of a collection through the Arrow C interface, without a Python object a row.
//!
//! A table comes in a batch at a time: `layout` says which column is what, `batch` turns some rows
//! into those of a [`database::Batch`], `json` makes metadata of any column, and `load` writes a
//! transaction whenever enough rows have come. Out they go through `stream`.

mod batch;
mod column;
mod fields;
mod json;
mod layout;
mod load;
mod stream;
mod vectors;

pub(crate) use layout::ColumnNames;
pub(crate) use load::Load;
pub(crate) use stream::ArrowStream;
