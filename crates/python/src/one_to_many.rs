//! Kernels on one vector against the rows of a matrix, on all cores.

use kernels::{Backend, TopK};
use numpy::{Element, IntoPyArray, PyArray1};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::bits::{BitRows, Bits};
use crate::convert::count;
use crate::errors::Kind;
use crate::rows::{Query, Rows, Score, Values};
use crate::threads;
use crate::vector::Vector;

/// Rows that a task takes at a time.
pub(crate) const BLOCK_ROWS: usize = 256;

impl Score {
    fn of_every_row<'py>(
        self,
        query: &Bound<'py, PyAny>,
        rows: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = query.py();
        let query = Vector::extract(query)?;
        let query = query.elements()?;
        let rows = Rows::extract(rows)?;
        let rows = rows.elements()?;
        rows.check_width(query.len())?;
        let backend = Backend::active();
        if let Values::F64(values) = rows.values {
            let query = query.to_f64();
            let scores = in_blocks(py, rows.count, |first, scores| {
                let block = &values[first * rows.width..(first + scores.len()) * rows.width];
                self.score(backend, &query, block, scores);
            })?;
            return Ok(scores.into_any());
        }
        let query = Query::new(query);
        let scores = in_blocks(py, rows.count, |first, scores| {
            rows.score(backend, self, &query, first, scores);
        })?;
        Ok(scores.into_any())
    }
}

/// An array of `count` scores, which `fill` makes from the number of a block's first row, on all
/// cores; a single block is not worth waking them.
fn in_blocks<T: Element + Default + Clone>(
    py: Python<'_>,
    count: usize,
    fill: impl Fn(usize, &mut [T]) + Sync,
) -> PyResult<Bound<'_, PyArray1<T>>> {
    let mut scores = vec![T::default(); count];
    if count <= BLOCK_ROWS {
        py.detach(|| fill(0, &mut scores));
        return Ok(scores.into_pyarray(py));
    }
    threads::run(py, || {
        let blocks = scores.par_chunks_mut(BLOCK_ROWS).enumerate();
        blocks.for_each(|(block, scores)| fill(block * BLOCK_ROWS, scores));
    })?;
    Ok(scores.into_pyarray(py))
}

/// The dot products of a query with every row of a matrix: an array of as many scores as rows.
///
/// `query` has d elements, `rows` is n x d. An array of float64 rows gives float64 scores, everything
/// else float32 ones. Rows of float64, float32, float16, bfloat16 and int8 that lie one after the
/// other are read in place. Runs on all cores with the GIL released. Raises DimensionError (a
/// ValueError) where the widths differ.
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
    Score::Dot.of_every_row(query, rows)
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
    Score::Cosine.of_every_row(query, rows)
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
    Score::SquaredL2.of_every_row(query, rows)
}

/// The numbers of bits in which a query differs from every row: uint32, as many as rows.
///
/// `query` is what `hamming` takes, of d bytes; `rows` is an array of uint8, n x d. Raises
/// DimensionError where the widths differ.
///
/// >>> import numpy as np
/// >>> from rust_ai_core import similarity
/// >>> similarity.hamming_many(b"\x0f", np.array([[0], [255]], np.uint8)).tolist()
/// [4, 4]
#[pyfunction]
#[pyo3(signature = (query, rows))]
pub(crate) fn hamming_many<'py>(
    query: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let py = query.py();
    let query = Bits::extract(query)?;
    let query = query.bytes()?;
    let rows = BitRows::extract(rows)?;
    rows.check_width(query.len())?;
    let (values, width) = (rows.bytes()?, rows.width());
    let backend = Backend::active();
    in_blocks(py, rows.count(), |first, scores: &mut [u32]| {
        let block = &values[first * width..(first + scores.len()) * width];
        backend.hamming_many(query, block, scores);
    })
}

/// The `k` rows of a matrix that are nearest to a query, best first: `(indices, scores)`.
///
/// `metric` is "cosine" or "dot" (larger is better), "l2" (squared distance, smaller is better) or
/// "hamming" (bits that differ, smaller is better; query and rows are packed into uint8, see
/// `hamming`). Scores are computed in float32, on all cores with the GIL released; equal ones come
/// in the order of the rows, rows that score NaN never come. There are as many as there are rows if
/// that is fewer than `k`. Raises DimensionError where the widths differ, ArgumentError for a `k`
/// of 0.
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
    let backend = Backend::active();
    // Selection keeps the greatest, so a distance goes in with its sign turned.
    let (best, sign) = match scored_by(metric)? {
        ScoredBy::Bits => {
            let query = Bits::extract(query)?;
            let query = query.bytes()?;
            let rows = BitRows::extract(rows)?;
            rows.check_width(query.len())?;
            let (values, width) = (rows.bytes()?, rows.width());
            let best = best_rows(py, rows.count(), k, -1.0, |first, scores| {
                let mut bits = [0; BLOCK_ROWS];
                let bits = &mut bits[..scores.len()];
                let block = &values[first * width..(first + scores.len()) * width];
                backend.hamming_many(query, block, bits);
                for (score, &bits) in scores.iter_mut().zip(&*bits) {
                    *score = bits as f32;
                }
            })?;
            (best, -1.0)
        }
        ScoredBy::Elements(score) => {
            let query = Vector::extract(query)?;
            let query = Query::new(query.elements()?);
            let rows = Rows::extract(rows)?;
            let rows = rows.elements()?;
            rows.check_width(query.values().len())?;
            let sign = if score == Score::SquaredL2 { -1.0 } else { 1.0 };
            let best = best_rows(py, rows.count, k, sign, |first, scores| {
                rows.score(backend, score, &query, first, scores);
            })?;
            (best, sign)
        }
    };
    let (scores, indices): (Vec<f32>, Vec<i64>) =
        best.into_iter().map(|(score, index)| (sign * score, i64::from(index))).unzip();
    Ok((indices.into_pyarray(py), scores.into_pyarray(py)))
}

/// What a metric of `top_k` and `pairwise` compares.
pub(crate) enum ScoredBy {
    Elements(Score),
    Bits,
}

/// The metric of a name that a user types.
pub(crate) fn scored_by(metric: &str) -> PyResult<ScoredBy> {
    Ok(match metric {
        "cosine" => ScoredBy::Elements(Score::Cosine),
        "dot" => ScoredBy::Elements(Score::Dot),
        "l2" => ScoredBy::Elements(Score::SquaredL2),
        "hamming" => ScoredBy::Bits,
        _ => {
            return Err(Kind::Argument.error(format!(
                "metric is \"cosine\", \"dot\", \"l2\" or \"hamming\", not {metric:?}"
            )));
        }
    })
}

/// The `k` rows of greatest `sign * score`, best first, where `score` fills in the scores of a
/// block of rows from its first row's number.
fn best_rows(
    py: Python<'_>,
    count: usize,
    k: usize,
    sign: f32,
    score: impl Fn(usize, &mut [f32]) + Sync,
) -> PyResult<Vec<(f32, u32)>> {
    threads::run(py, || {
        (0..count.div_ceil(BLOCK_ROWS))
            .into_par_iter()
            .fold(
                || TopK::new(k),
                |mut best, block| {
                    let first = block * BLOCK_ROWS;
                    let mut scores = [0.0; BLOCK_ROWS];
                    let scores = &mut scores[..BLOCK_ROWS.min(count - first)];
                    score(first, scores);
                    for (offset, score) in scores.iter().enumerate() {
                        best.push(sign * score, (first + offset) as u32);
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
    })
}
