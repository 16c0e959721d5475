//! A database: opening, its collections, closing.

use std::path::PathBuf;
use std::sync::Arc;

use database::{Durability, ElementType, Metric, Model, Options, Schema};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::collection::{Collection, stats_to_dict};
use crate::convert::optional_count;
use crate::damage;
use crate::errors::{Kind, OrRaise};
use crate::fields;
use crate::index;
use crate::optimize;
use crate::shared_encoder::SharedEncoder;
use crate::snapshot::Snapshot;
use crate::threads;

/// The metric of a name that a user types.
pub(crate) fn metric_named(name: &str) -> PyResult<Metric> {
    Metric::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
        Kind::Argument
            .error(format!("metric is \"cosine\", \"dot\", \"l2\" or \"hamming\", not {name:?}"))
    })
}

/// The numbers of a vector of so many coordinates: bits are packed.
pub(crate) fn numbers_of(dimension: usize, element: ElementType) -> PyResult<usize> {
    let packed = element.coordinates();
    if !dimension.is_multiple_of(packed) {
        return Err(Kind::Argument.error(format!(
            "the dimension of {} is a multiple of {packed}, not {dimension}",
            element.name()
        )));
    }
    Ok(dimension / packed)
}

/// Less leaves no room for a useful head.
const LEAST_MEMORY: usize = 1 << 20;

/// The element type of a name or a NumPy dtype.
pub(crate) fn element_named(dtype: &Bound<'_, PyAny>) -> PyResult<ElementType> {
    let name: String = match dtype.extract() {
        Ok(name) => name,
        // NumPy's types have a name, and so have the scalar classes behind them.
        Err(_) => dtype
            .getattr("name")
            .or_else(|_| dtype.getattr("__name__"))
            .and_then(|name| name.extract())
            .unwrap_or_else(|_| dtype.to_string()),
    };
    ElementType::ALL.into_iter().find(|element| element.name() == name).ok_or_else(|| {
        Kind::Argument.error(format!(
            "dtype is \"float32\", \"float16\", \"bfloat16\", \"int8\" or \"bits\", not {name:?}"
        ))
    })
}

/// Opens a database, a directory which is created on first use.
///
/// One process writes at a time: a second `open` of the same directory raises LockedError (an
/// OSError). `durability="sync"` (the default) returns from a write once it is on the disk and
/// survives a power failure; `"batch"` once the operating system has it, which survives the end of
/// the process by whatever cause, and reaches the disk within about 0.2 seconds.
///
/// With `read_only=True` any number of processes read beside the one that writes: nothing is created,
/// locked or written, so the directory may be read-only too. Every read sees all that was
/// acknowledged before it began; nothing has to be opened again. What would write raises
/// ReadOnlyError, and `durability` and `memory_limit` mean nothing. See docs/processes.md.
///
/// `memory_limit` bounds, in bytes and for each collection, what records on their way to the disk and
/// the building of indexes take; larger collections are then indexed in several parts. Indexes
/// themselves are mapped files, which the operating system keeps in memory as far as there is room:
/// searches work, slower, in a small part of their size. Raises ArgumentError for less than 1 MiB,
/// VersionError
/// for a database of a newer release, CorruptError for a damaged one, StorageError (an OSError)
/// where the path is a file, a directory of something else, or not accessible.
///
/// >>> import rust_ai_core as rac
/// >>> with rac.open("notes.rac") as db:
/// ...     points = db.collection("points", dimension=2, metric="l2")
/// ...     points.upsert(["a", "b"], [[0, 0], [3, 4]])
/// ...     points.search([3, 3], limit=1)[0].id
/// 2
/// 'b'
#[pyfunction]
#[pyo3(signature = (path, *, durability = "sync", memory_limit = None, read_only = false))]
pub(crate) fn open(
    py: Python<'_>,
    path: PathBuf,
    durability: &str,
    #[pyo3(from_py_with = optional_count)] memory_limit: Option<usize>,
    read_only: bool,
) -> PyResult<Database> {
    if memory_limit.is_some_and(|limit| limit < LEAST_MEMORY) {
        return Err(Kind::Argument.error("memory_limit is at least 1 MiB (1048576 bytes)"));
    }
    let durability = match durability {
        "sync" => Durability::Sync,
        "batch" => Durability::Batch,
        other => {
            return Err(
                Kind::Argument.error(format!("durability is \"sync\" or \"batch\", not {other:?}"))
            );
        }
    };
    if read_only {
        let inner = py.detach(|| database::Database::open_read_only(&path)).or_raise()?;
        return Ok(Database { inner });
    }
    let memory_limit = memory_limit.map(|bytes| bytes as u64);
    let threads = threads::configured_threads()?;
    let options = Options { durability, memory_limit, threads, ..Options::default() };
    let inner = py.detach(|| database::Database::open(&path, &options)).or_raise()?;
    Ok(Database { inner })
}

/// Bytes on disk and in memory, and the same for each collection.
pub(crate) fn database_stats_to_dict<'py>(
    py: Python<'py>,
    stats: &database::DatabaseStats,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("file_bytes", stats.file_bytes)?;
    dict.set_item("memory_bytes", stats.memory_bytes)?;
    let collections = PyDict::new(py);
    for (name, stats) in &stats.collections {
        collections.set_item(name, stats_to_dict(py, stats)?)?;
    }
    dict.set_item("collections", collections)?;
    Ok(dict)
}

/// An open database, made by `rust_ai_core.open`. A context manager that closes itself.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Database {
    inner: database::Database,
}

#[pymethods]
impl Database {
    /// The directory.
    #[getter]
    fn path(&self) -> String {
        self.inner.path().display().to_string()
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.inner.collections().is_err()
    }

    /// What was cut off when collections were opened: unfinished writes of a process that died,
    /// one sentence each. No write that had returned is ever among them.
    #[getter]
    fn recovered(&self) -> Vec<String> {
        let sentence = |recovery: database::Recovery| {
            format!(
                "{}: an unfinished write of {} bytes at byte {} was cut off",
                recovery.collection, recovery.bytes_cut, recovery.offset
            )
        };
        self.inner.recovered().into_iter().map(sentence).collect()
    }

    /// Opens a collection, and creates it where there is none of that name.
    ///
    /// Creating one needs either `model` (a name, path or Encoder: texts are embedded for you) or
    /// `dimension` (you bring vectors), and takes `metric`: "cosine" (the default), "dot", "l2" or
    /// "hamming".
    /// An existing one needs neither; what is given must agree with it, or SchemaError says how it
    /// differs. A collection knows its model's fingerprint and refuses another model's vectors.
    /// Raises NotFoundError (a KeyError) where there is none and nothing is said to create it.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> db = rac.open("notes.rac")
    /// >>> db.collection("points", dimension=3)
    /// Collection('points', dimension=3, metric='cosine', records=0)
    /// >>> db.close()
    ///
    /// Vectors are indexed in the background once there are some thousand; `index` is an `Index`
    /// with settings, or False for exact searches only. It counts from then on, also for an existing
    /// collection.
    ///
    /// `dtype` is what vectors are rounded to and kept as: "float32" (the default) keeps them as they
    /// are; "float16" and "bfloat16" take half of the space, "int8" (a byte a number times a scale of
    /// the vector) a quarter. It is fixed when the collection is created.
    ///
    /// `metric="hamming"` is the number of bits in which vectors differ. It goes with `dtype="bits"`,
    /// and each is the other's default: vectors are uint8, eight bits in each as `numpy.packbits` packs
    /// them, and `dimension` counts bits, a multiple of 8. Searches count over all records, exactly;
    /// there is no index.
    ///
    /// `fields` gives records further vectors beside their own: a dict of names and `VectorField` or
    /// `SparseField`, at most 16, fixed when the collection is created (docs/fields.md).
    ///
    /// >>> with rac.open("notes.rac") as db:
    /// ...     fields = {"title": rac.VectorField(8), "terms": rac.SparseField()}
    /// ...     db.collection("articles", dimension=4, fields=fields)
    /// Collection('articles', dimension=4, metric='cosine', fields=['terms', 'title'], records=0)
    ///
    /// >>> import numpy as np
    /// >>> with rac.open("notes.rac") as db:
    /// ...     codes = db.collection("codes", dimension=16, metric="hamming")
    /// ...     _ = codes.upsert(["a", "b"], np.array([[255, 0], [15, 1]], np.uint8))
    /// ...     codes.search(np.array([255, 1], np.uint8), limit=1)[0].score
    /// 1.0
    #[pyo3(signature = (
        name, *, dimension = None, model = None, metric = None, dtype = None, index = None,
        fields = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn collection(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = optional_count)] dimension: Option<usize>,
        model: Option<&Bound<'_, PyAny>>,
        metric: Option<&str>,
        dtype: Option<&Bound<'_, PyAny>>,
        index: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Collection> {
        let fields =
            fields.filter(|fields| !fields.is_none()).map(fields::fields_of).transpose()?;
        let element = dtype.map(element_named).transpose()?;
        let index = index::options(index)?;
        let metric = metric.map(metric_named).transpose()?;
        let encoder = model.map(|model| SharedEncoder::of(model, None, None)).transpose()?;
        if let (Some(dimension), Some((name, encoder))) = (dimension, &encoder)
            && dimension != encoder.dimension()
        {
            return Err(Kind::Dimension.error(format!(
                "dimension={dimension}, but model {name:?} makes vectors of {}",
                encoder.dimension()
            )));
        }
        let (metric, element) = match (metric, element) {
            (Some(Metric::Hamming), None) => (metric, Some(ElementType::Bits)),
            (None, Some(ElementType::Bits)) => (Some(Metric::Hamming), element),
            given => given,
        };
        // What was left open is what an existing collection says.
        let existing = match py.detach(|| self.inner.collection(name, None)) {
            Ok(collection) => Some(collection.schema().clone()),
            Err(database::Error::NotFound { .. }) => None,
            Err(error) => return Err(error).or_raise(),
        };
        let element = element
            .or(existing.as_ref().map(|schema| schema.element))
            .unwrap_or(ElementType::Float32);
        let asked = Schema {
            dimension: match (dimension, &encoder, &existing) {
                (Some(dimension), _, _) => numbers_of(dimension, element)?,
                (None, Some((_, encoder)), _) => encoder.dimension(),
                (None, None, Some(schema)) => schema.dimension,
                (None, None, None) => {
                    return Err(Kind::NotFound.error(format!(
                        "there is no collection named {name:?}; give model= or dimension= to \
                         create it"
                    )));
                }
            },
            metric: metric
                .or(existing.as_ref().map(|schema| schema.metric))
                .unwrap_or(Metric::Cosine),
            element,
            model: match (&encoder, &existing) {
                (None, Some(schema)) => schema.model.clone(),
                (None, None) => None,
                (Some((name, encoder)), existing) => {
                    let fingerprint = encoder.fingerprint().to_owned();
                    let known = existing.as_ref().and_then(|schema| schema.model.as_ref());
                    // The same model by another name is the same model.
                    Some(match known.filter(|model| model.fingerprint == fingerprint) {
                        Some(model) => model.clone(),
                        None => Model { name: name.clone(), fingerprint },
                    })
                }
            },
            fields: fields.unwrap_or_else(|| existing.map_or_else(Vec::new, |it| it.fields)),
        };
        let collection =
            py.detach(|| self.inner.collection_with_index(name, Some(asked), index)).or_raise()?;
        damage::warn(py, &collection)?;
        Ok(Collection::new(collection, encoder.map(|(_, encoder)| encoder)))
    }

    /// The names of all collections, sorted.
    fn collections(&self) -> PyResult<Vec<String>> {
        self.inner.collections().or_raise()
    }

    /// Deletes a collection and its files. Raises NotFoundError where there is none.
    fn drop(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        py.detach(|| self.inner.drop_collection(name)).or_raise()
    }

    /// Returns once everything written so far is on the disk.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.flush()).or_raise()
    }

    /// What the database takes: bytes on disk and in memory, and the same for each collection.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.inner.stats()).or_raise()?;
        let dict = database_stats_to_dict(py, &stats)?;
        dict.set_item("path", self.path())?;
        Ok(dict)
    }

    /// All collections as they are now, for reads that agree with one another whatever is written
    /// meanwhile: a `Snapshot`, which is closed when it is no longer needed. Raises CorruptError
    /// where a collection is damaged.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert(["a", "b"], [[1, 0], [0, 1]])
    /// ...     with db.snapshot() as before:
    /// ...         _ = items.delete(["a"])
    /// ...         len(items), len(before.collection("items"))
    /// (1, 2)
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        Ok(Snapshot::new(py.detach(|| self.inner.snapshot()).or_raise()?))
    }

    /// Copies the database, as it is now, to a folder that does not exist, or is empty, while
    /// writing goes on: all collections at one moment, everything acknowledged before the call.
    ///
    /// Segments become hard links where `path` is on the same file system, which takes next to no
    /// time and space, and a damaged disk damages both; on another one they are copied. The folder
    /// appears under its name once all of it is on the disk, and was read and checked; what fails
    /// or is interrupted leaves nothing. `progress` is True for a bar or a callable that gets the
    /// bytes copied and checked, and those in all.
    ///
    /// A backup is a database. Open it read-only to look, and work with a copy that
    /// `rust_ai_core.restore` makes. Raises ArgumentError for a `path` that is taken, CorruptError
    /// for a damaged database, StorageError.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     _ = db.collection("items", dimension=2).upsert([1], [[1, 0]])
    /// ...     db.backup("notes-backup.rac")
    /// >>> rac.verify("notes-backup.rac")
    /// VerifyReport(ok, 1 collection)
    #[pyo3(signature = (path, *, progress = None))]
    fn backup(
        &self,
        py: Python<'_>,
        path: PathBuf,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        optimize::run(py, progress, |report| self.inner.snapshot()?.backup(&path, report))
    }

    /// Reads everything, and makes sound what is damaged: indexes are written anew from the records.
    /// Returns what was damaged, for each collection that was: a list as of `Collection.damage`.
    ///
    /// Records that cannot be read stay where they are, and the database damaged, for whoever can
    /// rescue their files, or has a backup of them. With `accept_loss=True` they are given up:
    /// their files are removed, once what can be read of them was written elsewhere. Copy the files
    /// first if in doubt.
    ///
    /// A collection that cannot be opened because of a damaged log is in the list of what was damaged,
    /// with `keeps_closed`. With `accept_loss=True` the transactions of the log that are whole are
    /// written anew, before the damage and behind it, and the damaged file is kept (`kept_as`). What
    /// a lost transaction wrote is missing then, and what it replaced or deleted is back as it was
    /// before it. Nothing is done without a manifest, of which there are two copies. `progress` is True for a bar or a callable that gets the steps done and the
    /// steps in all.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     db.repair()
    /// {}
    #[pyo3(signature = (*, accept_loss = false, progress = None))]
    fn repair<'py>(
        &self,
        py: Python<'py>,
        accept_loss: bool,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let repaired =
            optimize::run(py, progress, |report| self.inner.repair(accept_loss, report))?;
        let dict = PyDict::new(py);
        for (name, files) in repaired.iter().filter(|(_, files)| !files.is_empty()) {
            dict.set_item(name, damage::to_list(py, files)?)?;
        }
        Ok(dict)
    }

    /// Brings everything to the disk and lets go of the directory. Later calls on the database and
    /// its collections raise ClosedError (a ValueError). Closing twice does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.close()).or_raise()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, py: Python<'_>, _exc: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        match self.inner.collections() {
            Ok(names) => format!("Database({:?}, collections={names:?})", self.path()),
            Err(_) => format!("Database({:?}, closed)", self.path()),
        }
    }
}

/// Copies a backup, or any database that nobody writes to, to a folder that does not exist, or is
/// empty. Every byte is copied, nothing is linked, so the two have nothing in common afterwards.
///
/// The folder appears under its name once all of it is on the disk, and was read and checked; what
/// fails or is interrupted leaves nothing. `progress` is as for `Database.backup`. Raises
/// ArgumentError for a `path` that is taken, LockedError while somebody writes to the backup,
/// CorruptError, naming the file, for a damaged one, StorageError.
///
/// >>> import rust_ai_core as rac
/// >>> with rac.open("notes.rac") as db:
/// ...     _ = db.collection("items", dimension=2).upsert([1], [[1, 0]])
/// ...     db.backup("notes-backup.rac")
/// >>> rac.restore("notes-backup.rac", "restored.rac")
/// >>> with rac.open("restored.rac") as db:
/// ...     len(db.collection("items"))
/// 1
#[pyfunction]
#[pyo3(signature = (backup, path, *, progress = None))]
pub(crate) fn restore(
    py: Python<'_>,
    backup: PathBuf,
    path: PathBuf,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    optimize::run(py, progress, |report| database::restore(&backup, &path, report))
}

/// Checks every byte of a database against its checksums, changes nothing, needs no lock.
///
/// >>> import rust_ai_core as rac
/// >>> rac.open("notes.rac").close()
/// >>> rac.verify("notes.rac")
/// VerifyReport(ok, 0 collections)
#[pyfunction]
#[pyo3(signature = (path))]
pub(crate) fn verify(py: Python<'_>, path: PathBuf) -> PyResult<VerifyReport> {
    let inner = py.detach(|| database::verify(&path)).or_raise()?;
    Ok(VerifyReport { inner: Arc::new(inner) })
}

/// What `rust_ai_core.verify` found.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct VerifyReport {
    inner: Arc<database::VerifyReport>,
}

#[pymethods]
impl VerifyReport {
    /// Whether nothing is wrong anywhere.
    #[getter]
    fn ok(&self) -> bool {
        self.inner.is_sound()
    }

    /// What is wrong, a sentence each with file and byte.
    #[getter]
    fn problems(&self) -> Vec<String> {
        let inside = self.inner.collections.iter().flat_map(|collection| &collection.problems);
        self.inner
            .problems
            .iter()
            .chain(inside)
            .map(|problem| {
                format!("{}, byte {}: {}", problem.file.display(), problem.offset, problem.what)
            })
            .collect()
    }

    /// For each collection: records, frames, bytes, unfinished_bytes (of a write that nobody was
    /// told was done) and the number of problems.
    #[getter]
    fn collections<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let collections = PyDict::new(py);
        for report in &self.inner.collections {
            let dict = PyDict::new(py);
            dict.set_item("records", report.records)?;
            dict.set_item("frames", report.frames)?;
            dict.set_item("bytes", report.bytes)?;
            dict.set_item("unfinished_bytes", report.unfinished_bytes)?;
            dict.set_item("problems", report.problems.len())?;
            collections.set_item(&report.name, dict)?;
        }
        Ok(collections)
    }

    /// All of it as a dict of plain values.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("ok", self.ok())?;
        dict.set_item("problems", self.problems())?;
        dict.set_item("collections", self.collections(py)?)?;
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        let state = match self.problems().len() {
            0 => "ok".to_owned(),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        let count = self.inner.collections.len();
        let noun = if count == 1 { "collection" } else { "collections" };
        format!("VerifyReport({state}, {count} {noun})")
    }
}
