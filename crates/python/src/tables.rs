//! A collection's records as tables: Arrow, data frames, Parquet.

use pyo3::prelude::*;

use crate::arrow::{ArrowStream, ColumnNames, Load};
use crate::collection::{Collection, filter};
use crate::columns::NonFinite;
use crate::errors::OrRaise;
use crate::progress::Reporter;

#[pymethods]
impl Collection {
    /// Writes the rows of a table, as `upsert` writes records, without a Python object a row. Returns
    /// how many records were written.
    ///
    /// `table` is anything with the Arrow PyCapsule interface: a pyarrow Table, RecordBatch or
    /// RecordBatchReader, a polars or pandas DataFrame, a DuckDB relation, what `to_arrow` gave. Its
    /// columns: `id`, integers or strings; `vector`, lists of `dimension` numbers, which may be
    /// missing where the collection has a model and there is a column `text`, strings; `metadata`,
    /// structs, maps, or strings that are JSON objects; and those named as the collection's fields, lists
    /// of numbers for a VectorField, structs of the lists `indices` and `values` for a SparseField,
    /// null for a record without a vector there. **Every other column is a key of the
    /// metadata**; dates and times become ISO 8601 strings. A null id, vector or element is an error;
    /// any other null means that the record does not have it. docs/arrow.md has it all.
    ///
    /// Rows are written in transactions of at most 16,384 rows or about 16 MiB, each of them as a
    /// whole, in the table's order. Where a row is unusable, its transaction is not written, those
    /// before it stay, and the message names column and row and says how many rows are written.
    /// Raises ArgumentError, DimensionError, NonFiniteError (`non_finite="skip"` leaves such rows
    /// out) and TypeError for columns of unusable types. `progress` is True for a bar or a callable
    /// that gets the rows done.
    ///
    /// >>> import pyarrow
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     vectors = [[1.0, 0.0], [0.0, 1.0]]
    /// ...     table = pyarrow.table({"id": ["a", "b"], "vector": vectors, "lang": ["en", None]})
    /// ...     written = items.upsert_table(table)
    /// ...     written, items.get(["a"])[0].metadata
    /// (2, {'lang': 'en'})
    #[pyo3(signature = (
        table, *, id = "id", vector = "vector", text = "text", metadata = "metadata",
        non_finite = "raise", progress = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn upsert_table(
        &self,
        table: &Bound<'_, PyAny>,
        id: &str,
        vector: &str,
        text: &str,
        metadata: &str,
        non_finite: &str,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let names = ColumnNames {
            id: id.to_owned(),
            vector: vector.to_owned(),
            text: text.to_owned(),
            metadata: metadata.to_owned(),
        };
        let load = Load::new(&self.inner, table, names, NonFinite::parse(non_finite)?)?;
        let embed = |py: Python<'_>, texts| self.embed_documents(py, texts);
        Reporter::with(table.py(), "rows_bar", progress, |reporter| {
            load.run(table.py(), &embed, reporter)
        })
    }

    /// The records, or those that match `where`, as they are now, for anything that reads Arrow:
    /// `pyarrow.table(...)`, `polars.DataFrame(...)`, `duckdb.from_arrow(...)`, `upsert_table`.
    ///
    /// Columns: `id` (int64, or string, or where a collection has both kinds a struct of `int` and
    /// `str`), `vector` (a list of `dimension` float32), `text`, `metadata` (JSON), and `place` (a
    /// struct of source, start, end, line), and one for each of the collection's fields. Records are read as the stream is, and later writes do
    /// not show in it.
    ///
    /// >>> import pyarrow
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert([1, 2], [[1, 0], [0, 1]], metadata=[{"lang": "en"}, None])
    /// ...     table = pyarrow.table(items.to_arrow(where={"lang": "en"}))
    /// >>> table["id"].to_pylist(), table["metadata"].to_pylist()
    /// ([1], ['{"lang":"en"}'])
    #[pyo3(signature = (*, r#where = None))]
    fn to_arrow(
        &self,
        py: Python<'_>,
        r#where: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<ArrowStream> {
        let filter = filter(r#where)?;
        py.detach(|| {
            let start = self.inner.cursor(filter.as_ref())?;
            ArrowStream::new(self.inner.clone(), start)
        })
        .or_raise()
    }

    /// The records, or those that match `where`, as a pandas DataFrame with the columns of
    /// `to_arrow`. Needs the packages pandas and pyarrow.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert([1, 2], [[1, 0], [0, 1]], texts=["one", "two"])
    /// ...     items.to_pandas()["text"].tolist()
    /// ['one', 'two']
    #[pyo3(signature = (*, r#where = None))]
    fn to_pandas<'py>(
        &self,
        py: Python<'py>,
        r#where: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stream = self.to_arrow(py, r#where)?;
        py.import("rust_ai_core.frames")?.call_method1("to_pandas", (stream,))
    }

    /// The records, or those that match `where`, as a polars DataFrame with the columns of
    /// `to_arrow`. Needs the package polars.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert([1, 2], [[1, 0], [0, 1]], texts=["one", "two"])
    /// ...     items.to_polars()["text"].to_list()
    /// ['one', 'two']
    #[pyo3(signature = (*, r#where = None))]
    fn to_polars<'py>(
        &self,
        py: Python<'py>,
        r#where: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stream = self.to_arrow(py, r#where)?;
        py.import("rust_ai_core.frames")?.call_method1("to_polars", (stream,))
    }

    /// Writes the records, or those that match `where`, to a Parquet file with the columns of
    /// `to_arrow`, which `import_` takes exactly as they were; returns how many. Needs the package
    /// pyarrow. Holds one batch in memory at a time; the file appears under its name when it is
    /// complete, and replaces one that was there. `progress` as for `upsert_table`.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert([1, 2], [[1, 0], [0, 1]])
    /// ...     copy = db.collection("copy", dimension=2)
    /// ...     items.export("items.parquet"), copy.import_("items.parquet"), len(copy)
    /// (2, 2, 2)
    #[pyo3(signature = (path, *, r#where = None, progress = None))]
    fn export<'py>(
        &self,
        path: &Bound<'py, PyAny>,
        r#where: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<usize> {
        let py = path.py();
        let stream = Bound::new(py, self.to_arrow(py, r#where)?)?;
        Reporter::with(py, "rows_bar", progress, |reporter| {
            let report = match reporter {
                Reporter::Silent => None,
                Reporter::To(function) => Some(function),
            };
            let frames = py.import("rust_ai_core.frames")?;
            frames.call_method1("write_parquet", (&stream, path, report))?.extract()
        })
    }

    /// Writes the rows of a Parquet file, one that `export` made or any other with such columns, a
    /// row group at a time; everything else is as `upsert_table` does it. Needs the package
    /// pyarrow. Raises SchemaError where the file's vectors are of another model than the
    /// collection's.
    #[pyo3(signature = (
        path, *, id = "id", vector = "vector", text = "text", metadata = "metadata",
        non_finite = "raise", progress = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn import_(
        &self,
        path: &Bound<'_, PyAny>,
        id: &str,
        vector: &str,
        text: &str,
        metadata: &str,
        non_finite: &str,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let frames = path.py().import("rust_ai_core.frames")?;
        let batches = frames.call_method1("read_parquet", (path,))?;
        self.upsert_table(&batches, id, vector, text, metadata, non_finite, progress)
    }
}
