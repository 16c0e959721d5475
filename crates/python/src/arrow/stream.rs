//! Records out, as a stream of Arrow record batches.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{LargeStringBuilder, UInt64Builder};
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, LargeStringArray, StructArray,
    UInt8Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema};
use database::{Collection, Cursor, ElementType, FieldKind, Id, IdKinds, Record, VectorField};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};
use serde_json::json;

use super::fields;
use super::layout::{PLACE, PLACE_FIELDS, SCHEMA_KEY};
use crate::errors::Kind;

/// A batch is given once it has so many bytes or rows.
const BATCH_BYTES: usize = 16 << 20;
const BATCH_ROWS: usize = 16 << 10;

/// Records read at a time, before the size of the batch is looked at.
const PAGE_RECORDS: usize = 64;

/// Records of a collection as it was when this was made, for everything that reads Arrow: made by
/// `Collection.to_arrow`. It may be read more than once, gives the same records each time, and
/// holds one batch in memory at a time.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct ArrowStream {
    collection: Collection,
    start: Cursor,
    rows: u64,
    id_kinds: IdKinds,
}

impl ArrowStream {
    pub(crate) fn new(collection: Collection, start: Cursor) -> database::Result<ArrowStream> {
        let id_kinds = start.id_kinds()?;
        Ok(ArrowStream { rows: start.len(), collection, start, id_kinds })
    }

    fn fields(&self) -> Fields {
        let id = match self.id_kinds {
            IdKinds { int: true, str: true } => DataType::Struct(mixed_id_fields()),
            IdKinds { int: true, str: false } => DataType::Int64,
            IdKinds { .. } => DataType::LargeUtf8,
        };
        let dimension = self.collection.schema().dimension as i32;
        let mut columns = vec![
            Field::new("id", id, false),
            Field::new(
                "vector",
                DataType::FixedSizeList(element(self.collection.schema()), dimension),
                false,
            ),
            Field::new("text", DataType::LargeUtf8, true),
            Field::new("metadata", DataType::LargeUtf8, true),
            Field::new(PLACE, DataType::Struct(place_fields()), true),
        ];
        columns.extend(self.collection.schema().fields.iter().map(fields::column_field));
        Fields::from(columns)
    }

    /// What the collection was made with, so that one like it can be made elsewhere.
    fn schema_metadata(&self) -> HashMap<String, String> {
        let schema = self.collection.schema();
        let model = schema.model.as_ref();
        let of_field = |field: &VectorField| {
            let kind = match field.kind {
                FieldKind::Sparse => json!({"kind": "sparse"}),
                FieldKind::Dense(dense) => json!({
                    "kind": "dense",
                    "dimension": dense.dimension * dense.element.coordinates(),
                    "metric": dense.metric.name(),
                    "dtype": dense.element.name(),
                }),
            };
            (field.name.clone(), kind)
        };
        let of_fields: serde_json::Map<_, _> = schema.fields.iter().map(of_field).collect();
        let made_with = json!({
            "dimension": schema.coordinates(),
            "metric": schema.metric.name(),
            "dtype": schema.element.name(),
            "model": model.map(|model| &model.name),
            "model_fingerprint": model.map(|model| &model.fingerprint),
            "fields": of_fields,
        });
        HashMap::from([(SCHEMA_KEY.to_owned(), made_with.to_string())])
    }
}

#[pymethods]
impl ArrowStream {
    /// A new stream of record batches, as the Arrow PyCapsule interface has it.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let fields = self.fields();
        let batches = Batches {
            collection: self.collection.clone(),
            next: Some(self.start.clone()),
            fields: fields.clone(),
            id_kinds: self.id_kinds,
        };
        let field = Field::new_struct("", fields, false).with_metadata(self.schema_metadata());
        let stream = ArrayIterator::new(batches, Arc::new(field));
        Ok(to_stream_pycapsule(py, Box::new(stream), requested_schema)?)
    }

    /// The columns and their types, as the Arrow PyCapsule interface has it.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = Schema::new_with_metadata(self.fields(), self.schema_metadata());
        Ok(to_schema_pycapsule(py, &schema)?)
    }

    /// How many records it has.
    fn __len__(&self) -> PyResult<usize> {
        usize::try_from(self.rows).map_err(|_| Kind::Argument.error("too many records to count"))
    }

    fn __repr__(&self) -> String {
        let fields = self.fields();
        let columns: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        format!("ArrowStream({} records: {})", self.rows, columns.join(", "))
    }
}

/// An element of a vector: a byte, where bits are packed.
fn element(schema: &database::Schema) -> FieldRef {
    let number = match schema.element {
        ElementType::Bits => DataType::UInt8,
        _ => DataType::Float32,
    };
    Arc::new(Field::new("item", number, false))
}

fn mixed_id_fields() -> Fields {
    Fields::from(vec![
        Field::new("int", DataType::Int64, true),
        Field::new("str", DataType::LargeUtf8, true),
    ])
}

fn place_fields() -> Fields {
    let [source, start, end, line] = PLACE_FIELDS;
    Fields::from(vec![
        Field::new(source, DataType::LargeUtf8, true),
        Field::new(start, DataType::UInt64, true),
        Field::new(end, DataType::UInt64, true),
        Field::new(line, DataType::UInt64, true),
    ])
}

/// The batches of one reading.
struct Batches {
    collection: Collection,
    next: Option<Cursor>,
    fields: Fields,
    id_kinds: IdKinds,
}

impl Iterator for Batches {
    type Item = Result<ArrayRef, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.records() {
            Ok(records) if records.is_empty() => None,
            Ok(records) => Some(self.batch(records)),
            Err(error) => {
                self.next = None;
                // A reader gets this as text that ends at the first zero byte.
                let message = error.to_string().replace('\0', "\u{fffd}");
                Some(Err(ArrowError::ExternalError(message.into())))
            }
        }
    }
}

impl Batches {
    fn records(&mut self) -> database::Result<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && records.len() < BATCH_ROWS
            && let Some(cursor) = self.next.take()
        {
            let page = self.collection.scan(Some(cursor), PAGE_RECORDS, None)?;
            let size = |record: &Record| {
                let in_fields = record.vectors.iter().map(|(_, vector)| fields::bytes_of(vector));
                let text = record.text.as_ref().map_or(0, String::len);
                record.vector.len() * 4 + text + in_fields.sum::<usize>()
            };
            bytes += page.records.iter().map(size).sum::<usize>();
            records.extend(page.records);
            self.next = page.next;
        }
        Ok(records)
    }

    fn batch(&self, records: Vec<Record>) -> Result<ArrayRef, ArrowError> {
        let schema = self.collection.schema();
        let numbers = || records.iter().flat_map(|record| record.vector.iter().copied());
        let numbers: ArrayRef = match schema.element {
            ElementType::Bits => Arc::new(UInt8Array::from_iter_values(numbers().map(|x| x as u8))),
            _ => Arc::new(Float32Array::from_iter_values(numbers())),
        };
        let length = schema.dimension as i32;
        let vectors = FixedSizeListArray::try_new(element(schema), length, numbers, None)?;
        let texts: LargeStringArray = records.iter().map(|record| record.text.as_deref()).collect();
        let mut metadata = LargeStringBuilder::new();
        for record in &records {
            metadata.append_option(record.metadata.as_ref().map(|value| value.to_string()));
        }
        let mut columns: Vec<ArrayRef> = vec![
            self.ids(&records)?,
            Arc::new(vectors),
            Arc::new(texts),
            Arc::new(metadata.finish()),
            places(&records)?,
        ];
        for (number, field) in (0..).zip(&schema.fields) {
            columns.push(fields::column(&records, number, field.kind)?);
        }
        Ok(Arc::new(StructArray::try_new(self.fields.clone(), columns, None)?))
    }

    fn ids(&self, records: &[Record]) -> Result<ArrayRef, ArrowError> {
        let numbers = || -> ArrayRef {
            let numbers = records.iter().map(|record| match record.id {
                Id::Int(number) => Some(number),
                Id::Str(_) => None,
            });
            Arc::new(numbers.collect::<Int64Array>())
        };
        let texts = || -> ArrayRef {
            let texts = records.iter().map(|record| match &record.id {
                Id::Int(_) => None,
                Id::Str(text) => Some(&**text),
            });
            Arc::new(texts.collect::<LargeStringArray>())
        };
        Ok(match self.id_kinds {
            IdKinds { int: true, str: true } => {
                Arc::new(StructArray::try_new(mixed_id_fields(), vec![numbers(), texts()], None)?)
            }
            IdKinds { int: true, str: false } => numbers(),
            IdKinds { .. } => texts(),
        })
    }
}

fn places(records: &[Record]) -> Result<ArrayRef, ArrowError> {
    let mut sources = LargeStringBuilder::new();
    let mut numbers: [UInt64Builder; 3] = Default::default();
    for record in records {
        let place = record.place.as_ref();
        sources.append_option(place.map(|place| &*place.source));
        let [start, end, line] = &mut numbers;
        start.append_option(place.map(|place| place.start));
        end.append_option(place.map(|place| place.end));
        line.append_option(place.map(|place| place.line));
    }
    let mut columns: Vec<ArrayRef> = vec![Arc::new(sources.finish())];
    columns.extend(numbers.map(|mut numbers| -> ArrayRef { Arc::new(numbers.finish()) }));
    let nulls: NullBuffer = records.iter().map(|record| record.place.is_some()).collect();
    Ok(Arc::new(StructArray::try_new(place_fields(), columns, Some(nulls))?))
}
