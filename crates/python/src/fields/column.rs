//! The vectors of some records in fields, from the arguments of `Collection.upsert`.

use database::{DenseField, FieldColumns, FieldKind, FieldVector, Schema};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyMapping, PyTuple};

use super::sparse::{sparse_rows, sparse_vector};
use crate::arrays::Matrix;
use crate::convert::type_name;
use crate::errors::Kind;

/// One vector or `None` a record, for each field that a dict names.
pub(crate) fn columns(
    fields: Option<&Bound<'_, PyAny>>,
    schema: &Schema,
) -> PyResult<FieldColumns> {
    let Some(fields) = fields.filter(|fields| !fields.is_none()) else {
        return Ok(FieldColumns::new());
    };
    let mapping = fields.cast::<PyMapping>().map_err(|_| {
        let found = type_name(fields);
        PyTypeError::new_err(format!("fields is a dict of names and vectors, not {found}"))
    })?;
    let mut columns = FieldColumns::new();
    for item in mapping.items()?.iter() {
        let (name, values) = item.extract::<(String, Bound<'_, PyAny>)>()?;
        let column = match kind_of(schema, &name)? {
            FieldKind::Dense(field) => dense_column(&name, &field, &values)?,
            FieldKind::Sparse => sparse_column(&name, &values)?,
        };
        columns.insert(name, column);
    }
    Ok(columns)
}

/// What the field of a name takes.
pub(super) fn kind_of(schema: &Schema, name: &str) -> PyResult<FieldKind> {
    let found = schema.fields.iter().find(|field| field.name == name);
    found.map(|field| field.kind).ok_or_else(|| {
        let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
        Kind::Argument.error(match names.is_empty() {
            true => format!("there is no field {name:?}: the collection was created without any"),
            false => format!("there is no field {name:?}, but {}", names.join(", ")),
        })
    })
}

/// The schema of a collection whose records' own vectors are those of a field.
pub(super) fn schema_of(field: &DenseField) -> Schema {
    Schema { element: field.element, ..Schema::new(field.dimension, field.metric) }
}

fn dense_column(
    name: &str,
    field: &DenseField,
    values: &Bound<'_, PyAny>,
) -> PyResult<Vec<Option<FieldVector>>> {
    let schema = schema_of(field);
    let is_list = values.is_instance_of::<PyList>() || values.is_instance_of::<PyTuple>();
    let present: Vec<bool> = match is_list {
        true => values.try_iter()?.map(|value| Ok(!value?.is_none())).collect::<PyResult<_>>()?,
        false => Vec::new(),
    };
    let given = match present.contains(&false) {
        false => values.clone(),
        true => {
            let given = values
                .try_iter()?
                .filter(|value| value.as_ref().map_or(true, |value| !value.is_none()));
            PyList::new(values.py(), given.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
    };
    let matrix = Matrix::of_schema(&given, &schema)
        .map_err(|error| at_row(name, &schema, values, is_list, error))?;
    let rows = matrix.values.chunks_exact(field.dimension.max(1));
    let mut rows = rows.map(|row| FieldVector::Dense(row.to_vec()));
    Ok(match present.is_empty() {
        true => rows.map(Some).collect(),
        false => present.iter().map(|is| if *is { rows.next() } else { None }).collect(),
    })
}

/// An error about some vectors, with the field and, where it is about one of a list, the row.
fn at_row(
    name: &str,
    schema: &Schema,
    values: &Bound<'_, PyAny>,
    is_list: bool,
    error: PyErr,
) -> PyErr {
    let py = values.py();
    let of_row = || -> PyResult<Option<(usize, PyErr)>> {
        for (row, value) in values.try_iter()?.enumerate() {
            let value = value?;
            if !value.is_none()
                && let Err(error) = Matrix::of_schema(&value, schema)
            {
                return Ok(Some((row, error)));
            }
        }
        Ok(None)
    };
    let (place, error) = match if is_list { of_row() } else { Ok(None) } {
        Ok(Some((row, error))) => (format!("field {name:?}, row {row}"), error),
        _ => (format!("field {name:?}"), error),
    };
    let message = format!("{place}: {}", error.value(py));
    match error.get_type(py).call1((message,)) {
        Ok(value) => PyErr::from_value(value),
        Err(_) => error,
    }
}

fn sparse_column(name: &str, values: &Bound<'_, PyAny>) -> PyResult<Vec<Option<FieldVector>>> {
    let sparse = |vector| Some(FieldVector::Sparse(vector));
    if let Some(rows) = sparse_rows(values)? {
        return Ok(rows.into_iter().map(sparse).collect());
    }
    let items = values.try_iter().map_err(|_| {
        let found = type_name(values);
        PyTypeError::new_err(format!("field {name:?} takes a sequence of vectors, not {found}"))
    })?;
    let one = |(row, value): (usize, PyResult<Bound<'_, PyAny>>)| {
        let value = value?;
        if value.is_none() {
            return Ok(None);
        }
        let vector = sparse_vector(&value).map_err(|error| {
            let py = value.py();
            let message = format!("field {name:?}, row {row}: {}", error.value(py));
            match error.get_type(py).call1((message,)) {
                Ok(value) => PyErr::from_value(value),
                Err(_) => error,
            }
        })?;
        Ok(sparse(vector))
    };
    items.enumerate().map(one).collect()
}
