//! Columns of vectors in fields, in and out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, ListArray, StructArray, UInt8Array,
    UInt32Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};
use database::{
    DenseField, ElementType, FieldKind, FieldVector, Record, SparseVector, VectorField,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::column::Column;
use super::vectors;
use crate::errors::Kind;

/// The parts of a sparse vector.
const SPARSE_FIELDS: [&str; 2] = ["indices", "values"];

/// Appends the rows' vectors in a field; null for a row without one.
pub(super) fn append(
    column: &Column<'_>,
    kind: FieldKind,
    out: &mut Vec<Option<FieldVector>>,
) -> PyResult<()> {
    match kind {
        FieldKind::Dense(field) => append_dense(column, field.dimension, out),
        FieldKind::Sparse => append_sparse(column, out),
    }
}

fn append_dense(
    column: &Column<'_>,
    dimension: usize,
    out: &mut Vec<Option<FieldVector>>,
) -> PyResult<()> {
    let rows = column.array.len();
    if column.array.data_type() == &DataType::Null {
        out.extend((0..rows).map(|_| None));
        return Ok(());
    }
    if column.array.null_count() == 0 {
        let mut numbers = Vec::with_capacity(rows * dimension);
        vectors::append(column, dimension, &mut numbers)?;
        out.extend(
            numbers.chunks_exact(dimension).map(|row| Some(FieldVector::Dense(row.to_vec()))),
        );
        return Ok(());
    }
    for row in 0..rows {
        if column.array.is_null(row) {
            out.push(None);
            continue;
        }
        let one = Column {
            array: column.array.slice(row, 1),
            first_row: column.first_row + row as u64,
            ..*column
        };
        let mut numbers = Vec::with_capacity(dimension);
        vectors::append(&one, dimension, &mut numbers)?;
        out.push(Some(FieldVector::Dense(numbers)));
    }
    Ok(())
}

fn append_sparse(column: &Column<'_>, out: &mut Vec<Option<FieldVector>>) -> PyResult<()> {
    const EXPECTED: &str = "structs of indices and values, a list each";
    let array = &column.array;
    if array.data_type() == &DataType::Null {
        out.extend((0..array.len()).map(|_| None));
        return Ok(());
    }
    let DataType::Struct(_) = array.data_type() else {
        return Err(column.wrong_type(EXPECTED));
    };
    let parts = array.as_struct();
    let part = |name: &str, number: DataType| -> PyResult<ArrayRef> {
        let part = parts.column_by_name(name).ok_or_else(|| column.wrong_type(EXPECTED))?;
        let list = DataType::LargeList(Arc::new(Field::new("item", number, true)));
        cast(part, &list)
            .map_err(|error| PyTypeError::new_err(format!("column {:?}: {error}", column.name)))
    };
    let [indices, values] = SPARSE_FIELDS;
    let indices = part(indices, DataType::UInt32)?;
    let values = part(values, DataType::Float32)?;
    let (indices, values) = (indices.as_list::<i64>(), values.as_list::<i64>());
    for row in 0..array.len() {
        if array.is_null(row) {
            out.push(None);
            continue;
        }
        let problem = |what: &str| column.problem(Kind::Argument, row, what);
        if indices.is_null(row) || values.is_null(row) {
            return Err(problem("a sparse vector has indices and values, not null"));
        }
        let (indices, values) = (indices.value(row), values.value(row));
        // A number that does not fit becomes null.
        if indices.null_count() > 0 || values.null_count() > 0 {
            return Err(problem("an index or a value is null, or no number from 0 to 2^32 - 1"));
        }
        let indices = indices.as_primitive::<UInt32Type>().values().to_vec();
        let values = values.as_primitive::<Float32Type>().values().to_vec();
        let vector = SparseVector::new(indices, values);
        let vector = vector.map_err(|error| problem(&error.to_string()))?;
        out.push(Some(FieldVector::Sparse(vector)));
    }
    Ok(())
}

/// The column that a field has in a table.
pub(super) fn column_field(field: &VectorField) -> Field {
    Field::new(&field.name, column_type(field.kind), true)
}

fn column_type(kind: FieldKind) -> DataType {
    match kind {
        FieldKind::Dense(field) => DataType::FixedSizeList(element(&field), field.dimension as i32),
        FieldKind::Sparse => DataType::Struct(sparse_fields()),
    }
}

fn element(field: &DenseField) -> FieldRef {
    let number = match field.element {
        ElementType::Bits => DataType::UInt8,
        _ => DataType::Float32,
    };
    Arc::new(Field::new("item", number, false))
}

fn item(number: DataType) -> FieldRef {
    Arc::new(Field::new("item", number, false))
}

fn sparse_fields() -> Fields {
    let [indices, values] = SPARSE_FIELDS;
    Fields::from(vec![
        Field::new(indices, DataType::List(item(DataType::UInt32)), true),
        Field::new(values, DataType::List(item(DataType::Float32)), true),
    ])
}

/// What records have in a field, as a column.
pub(super) fn column(
    records: &[Record],
    number: u8,
    kind: FieldKind,
) -> Result<ArrayRef, ArrowError> {
    let nulls: NullBuffer =
        records.iter().map(|record| record.vectors.get(number).is_some()).collect();
    match kind {
        FieldKind::Dense(field) => {
            let mut numbers = Vec::with_capacity(records.len() * field.dimension);
            for record in records {
                match record.vectors.get(number) {
                    Some(FieldVector::Dense(vector)) => numbers.extend_from_slice(vector),
                    _ => numbers.resize(numbers.len() + field.dimension, 0.0),
                }
            }
            let numbers: ArrayRef = match field.element {
                ElementType::Bits => {
                    Arc::new(UInt8Array::from_iter_values(numbers.iter().map(|&x| x as u8)))
                }
                _ => Arc::new(Float32Array::from(numbers)),
            };
            let (item, length) = (element(&field), field.dimension as i32);
            Ok(Arc::new(FixedSizeListArray::try_new(item, length, numbers, Some(nulls))?))
        }
        FieldKind::Sparse => {
            let empty = SparseVector::default();
            let sparse = |record: &'_ Record| match record.vectors.get(number) {
                Some(FieldVector::Sparse(vector)) => vector.clone(),
                _ => empty.clone(),
            };
            let vectors: Vec<SparseVector> = records.iter().map(sparse).collect();
            let lengths = vectors.iter().map(|vector| vector.indices().len());
            let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
            let indices = vectors.iter().flat_map(|vector| vector.indices().iter().copied());
            let values = vectors.iter().flat_map(|vector| vector.values().iter().copied());
            let indices: ArrayRef = Arc::new(UInt32Array::from_iter_values(indices));
            let values: ArrayRef = Arc::new(Float32Array::from_iter_values(values));
            let list = |number, array| {
                ListArray::try_new(item(number), offsets.clone(), array, Some(nulls.clone()))
            };
            let columns: Vec<ArrayRef> = vec![
                Arc::new(list(DataType::UInt32, indices)?),
                Arc::new(list(DataType::Float32, values)?),
            ];
            Ok(Arc::new(StructArray::try_new(sparse_fields(), columns, Some(nulls))?))
        }
    }
}

/// About how many bytes vectors take.
pub(super) fn bytes_of(vector: &FieldVector) -> usize {
    match vector {
        FieldVector::Dense(numbers) => numbers.len() * 4,
        FieldVector::Sparse(sparse) => sparse.indices().len() * 8,
    }
}
