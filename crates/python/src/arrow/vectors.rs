//! A column of vectors.

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::column::Column;
use super::json::elements;
use crate::errors::Kind;

const EXPECTED: &str = "lists of numbers, of fixed size or not";

/// Appends the rows' vectors, each of `dimension` elements, as `f32`; the number of rows that
/// are to be all finite is up to the caller.
///
/// # Errors
/// DimensionError, naming the row, for a vector of another length; ArgumentError for one that is
/// null or holds a null.
pub(super) fn append(
    column: &Column<'_>,
    dimension: usize,
    vectors: &mut Vec<f32>,
) -> PyResult<()> {
    if let Some(row) = column.first_null() {
        return Err(column.problem(Kind::Argument, row, "a record must have a vector, not null"));
    }
    let values = match column.array.data_type() {
        DataType::FixedSizeList(..) => {
            let list = column.array.as_fixed_size_list();
            let length = list.value_length() as usize;
            if length != dimension && !list.is_empty() {
                return Err(wrong_length(column, dimension, 0, length));
            }
            list.values().clone()
        }
        DataType::List(_) => {
            let list = column.array.as_list::<i32>();
            of_dimension(column, dimension, elements(list.value_offsets(), list.values()))?
        }
        DataType::LargeList(_) => {
            let list = column.array.as_list::<i64>();
            of_dimension(column, dimension, elements(list.value_offsets(), list.values()))?
        }
        _ => return Err(column.wrong_type(EXPECTED)),
    };
    let kind = values.data_type();
    if !kind.is_numeric() || kind.is_decimal() {
        return Err(column.wrong_type(EXPECTED));
    }
    // Asked first, since the null that there mostly is not would be looked for in every element.
    let has_nulls = values.null_count() > 0;
    if let Some(index) = (0..values.len()).find(|&index| has_nulls && values.is_null(index)) {
        let (row, element) = (index / dimension, index % dimension);
        let what = format!("element {element} of the vector is null");
        return Err(column.problem(Kind::Argument, row, &what));
    }
    let values = cast(&values, &DataType::Float32)
        .map_err(|error| PyTypeError::new_err(format!("column {:?}: {error}", column.name)))?;
    vectors.extend_from_slice(values.as_primitive::<Float32Type>().values());
    Ok(())
}

fn of_dimension(
    column: &Column<'_>,
    dimension: usize,
    (ends, values): (Vec<usize>, ArrayRef),
) -> PyResult<ArrayRef> {
    let lengths = ends.windows(2).map(|ends| ends[1] - ends[0]);
    match lengths.enumerate().find(|&(_, length)| length != dimension) {
        Some((row, length)) => Err(wrong_length(column, dimension, row, length)),
        None => Ok(values),
    }
}

fn wrong_length(column: &Column<'_>, dimension: usize, row: usize, length: usize) -> PyErr {
    let what = format!("expected a vector of {dimension} elements, found {length}");
    column.problem(Kind::Dimension, row, &what)
}

/// The length of a column's vectors, where its type says it.
pub(super) fn fixed_length(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeList(_, length) => usize::try_from(*length).ok(),
        _ => None,
    }
}
