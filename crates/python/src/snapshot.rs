//! `Snapshot`: all collections of a database at one moment.

use database::DatabaseSnapshot;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::collection::Collection;
use crate::damage;
use crate::database::database_stats_to_dict;
use crate::errors::OrRaise;

/// All collections of a database as they were at one moment, made by `Database.snapshot`.
///
/// Reading twice gives the same, whatever is written, deleted, compacted or dropped meanwhile, and
/// also after the database was closed. The collections belong together: a write that is seen in one
/// means that every write that had returned before it is seen in the others. A context manager that
/// closes itself.
///
/// It is quick to take: nothing is copied at first. While it is open it keeps in memory what was
/// written a moment ago and has been replaced since, and on disk every file that it needs, so that
/// space which compaction frees comes back only when it is closed. Close it, rather than keep it.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Snapshot {
    inner: DatabaseSnapshot,
}

impl Snapshot {
    pub(crate) fn new(inner: DatabaseSnapshot) -> Snapshot {
        Snapshot { inner }
    }
}

#[pymethods]
impl Snapshot {
    /// A collection, of which everything can be read as of any other: `get`, `search`, `count`, ...
    /// What would write raises ReadOnlyError. Raises NotFoundError (a KeyError) for one that was
    /// not there when the snapshot was taken.
    fn collection(&self, py: Python<'_>, name: &str) -> PyResult<Collection> {
        let collection = self.inner.collection(name).or_raise()?;
        damage::warn(py, &collection)?;
        Ok(Collection::new(collection, None))
    }

    /// The names of all collections that were there, sorted.
    fn collections(&self) -> Vec<String> {
        self.inner.collections()
    }

    /// What the collections took, as `Database.stats` says it.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        database_stats_to_dict(py, &self.inner.stats().or_raise()?)
    }

    /// Lets go of everything. Later calls on its collections raise ClosedError (a ValueError).
    /// Closing twice does nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.inner.close());
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, py: Python<'_>, _exc: &Bound<'_, PyAny>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        format!("Snapshot(collections={:?})", self.inner.collections())
    }
}
