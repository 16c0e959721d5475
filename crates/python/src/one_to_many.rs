//! Kernels on one vector against the rows of a matrix, on all cores.

use database::Metric;
use kernels::{Backend, Float, TopK};
use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::arrays::{Elements, Matrix, Vector};
use crate::convert::count;
use crate::database::metric_named;
use crate::errors::Kind;
use crate::threads;

/// Rows that a task takes at a time.
const BLOCK_ROWS: usize = 256;

/// The rows of a matrix, in place where they are a contiguous NumPy array of floats.
enum Rows<'py> {
    BorrowedF32(PyReadonlyArray2<'py, f32>),
    BorrowedF64(PyReadonlyArray2<'py, f64>),
    Copied(Matrix),
}

impl<'py> Rows<'py> {
    fn extract(object: &Bound<'py, PyAny>) -> PyResult<Rows<'py>> {
        let is_float_matrix =
            object.is_instance_of::<PyArray2<f32>>() || object.is_instance_of::<PyArray2<f64>>();
        if !is_float_matrix {
            return Ok(Rows::Copied(Matrix::extract(object)?));
        }
        // The array itself, unless its rows do not lie one after the other.
        let object = object.py().import("numpy")?.call_method1("ascontiguousarray", (object,))?;
        if let Ok(array) = object.cast::<PyArray2<f32>>()
            && let Ok(array) = array.try_readonly()
            && array.as_slice().is_ok()
        {
            return Ok(Rows::BorrowedF32(array));
        }
        if let Ok(array) = object.cast::<PyArray2<f64>>()
            && let Ok(array) = array.try_readonly()
            && array.as_slice().is_ok()
        {
            return Ok(Rows::BorrowedF64(array));
        }
        Ok(Rows::Copied(Matrix::extract(&object)?))
    }

    fn shape(&self) -> (usize, usize) {
        match self {
            Rows::BorrowedF32(array) => (array.shape()[0], array.shape()[1]),
            Rows::BorrowedF64(array) => (array.shape()[0], array.shape()[1]),
            Rows::Copied(matrix) => (matrix.rows, matrix.columns),
        }
    }
}

/// A kernel for each element type.
#[derive(Clone, Copy)]
struct Many {
    narrow: fn(Backend, &[f32], &[f32], &mut [f32]),
    wide: fn(Backend, &[f64], &[f64], &mut [f64]),
}

impl Many {
    const DOT: Many = Many { narrow: Backend::dot_many, wide: Backend::dot_many };
    const COSINE: Many = Many { narrow: Backend::cosine_many, wide: Backend::cosine_many };
    const SQUARED_L2: Many =
        Many { narrow: Backend::squared_l2_many, wide: Backend::squared_l2_many };

    fn run<'py>(
        self,
        query: &Bound<'py, PyAny>,
        rows: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = query.py();
        let query = Vector::extract(query)?;
        let query = query.elements()?;
        let rows = Rows::extract(rows)?;
        check_columns(query.len(), rows.shape())?;
        match &rows {
            Rows::BorrowedF64(array) => {
                let query: Vec<f64> = match query {
                    Elements::F32(x) => x.iter().map(|&x| x.into()).collect(),
                    Elements::F64(x) => x.to_vec(),
                };
                let rows = array.as_slice().map_err(changed)?;
                Ok(scores(py, self.wide, &query, rows, array.shape()[0])?.into_any())
            }
            Rows::BorrowedF32(array) => {
                let rows = array.as_slice().map_err(changed)?;
                Ok(scores(py, self.narrow, &query.to_f32(), rows, array.shape()[0])?.into_any())
            }
            Rows::Copied(matrix) => {
                let query = query.to_f32();
                Ok(scores(py, self.narrow, &query, &matrix.values, matrix.rows)?.into_any())
            }
        }
    }
}

fn changed(_: impl std::fmt::Debug) -> PyErr {
    Kind::Argument.error("the array changed while it was read")
}

fn check_columns(length: usize, (rows, columns): (usize, usize)) -> PyResult<()> {
    if rows > 0 && length != columns {
        return Err(Kind::Dimension
            .error(format!("the query has {length} elements, the rows have {columns}")));
    }
    Ok(())
}

fn scores<'py, T: Float + Element>(
    py: Python<'py>,
    kernel: fn(Backend, &[T], &[T], &mut [T]),
    query: &[T],
    rows: &[T],
    count: usize,
) -> PyResult<Bound<'py, PyArray1<T>>> {
    let backend = Backend::active();
    let scores = threads::run(py, || {
        let mut scores = vec![T::default(); count];
        scores
            .par_chunks_mut(BLOCK_ROWS)
            .zip(rows.par_chunks(BLOCK_ROWS * query.len().max(1)))
            .for_each(|(scores, rows)| kernel(backend, query, rows, scores));
        scores
    })?;
    Ok(scores.into_pyarray(py))
}

/// The dot products of a query with every row of a matrix: an array of as many scores as rows.
///
/// `query` has d elements, `rows` is n x d. A NumPy matrix of float64 gives float64 scores, everything
/// else float32 ones; a matrix of floats is read in place if its rows lie one after the other. Runs on all cores
/// with the GIL released. Raises DimensionError (a ValueError) where the widths differ.
///
/// >>> import numpy as np
/// >>> from rust_ai_core import similarity
/// >>> similarity.dot_many([1, 2], np.eye(2)).tolist()
/// [1.0, 2.0]
#[pyfunction]
#[pyo3(signature = (query, rows))]
pub(crate) fn dot_many<'py>(
    query: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    Many::DOT.run(query, rows)
}

/// The cosines of a query with every row of a matrix; see `dot_many`.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.cosine_many([2, 0], [[1, 0], [0, 1]]).tolist()
/// [1.0, 0.0]
#[pyfunction]
#[pyo3(signature = (query, rows))]
pub(crate) fn cosine_many<'py>(
    query: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    Many::COSINE.run(query, rows)
}

/// The squared Euclidean distances of a query to every row of a matrix; see `dot_many`.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.squared_l2_many([0, 0], [[3, 4], [0, 1]]).tolist()
/// [25.0, 1.0]
#[pyfunction]
#[pyo3(signature = (query, rows))]
pub(crate) fn squared_l2_many<'py>(
    query: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    Many::SQUARED_L2.run(query, rows)
}

/// The `k` rows of a matrix that are nearest to a query, best first: `(indices, scores)`.
///
/// `metric` is "cosine" or "dot" (larger is better) or "l2" (squared distance, smaller is better).
/// Scores are computed in float32, on all cores with the GIL released; equal ones come in the order
/// of the rows, rows that score NaN never come. There are as many as there are rows if that is
/// fewer than `k`. Raises DimensionError where the widths differ, ArgumentError for a `k` of 0.
///
/// >>> from rust_ai_core import similarity
/// >>> indices, scores = similarity.top_k([1, 0], [[0, 1], [1, 1], [5, 0]], k=2, metric="dot")
/// >>> indices.tolist(), scores.tolist()
/// ([2, 1], [5.0, 1.0])
#[pyfunction]
#[pyo3(signature = (query, rows, k = 10, metric = "cosine"))]
#[expect(clippy::type_complexity, reason = "two arrays, spelled out")]
pub(crate) fn top_k<'py>(
    py: Python<'py>,
    query: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = count)] k: usize,
    metric: &str,
) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f32>>)> {
    if k == 0 {
        return Err(Kind::Argument.error("k must be at least 1"));
    }
    let metric = metric_named(metric)?;
    let query = Vector::extract(query)?.elements()?.to_f32();
    let rows = Rows::extract(rows)?;
    check_columns(query.len(), rows.shape())?;
    let copied: Vec<f32>;
    let values: &[f32] = match &rows {
        Rows::BorrowedF32(array) => array.as_slice().map_err(changed)?,
        Rows::BorrowedF64(array) => {
            copied = array.as_slice().map_err(changed)?.iter().map(|&x| x as f32).collect();
            &copied
        }
        Rows::Copied(matrix) => &matrix.values,
    };
    // Selection keeps the greatest, so a distance goes in with its sign turned.
    let (kernel, sign) = match metric {
        Metric::Cosine => (Many::COSINE.narrow, 1.0),
        Metric::Dot => (Many::DOT.narrow, 1.0),
        Metric::L2 => (Many::SQUARED_L2.narrow, -1.0),
    };
    let backend = Backend::active();
    let width = query.len().max(1);
    let best = threads::run(py, || {
        values
            .par_chunks(BLOCK_ROWS * width)
            .enumerate()
            .fold(
                || TopK::new(k),
                |mut best, (block, rows)| {
                    let mut scores = [0.0; BLOCK_ROWS];
                    let scores = &mut scores[..rows.len() / width];
                    kernel(backend, &query, rows, scores);
                    for (offset, score) in scores.iter().enumerate() {
                        best.push(sign * score, (block * BLOCK_ROWS + offset) as u32);
                    }
                    best
                },
            )
            .reduce(
                || TopK::new(k),
                |mut best, other| {
                    best.merge(other);
                    best
                },
            )
            .into_sorted()
    })?;
    let (scores, indices): (Vec<f32>, Vec<i64>) =
        best.into_iter().map(|(score, index)| (sign * score, i64::from(index))).unzip();
    Ok((indices.into_pyarray(py), scores.into_pyarray(py)))
}
