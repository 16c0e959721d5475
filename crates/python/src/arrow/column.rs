//! A column of some rows of a table, and complaints that say where they are about.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, LargeStringArray, UInt64Array};
use arrow_cast::cast;
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::Kind;

/// Some rows of a table's column.
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) array: ArrayRef,
    /// The number in the table of the first of these rows.
    pub(super) first_row: u64,
}

impl Column<'_> {
    /// What is wrong with one of these rows.
    pub(super) fn problem(&self, kind: Kind, row: usize, what: &str) -> PyErr {
        kind.error(format!("column {:?}, row {}: {what}", self.name, self.first_row + row as u64))
    }

    /// The column has a type that it cannot have.
    pub(super) fn wrong_type(&self, expected: &str) -> PyErr {
        PyTypeError::new_err(format!(
            "column {:?} is {}, but must be {expected}",
            self.name,
            self.array.data_type()
        ))
    }

    /// The first row that is null.
    pub(super) fn first_null(&self) -> Option<usize> {
        (0..self.array.len()).find(|&row| self.array.is_null(row))
    }

    pub(super) fn texts(&self) -> PyResult<LargeStringArray> {
        if !is_text(self.array.data_type()) && self.array.data_type() != &DataType::Null {
            return Err(self.wrong_type("strings"));
        }
        Ok(self.cast(&DataType::LargeUtf8)?.as_string::<i64>().clone())
    }

    /// Whole numbers, which may come as floats nowhere; what does not fit 64 bits is an error.
    pub(super) fn integers(&self) -> PyResult<Int64Array> {
        let numbers = self.cast(&DataType::Int64)?.as_primitive::<Int64Type>().clone();
        // A number that does not fit becomes null.
        let beyond = |&row: &usize| numbers.is_null(row) && self.array.is_valid(row);
        match (0..numbers.len()).find(beyond) {
            Some(row) => Err(self.problem(Kind::Argument, row, "does not fit a signed 64-bit id")),
            None => Ok(numbers),
        }
    }

    /// Counts, of which none may be negative.
    pub(super) fn counts(&self) -> PyResult<UInt64Array> {
        let numbers = self.cast(&DataType::UInt64)?.as_primitive::<UInt64Type>().clone();
        match (0..numbers.len()).find(|&row| numbers.is_null(row)) {
            Some(row) => Err(self.problem(Kind::Argument, row, "must be a number from 0 on")),
            None => Ok(numbers),
        }
    }

    fn cast(&self, to: &DataType) -> PyResult<ArrayRef> {
        cast(&self.array, to)
            .map_err(|error| PyTypeError::new_err(format!("column {:?}: {error}", self.name)))
    }
}

/// Whether values of a type are strings, however they are laid out.
pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether values of a type are whole numbers, however they are laid out.
pub(super) fn is_integer(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_integer(values),
        other => other.is_integer(),
    }
}
