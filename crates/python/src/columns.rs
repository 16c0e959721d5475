//! The columns of a batch from the arguments of `Collection.upsert`.

use std::fmt::{self, Display, Formatter};

use database::{Batch, FieldVector, Id};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyMapping, PyString, PyTuple};
use serde_json::Value;

use crate::convert;
use crate::errors::Kind;

/// Whether an argument is a text or a sequence that starts with one.
pub(crate) fn are_texts(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_instance_of::<PyString>() {
        return Ok(true);
    }
    let is_sequence = object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>();
    Ok(is_sequence && object.len()? > 0 && object.get_item(0)?.is_instance_of::<PyString>())
}

/// One metadata object a record, if there are any, from a mapping for all or a sequence of one each.
pub(crate) fn metadata_column(
    metadata: Option<&Bound<'_, PyAny>>,
    ids: &[Id],
) -> PyResult<Option<Vec<Option<Value>>>> {
    let Some(metadata) = metadata.filter(|metadata| !metadata.is_none()) else {
        return Ok(None);
    };
    if metadata.cast::<PyMapping>().is_ok() {
        let value = convert::json_object(metadata, "metadata")?;
        return Ok(Some(vec![Some(value); ids.len()]));
    }
    let items = metadata.try_iter().map_err(|_| {
        PyTypeError::new_err(format!(
            "metadata is a dict for all records or a sequence of dicts, not {}",
            convert::type_name(metadata)
        ))
    })?;
    let one = |(index, item): (usize, PyResult<Bound<'_, PyAny>>)| {
        let item = item?;
        if item.is_none() {
            return Ok(None);
        }
        let id = ids.get(index);
        convert::json_object(&item, MetadataOf { id, index }).map(Some)
    };
    items.enumerate().map(one).collect::<PyResult<_>>().map(Some)
}

/// Whose metadata something is, for messages.
struct MetadataOf<'a> {
    id: Option<&'a Id>,
    index: usize,
}

impl Display for MetadataOf<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(Id::Str(text)) => write!(formatter, "metadata of {text:?}"),
            Some(Id::Int(number)) => write!(formatter, "metadata of {number}"),
            None => write!(formatter, "metadata[{}]", self.index),
        }
    }
}

/// One text or `None` a record, if there are any.
pub(crate) fn text_column(
    texts: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Vec<Option<String>>>> {
    let Some(texts) = texts.filter(|texts| !texts.is_none()) else {
        return Ok(None);
    };
    if texts.is_instance_of::<PyString>() {
        return Ok(Some(vec![Some(texts.extract()?)]));
    }
    let items = texts.try_iter().map_err(|_| {
        PyTypeError::new_err(format!("texts are str, not {}", convert::type_name(texts)))
    })?;
    let one = |(index, item): (usize, PyResult<Bound<'_, PyAny>>)| {
        let item = item?;
        item.extract::<Option<String>>().map_err(|_| {
            PyTypeError::new_err(format!(
                "text {index} is a {}, not a str",
                convert::type_name(&item)
            ))
        })
    };
    items.enumerate().map(one).collect::<PyResult<_>>().map(Some)
}

/// What becomes of rows whose vectors hold NaN or an infinity.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum NonFinite {
    Raise,
    Skip,
}

impl NonFinite {
    pub(crate) fn parse(name: &str) -> PyResult<NonFinite> {
        match name {
            "raise" => Ok(NonFinite::Raise),
            "skip" => Ok(NonFinite::Skip),
            other => {
                Err(Kind::Argument
                    .error(format!("non_finite is \"raise\" or \"skip\", not {other:?}")))
            }
        }
    }
}

/// Drops the rows of a batch of which a vector holds NaN or an infinity.
pub(crate) fn drop_non_finite(batch: &mut Batch, dimension: usize) {
    let is_finite = |row: &[f32]| row.iter().all(|x| x.is_finite());
    let mut finite: Vec<bool> = batch.vectors.chunks_exact(dimension).map(is_finite).collect();
    for column in batch.fields.values() {
        for (finite, vector) in finite.iter_mut().zip(column) {
            // A sparse vector has no others.
            *finite &= !matches!(vector, Some(FieldVector::Dense(vector)) if !is_finite(vector));
        }
    }
    let mut row = 0;
    batch.vectors.retain(|_| {
        row += 1;
        finite[(row - 1) / dimension]
    });
    fn keep<T>(column: &mut Vec<T>, finite: &[bool]) {
        let mut row = 0;
        column.retain(|_| {
            row += 1;
            finite[row - 1]
        });
    }
    keep(&mut batch.ids, &finite);
    keep(&mut batch.texts, &finite);
    keep(&mut batch.metadata, &finite);
    keep(&mut batch.places, &finite);
    batch.fields.values_mut().for_each(|column| keep(column, &finite));
}
