//! `Index`: how a collection's vectors are indexed.

use database::IndexOptions;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::convert::{optional_count, type_name};
use crate::errors::{Kind, OrRaise};

/// How a collection's vectors are indexed, for `Database.collection(index=...)`. The defaults find
/// at least 0.95 of the true neighbours of real embeddings; `Collection.recall` measures it.
///
/// `minimum_rows`: from so many records on a part of the collection gets a graph, and from half as many
/// on codes until it is in one; smaller ones are searched exactly. `degree`: neighbours a node, a multiple of 32; more takes more space and finds
/// more. `build_effort`: candidates among which a node's neighbours are chosen; more takes longer to
/// build and finds more. `search_effort`: candidates that a search keeps where it does not say
/// `effort=`. None stands for the default. Raises ArgumentError for values out of range.
///
/// >>> import rust_ai_core as rac
/// >>> rac.Index(search_effort=200)
/// Index(minimum_rows=4096, search_effort=200)
#[pyclass(module = "rust_ai_core", frozen, eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Index {
    options: IndexOptions,
}

#[pymethods]
impl Index {
    #[new]
    #[pyo3(signature = (*, minimum_rows = 4096, degree = None, build_effort = None, search_effort = None))]
    fn new(
        minimum_rows: u32,
        #[pyo3(from_py_with = optional_count)] degree: Option<usize>,
        #[pyo3(from_py_with = optional_count)] build_effort: Option<usize>,
        #[pyo3(from_py_with = optional_count)] search_effort: Option<usize>,
    ) -> PyResult<Index> {
        let number = |name: &str, value: Option<usize>| match value {
            None => Ok(0),
            Some(0) => Err(Kind::Argument.error(format!("{name} is at least 1, or None"))),
            Some(value) => Ok(u32::try_from(value).unwrap_or(u32::MAX)),
        };
        let options = IndexOptions {
            minimum_rows,
            degree: number("degree", degree)?,
            build_effort: number("build_effort", build_effort)?,
            search_effort: number("search_effort", search_effort)?,
        };
        options.validate().or_raise()?;
        Ok(Index { options })
    }

    /// Records from which on a part of the collection gets a graph.
    #[getter]
    fn minimum_rows(&self) -> u32 {
        self.options.minimum_rows
    }

    /// Neighbours a node, or None for the default.
    #[getter]
    fn degree(&self) -> Option<u32> {
        chosen(self.options.degree)
    }

    /// Candidates for a node's neighbours, or None for the default.
    #[getter]
    fn build_effort(&self) -> Option<u32> {
        chosen(self.options.build_effort)
    }

    /// Candidates that a search keeps, or None for the default.
    #[getter]
    fn search_effort(&self) -> Option<u32> {
        chosen(self.options.search_effort)
    }

    fn __repr__(&self) -> String {
        let settings = [
            ("degree", self.options.degree),
            ("build_effort", self.options.build_effort),
            ("search_effort", self.options.search_effort),
        ];
        let settings: String = settings
            .iter()
            .filter_map(|(name, value)| Some(format!(", {name}={}", chosen(*value)?)))
            .collect();
        format!("Index(minimum_rows={}{settings})", self.options.minimum_rows)
    }
}

/// 0 stands for the default.
fn chosen(value: u32) -> Option<u32> {
    (value > 0).then_some(value)
}

/// The `index` argument: an `Index`, or False for exact searches only.
pub(crate) fn options(index: Option<&Bound<'_, PyAny>>) -> PyResult<Option<IndexOptions>> {
    let Some(index) = index.filter(|index| !index.is_none()) else {
        return Ok(None);
    };
    if let Ok(index) = index.cast::<Index>() {
        return Ok(Some(index.get().options));
    }
    match index.cast::<PyBool>() {
        Ok(flag) if flag.is_true() => Ok(Some(IndexOptions::default())),
        Ok(_) => Ok(Some(IndexOptions::exact())),
        Err(_) => Err(PyTypeError::new_err(format!(
            "index is an Index, True or False, not {}",
            type_name(index)
        ))),
    }
}

/// What a collection's `index` says.
pub(crate) fn wrap(options: IndexOptions) -> Index {
    Index { options }
}
