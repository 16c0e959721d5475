//! A table goes into a collection, a transaction at a time.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::Schema;
use database::{Batch, Collection};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;
use serde_json::Value;

use super::batch;
use super::layout::{ColumnNames, Layout, SCHEMA_KEY};
use super::vectors::fixed_length;
use crate::columns::{NonFinite, drop_non_finite};
use crate::convert::type_name;
use crate::errors::{IntoPyErr, Kind};
use crate::progress::Reporter;

/// A transaction is written once it has so many bytes.
const FRAME_BYTES: usize = 16 << 20;

/// And once it has so many rows.
const FRAME_ROWS: usize = 16 << 10;

/// Rows of the table are taken up in slices of about so many bytes, and at most so many rows.
const SLICE_BYTES: usize = 2 << 20;
const SLICE_ROWS: usize = 1024;

/// What a row is held to take before any was seen.
const FIRST_ROW_BYTES: usize = 32 << 10;

/// A table on its way into a collection.
pub(crate) struct Load<'a> {
    collection: &'a Collection,
    reader: Box<dyn RecordBatchReader + Send>,
    layout: Layout,
    names: ColumnNames,
    non_finite: NonFinite,
    /// What is left of the batch that the table gave last.
    rest: Option<RecordBatch>,
    /// What a row of the last slice took.
    row_bytes: usize,
    /// Rows of the table that are taken up.
    taken: u64,
    /// Rows of the table before the first that is not written.
    committed: u64,
}

/// Makes vectors of texts.
pub(crate) type Embed<'a> = &'a dyn Fn(Python<'_>, Vec<String>) -> PyResult<Vec<f32>>;

impl<'a> Load<'a> {
    /// # Errors
    /// TypeError for what is no table; ArgumentError and DimensionError for one that has no ids, or
    /// whose vectors, by their type, have another length. Then nothing was read.
    pub(crate) fn new(
        collection: &'a Collection,
        table: &Bound<'_, PyAny>,
        names: ColumnNames,
        non_finite: NonFinite,
    ) -> PyResult<Load<'a>> {
        if !table.hasattr("__arrow_c_stream__")? && !table.hasattr("__arrow_c_array__")? {
            return Err(PyTypeError::new_err(format!(
                "expected a table with the Arrow C interface (pyarrow, polars, pandas, DuckDB), \
                 found {}",
                type_name(table)
            )));
        }
        let reader = table.extract::<AnyRecordBatch>()?.into_reader()?;
        let schema = reader.schema();
        let layout = Layout::new(&schema, &names, &collection.schema().fields)?;
        let expected = collection.schema().dimension;
        if let Some(index) = layout.vector
            && let Some(found) = fixed_length(schema.field(index).data_type())
            && found != expected
        {
            return Err(Kind::Dimension.error(format!(
                "column {:?} has vectors of {found} elements, expected {expected}",
                names.vector
            )));
        }
        check_model(collection, &schema)?;
        if layout.vector.is_none() {
            let problem = match (&collection.schema().model, layout.text) {
                (Some(_), Some(_)) => None,
                (Some(_), None) => Some(format!("nor a column {:?} of texts", names.text)),
                (None, _) => Some("and the collection has no model to embed texts".to_owned()),
            };
            if let Some(problem) = problem {
                return Err(Kind::Argument.error(format!(
                    "the table has no column {:?} of vectors, {problem}",
                    names.vector
                )));
            }
        }
        Ok(Load {
            collection,
            reader,
            layout,
            names,
            non_finite,
            rest: None,
            row_bytes: FIRST_ROW_BYTES,
            taken: 0,
            committed: 0,
        })
    }

    /// Writes all of it; returns how many records were written. `embed` is for tables without vectors.
    ///
    /// # Errors
    /// Says how many rows are written.
    pub(crate) fn run(
        mut self,
        py: Python<'_>,
        embed: Embed<'_>,
        reporter: &Reporter<'_>,
    ) -> PyResult<usize> {
        let mut written = 0;
        loop {
            match self.step(py, embed) {
                Ok(Some(records)) => written += records,
                Ok(None) => return Ok(written),
                Err(error) => return Err(with_note(py, error, &self.note())),
            }
            if let Reporter::To(function) = reporter {
                function.call1((self.committed,))?;
            }
            py.check_signals()?;
        }
    }

    fn note(&self) -> String {
        match self.committed {
            0 => "nothing is written".to_owned(),
            rows => format!("the {rows} rows before row {rows} are written, and no others"),
        }
    }

    /// One transaction; `None` at the end of the table.
    fn step(&mut self, py: Python<'_>, embed: Embed<'_>) -> PyResult<Option<usize>> {
        let Some(mut batch) = py.detach(|| self.take())? else {
            return Ok(None);
        };
        let first_row = self.committed;
        if self.layout.vector.is_none() {
            let column = &self.names.text;
            let present = batch.texts.iter().enumerate().map(|(row, text)| {
                text.clone().ok_or_else(|| {
                    let row = first_row + row as u64;
                    Kind::Argument.error(format!(
                        "column {column:?}, row {row}: null, and there is no vector"
                    ))
                })
            });
            batch.vectors = embed(py, present.collect::<PyResult<_>>()?)?;
        }
        let dimension = self.collection.schema().dimension;
        let written = py.detach(|| {
            if self.non_finite == NonFinite::Skip {
                drop_non_finite(&mut batch, dimension);
            }
            self.collection.upsert(batch).map_err(|error| match error {
                database::Error::NonFinite { row } => Kind::NonFinite.error(format!(
                    "column {:?}, row {}: the vector holds NaN or infinity, or a number beyond float32",
                    self.names.vector,
                    first_row + row as u64
                )),
                database::Error::FieldNonFinite { field, row } => Kind::NonFinite.error(format!(
                    "column {field:?}, row {}: the vector holds NaN or infinity, or a number beyond float32",
                    first_row + row as u64
                )),
                error => error.into_py_err(),
            })
        })?;
        self.committed = self.taken;
        Ok(Some(written.upserted))
    }

    /// The next rows of the table, as many as a transaction takes.
    fn take(&mut self) -> PyResult<Option<Batch>> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let database::Schema { dimension, ref fields, .. } = *self.collection.schema();
        while bytes < FRAME_BYTES && batch.ids.len() < FRAME_ROWS {
            let Some(rows) = self.next_rows()? else { break };
            let at_once = (SLICE_BYTES / self.row_bytes).clamp(1, SLICE_ROWS);
            let count = rows.num_rows().min(at_once).min(FRAME_ROWS - batch.ids.len());
            let before = batch.ids.len();
            let taken_up = rows.slice(0, count);
            let of_collection = (dimension, fields.as_slice());
            batch::append(&taken_up, &self.layout, of_collection, self.taken, &mut batch)?;
            let taken = batch::content_bytes(&batch, before) + count * dimension * 4;
            self.row_bytes = (taken / count).max(1);
            bytes += taken;
            self.taken += count as u64;
            if count < rows.num_rows() {
                self.rest = Some(rows.slice(count, rows.num_rows() - count));
            }
        }
        Ok((!batch.ids.is_empty()).then_some(batch))
    }

    /// Rows that are not taken up yet, at least one.
    fn next_rows(&mut self) -> PyResult<Option<RecordBatch>> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        loop {
            let Some(rows) = self.reader.next() else { return Ok(None) };
            let rows = rows.map_err(|error| {
                let row = self.taken;
                Kind::Argument
                    .error(format!("the table could not be read on from row {row}: {error}"))
            })?;
            if rows.num_rows() > 0 {
                return Ok(Some(rows));
            }
        }
    }
}

/// A table that `to_arrow` made says which model its vectors are of.
fn check_model(collection: &Collection, table: &Schema) -> PyResult<()> {
    let Some(model) = &collection.schema().model else { return Ok(()) };
    let made_with = table.metadata().get(SCHEMA_KEY);
    let made_with = made_with.and_then(|json| serde_json::from_str::<Value>(json).ok());
    match made_with.as_ref().and_then(|made_with| made_with["model_fingerprint"].as_str()) {
        Some(fingerprint) if fingerprint != model.fingerprint => Err(Kind::Schema.error(format!(
            "the table's vectors are of another model (fingerprint {fingerprint}) than those \
                 of collection {:?}: {} (fingerprint {}); they do not compare",
            collection.name(),
            model.name,
            model.fingerprint
        ))),
        _ => Ok(()),
    }
}

/// One of our own errors, or a TypeError, with something added to its message.
fn with_note(py: Python<'_>, error: PyErr, note: &str) -> PyErr {
    let ours = py.import("rust_ai_core.errors").and_then(|errors| errors.getattr("RacError"));
    let is_ours = ours.is_ok_and(|root| error.value(py).is_instance(&root).unwrap_or(false));
    if !is_ours && !error.is_instance_of::<PyTypeError>(py) {
        return error;
    }
    let message = format!("{}; {note}", error.value(py));
    match error.get_type(py).call1((message,)) {
        Ok(value) => PyErr::from_value(value),
        Err(_) => error,
    }
}
