//! The scores of every row of one matrix against every row of another.

use kernels::{Activation, Backend, Input, Output, PackedMatrix, Precision, RowsMut, matmul};
use numpy::{Element, IntoPyArray, PyArrayMethods};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::bits::BitRows;
use crate::errors::Kind;
use crate::one_to_many::{ScoredBy, scored_by};
use crate::rows::{RowElements, Rows, Score, Values};
use crate::threads;

/// Rows of the first matrix that a task takes at a time.
const TASK_ROWS: usize = 64;
/// Rows of the second matrix that are packed at a time: a bound on the memory that takes.
const PACKED_ROWS: usize = 4096;

/// The scores of every row of `a` against every row of `b`: an array of as many rows and columns.
///
/// `a` is n x d, `b` is m x d, or left out for `a` against itself. `metric` is "cosine", "dot", "l2"
/// (squared distances) or "hamming" (bits that differ; both are arrays of uint8, see `hamming`).
/// Scores are float64 where either is an array of float64, float32 otherwise. Runs on all cores
/// with the GIL released. Raises DimensionError where the widths differ, MemoryError where n x m
/// scores do not fit.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.pairwise([[1, 0], [0, 2]], [[3, 4]], metric="dot").tolist()
/// [[3.0], [8.0]]
#[pyfunction]
#[pyo3(signature = (a, b = None, metric = "cosine"))]
pub(crate) fn pairwise<'py>(
    py: Python<'py>,
    a: &Bound<'py, PyAny>,
    b: Option<&Bound<'py, PyAny>>,
    metric: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let b = b.unwrap_or(a);
    let backend = Backend::active();
    match scored_by(metric)? {
        ScoredBy::Bits => {
            let (a, b) = (BitRows::extract(a)?, BitRows::extract(b)?);
            check_widths((a.count(), a.width()), (b.count(), b.width()))?;
            let (queries, rows) = (a.bytes()?, b.bytes()?);
            let (width, columns) = (a.width(), b.count());
            table(py, a.count(), columns, |first, scores: &mut [f32]| {
                let mut bits = vec![0; columns];
                for (offset, scores) in scores.chunks_mut(columns).enumerate() {
                    let query = &queries[(first + offset) * width..][..width];
                    backend.hamming_many(query, rows, &mut bits);
                    scores.iter_mut().zip(&bits).for_each(|(score, &bits)| *score = bits as f32);
                }
            })
        }
        ScoredBy::Elements(score) => {
            let (a, b) = (Rows::extract(a)?, Rows::extract(b)?);
            let (a, b) = (a.elements()?, b.elements()?);
            check_widths((a.count, a.width), (b.count, b.width))?;
            if matches!(a.values, Values::F64(_)) || matches!(b.values, Values::F64(_)) {
                let (queries, rows) = (a.to_f64(), b.to_f64());
                return table(py, a.count, b.count, |first, scores: &mut [f64]| {
                    for (offset, scores) in scores.chunks_mut(b.count).enumerate() {
                        let query = &queries[(first + offset) * a.width..][..a.width];
                        score.score(backend, query, &rows, scores);
                    }
                });
            }
            let (queries, rows) = (a.to_f32(), b.to_f32());
            if score == Score::SquaredL2 {
                // From products of large vectors that are close little would be left.
                return table(py, a.count, b.count, |first, scores: &mut [f32]| {
                    for (offset, scores) in scores.chunks_mut(b.count).enumerate() {
                        let query = &queries[(first + offset) * a.width..][..a.width];
                        score.score(backend, query, &rows, scores);
                    }
                });
            }
            products(py, score, (a, &queries), (b, &rows))
        }
    }
}

fn check_widths(a: (usize, usize), b: (usize, usize)) -> PyResult<()> {
    if a.0 > 0 && b.0 > 0 && a.1 != b.1 {
        let (a, b) = (a.1, b.1);
        return Err(Kind::Dimension
            .error(format!("the rows of a have {a} elements, the rows of b have {b}")));
    }
    Ok(())
}

/// Zeros for `rows` x `columns` scores.
fn zeros<T: Clone + Default>(rows: usize, columns: usize) -> PyResult<Vec<T>> {
    let too_many = || PyMemoryError::new_err(format!("{rows} x {columns} scores do not fit"));
    let count = rows.checked_mul(columns).ok_or_else(too_many)?;
    let mut scores = Vec::new();
    scores.try_reserve_exact(count).map_err(|_| too_many())?;
    scores.resize(count, T::default());
    Ok(scores)
}

/// An array of `rows` x `columns` scores; `fill` makes some rows of it from the first one's number.
fn table<'py, T: Element + Clone + Default>(
    py: Python<'py>,
    rows: usize,
    columns: usize,
    fill: impl Fn(usize, &mut [T]) + Sync,
) -> PyResult<Bound<'py, PyAny>> {
    let mut scores = zeros(rows, columns)?;
    if !scores.is_empty() {
        threads::run(py, || {
            let tasks = scores.par_chunks_mut(TASK_ROWS * columns).enumerate();
            tasks.for_each(|(task, scores)| fill(task * TASK_ROWS, scores));
        })?;
    }
    Ok(scores.into_pyarray(py).reshape([rows, columns])?.into_any())
}

/// Dot products or cosines, as a matrix product: it reads every row once for many scores.
fn products<'py>(
    py: Python<'py>,
    score: Score,
    (a, queries): (RowElements<'_>, &[f32]),
    (b, rows): (RowElements<'_>, &[f32]),
) -> PyResult<Bound<'py, PyAny>> {
    let backend = Backend::active();
    let mut scores = zeros(a.count, b.count)?;
    let width = a.width;
    if !scores.is_empty() && width > 0 {
        let norms_of = |values: &[f32]| -> Vec<f32> {
            values.par_chunks(width).map(|row| backend.norm(row)).collect()
        };
        threads::run(py, || {
            for first in (0..b.count).step_by(PACKED_ROWS) {
                let count = PACKED_ROWS.min(b.count - first);
                let block = &rows[first * width..][..count * width];
                let block = kernels::Rows::new(block, count, width, width);
                let packed = PackedMatrix::new(backend, Precision::F32, block, None);
                let tasks = scores.par_chunks_mut(TASK_ROWS * b.count);
                tasks.zip(queries.par_chunks(TASK_ROWS * width)).for_each(|(scores, queries)| {
                    let count = queries.len() / width;
                    let queries = Input::F32(kernels::Rows::new(queries, count, width, width));
                    let columns = packed.columns();
                    let out = RowsMut::new(&mut scores[first..], count, columns, b.count);
                    matmul(queries, &packed, 0, Activation::Identity, Output::F32(out));
                });
            }
            if score == Score::Cosine {
                let (a_norms, b_norms) = (norms_of(queries), norms_of(rows));
                scores.par_chunks_mut(b.count).zip(&a_norms).for_each(|(scores, a)| {
                    for (score, b) in scores.iter_mut().zip(&b_norms) {
                        let norms = a * b;
                        *score = if norms == 0.0 { 0.0 } else { *score / norms };
                    }
                });
            }
        })?;
    }
    Ok(scores.into_pyarray(py).reshape([a.count, b.count])?.into_any())
}
