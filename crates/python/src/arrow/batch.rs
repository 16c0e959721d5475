//! Rows of a table become rows of a transaction.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use database::{Batch, Id, Place, VectorField};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde_json::{Map, Value};

use super::column::{Column, is_integer, is_text};
use super::fields;
use super::json::JsonColumn;
use super::layout::{Layout, PLACE_FIELDS};
use super::vectors;
use crate::errors::Kind;

/// Appends `rows` to `batch`, for a collection of this dimension and these fields; `first_row` is the
/// number of the first one in the table. Each column of `batch` has then an entry a row, but the
/// vectors of a table without any.
pub(super) fn append(
    rows: &RecordBatch,
    layout: &Layout,
    (dimension, of_collection): (usize, &[VectorField]),
    first_row: u64,
    batch: &mut Batch,
) -> PyResult<()> {
    let schema = rows.schema_ref();
    let column = |index: usize| Column {
        name: schema.field(index).name(),
        array: rows.column(index).clone(),
        first_row,
    };
    append_ids(&column(layout.id), &mut batch.ids)?;
    if let Some(index) = layout.vector {
        vectors::append(&column(index), dimension, &mut batch.vectors)?;
    }
    for (index, number) in &layout.fields {
        let field = &of_collection[*number];
        let out = batch.fields.entry(field.name.clone()).or_default();
        fields::append(&column(*index), field.kind, out)?;
    }
    match layout.text.map(|index| column(index).texts()).transpose()? {
        Some(texts) => batch.texts.extend(texts.iter().map(|text| text.map(str::to_owned))),
        None => batch.texts.extend((0..rows.num_rows()).map(|_| None)),
    }
    let keys: Vec<Column<'_>> = layout.keys.iter().map(|&index| column(index)).collect();
    append_metadata(
        layout.metadata.map(column).as_ref(),
        &keys,
        rows.num_rows(),
        &mut batch.metadata,
    )?;
    match layout.place {
        Some(index) => append_places(&column(index), &mut batch.places),
        None => {
            batch.places.extend((0..rows.num_rows()).map(|_| None));
            Ok(())
        }
    }
}

/// About how many bytes the texts, metadata and vectors in fields of rows take, from one row on.
pub(super) fn content_bytes(batch: &Batch, from: usize) -> usize {
    let texts = batch.texts[from..].iter().flatten().map(String::len);
    let metadata = batch.metadata[from..].iter().flatten().map(json_bytes);
    let vectors = batch.fields.values().flat_map(|column| &column[from..]);
    let vectors = vectors.flatten().map(fields::bytes_of);
    texts.chain(metadata).chain(vectors).sum()
}

fn json_bytes(value: &Value) -> usize {
    const NODE: usize = size_of::<Value>();
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json_bytes).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + json_bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn append_ids(column: &Column<'_>, ids: &mut Vec<Id>) -> PyResult<()> {
    if let Some(row) = column.first_null() {
        return Err(column.problem(Kind::Argument, row, "an id must not be null"));
    }
    match column.array.data_type() {
        kind if is_integer(kind) => {
            ids.extend(column.integers()?.values().iter().map(|&number| Id::Int(number)));
        }
        kind if is_text(kind) => ids.extend(column.texts()?.iter().flatten().map(Id::from)),
        DataType::Struct(_) => append_mixed_ids(column, ids)?,
        // A table without rows may not know its types.
        DataType::Null if column.array.is_empty() => {}
        _ => return Err(column.wrong_type("integers or strings")),
    }
    Ok(())
}

/// Ids of both kinds, as `to_arrow` gives them: a struct of which one field is set.
fn append_mixed_ids(column: &Column<'_>, ids: &mut Vec<Id>) -> PyResult<()> {
    let fields = column.array.as_struct();
    let (Some(numbers), Some(texts)) = (fields.column_by_name("int"), fields.column_by_name("str"))
    else {
        return Err(column.wrong_type("integers, strings, or a struct of int and str"));
    };
    let part = |array: &Arc<dyn Array>| Column { array: array.clone(), ..*column };
    let (numbers, texts) = (part(numbers), part(texts));
    let (numbers, texts) = (numbers.integers()?, texts.texts()?);
    for row in 0..fields.len() {
        ids.push(match (numbers.is_valid(row), texts.is_valid(row)) {
            (true, false) => Id::Int(numbers.value(row)),
            (false, true) => Id::from(texts.value(row)),
            _ => {
                let what = "an id is either an int or a str: one of both must be null";
                return Err(column.problem(Kind::Argument, row, what));
            }
        });
    }
    Ok(())
}

/// The metadata of one column of objects and of columns of one key each.
fn append_metadata(
    objects: Option<&Column<'_>>,
    keys: &[Column<'_>],
    rows: usize,
    metadata: &mut Vec<Option<Value>>,
) -> PyResult<()> {
    let objects = objects.map(|column| Ok::<_, PyErr>((column, Objects::new(column)?)));
    let objects = objects.transpose()?;
    let json = |column| -> PyResult<_> { Ok((column, json_column(column)?)) };
    let keys: Vec<_> = keys.iter().map(json).collect::<PyResult<_>>()?;
    for row in 0..rows {
        let mut object = match &objects {
            Some((column, objects)) => objects.object(column, row)?,
            None => None,
        };
        for (column, values) in &keys {
            let value = values.value(row);
            let value = value.map_err(|what| column.problem(Kind::Argument, row, &what))?;
            let Some(value) = value else { continue };
            let object = object.get_or_insert_default();
            if object.insert(column.name.to_owned(), value).is_some() {
                let what = "the row's metadata have this key too";
                return Err(column.problem(Kind::Argument, row, what));
            }
        }
        metadata.push(object.map(Value::Object));
    }
    Ok(())
}

fn json_column(column: &Column<'_>) -> PyResult<JsonColumn> {
    JsonColumn::new(&column.array)
        .map_err(|what| PyTypeError::new_err(format!("column {:?} {what}", column.name)))
}

/// A column of metadata.
enum Objects {
    /// JSON texts.
    Texts(arrow_array::LargeStringArray),
    /// Structs or maps.
    Values(JsonColumn),
}

impl Objects {
    fn new(column: &Column<'_>) -> PyResult<Objects> {
        if is_text(column.array.data_type()) {
            return Ok(Objects::Texts(column.texts()?));
        }
        let values = json_column(column)?;
        match values.gives_objects() {
            true => Ok(Objects::Values(values)),
            false => Err(column.wrong_type("structs, maps, or strings of JSON")),
        }
    }

    fn object(&self, column: &Column<'_>, row: usize) -> PyResult<Option<Map<String, Value>>> {
        let problem = |what: String| column.problem(Kind::Argument, row, &what);
        let value = match self {
            Objects::Values(values) => values.value(row).map_err(problem)?,
            Objects::Texts(texts) if texts.is_null(row) => None,
            Objects::Texts(texts) => Some(
                serde_json::from_str(texts.value(row))
                    .map_err(|error| problem(format!("is not JSON: {error}")))?,
            ),
        };
        match value {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(problem("metadata must be a JSON object".to_owned())),
        }
    }
}

fn append_places(column: &Column<'_>, places: &mut Vec<Option<Place>>) -> PyResult<()> {
    let fields = column.array.as_struct();
    let part = |name: &str| Column {
        array: fields.column_by_name(name).unwrap_or(&column.array).clone(),
        ..*column
    };
    let present: Vec<bool> = (0..fields.len()).map(|row| fields.is_valid(row)).collect();
    if !present.contains(&true) {
        places.extend(present.iter().map(|_| None));
        return Ok(());
    }
    let [source, start, end, line] = PLACE_FIELDS.map(part);
    let sources = source.texts()?;
    let numbers = [start, end, line];
    for (row, present) in present.into_iter().enumerate() {
        if !present {
            places.push(None);
            continue;
        }
        if sources.is_null(row) {
            return Err(column.problem(Kind::Argument, row, "a place must have a source"));
        }
        let [start, end, line] = numbers.each_ref().map(|numbers| {
            let one = Column {
                array: numbers.array.slice(row, 1),
                first_row: numbers.first_row + row as u64,
                ..*numbers
            };
            one.counts().map(|counts| counts.value(0))
        });
        places.push(Some(Place {
            source: sources.value(row).into(),
            start: start?,
            end: end?,
            line: line?,
        }));
    }
    Ok(())
}
