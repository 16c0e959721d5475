//! The rows of a matrix in, in place where kernels read their type, and the scores of a query
//! against them.

use std::borrow::Cow;

use kernels::{Backend, ElementType, Float, Measure, StoredRows};
use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::arrays::{HalfType, Matrix, as_array, ragged};
use crate::errors::Kind;
use crate::similarity::cosine_of_bytes;
use crate::vector::Elements;

/// The rows of a matrix, in place where they are a contiguous array of a type that kernels read.
pub(crate) enum Rows<'py> {
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
    Half(HalfType, PyReadonlyArray2<'py, u16>),
    I8(PyReadonlyArray2<'py, i8>),
    Copied(Matrix),
}

impl<'py> Rows<'py> {
    /// Takes what [`Matrix::extract`] takes.
    pub(crate) fn extract(object: &Bound<'py, PyAny>) -> PyResult<Rows<'py>> {
        // Their numbers become f32, however Python keeps them.
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return Ok(Rows::Copied(Matrix::extract(object)?));
        }
        let array = as_array(object).map_err(|error| ragged(object, error))?;
        if array.ndim() != 2 {
            return Ok(Rows::Copied(Matrix::extract(array.as_any())?));
        }
        if let Some(rows) = Rows::in_place(array.as_any())? {
            return Ok(rows);
        }
        // What is strided or misaligned, is neither as a copy.
        match Rows::in_place(&array.call_method0("copy")?)? {
            Some(rows) => Ok(rows),
            None => Ok(Rows::Copied(Matrix::extract(array.as_any())?)),
        }
    }

    fn in_place(array: &Bound<'py, PyAny>) -> PyResult<Option<Rows<'py>>> {
        // A slice of columns would be one too.
        macro_rules! borrow {
            ($array:expr, $variant:expr) => {
                $array
                    .try_readonly()
                    .ok()
                    .filter(|array| array.is_c_contiguous() && array.as_slice().is_ok())
                    .map($variant)
            };
        }
        if let Ok(array) = array.cast::<PyArray2<f32>>() {
            return Ok(borrow!(array, Rows::F32));
        }
        if let Ok(array) = array.cast::<PyArray2<f64>>() {
            return Ok(borrow!(array, Rows::F64));
        }
        if let Ok(array) = array.cast::<PyArray2<i8>>() {
            return Ok(borrow!(array, Rows::I8));
        }
        let Some(half) = HalfType::of(array.cast()?)? else {
            return Ok(None);
        };
        let bits = array.call_method1("view", ("uint16",))?.cast_into::<PyArray2<u16>>()?;
        Ok(borrow!(bits, |bits| Rows::Half(half, bits)))
    }

    pub(crate) fn elements(&self) -> PyResult<RowElements<'_>> {
        let changed = |_| Kind::Argument.error("the array changed while it was read");
        let ((count, width), values) = match self {
            Rows::F32(array) => (shape(array), Values::F32(array.as_slice().map_err(changed)?)),
            Rows::F64(array) => (shape(array), Values::F64(array.as_slice().map_err(changed)?)),
            Rows::I8(array) => (shape(array), Values::I8(array.as_slice().map_err(changed)?)),
            Rows::Half(half, array) => {
                let element = match half {
                    HalfType::F16 => ElementType::Float16,
                    HalfType::Bf16 => ElementType::BFloat16,
                };
                let bits = array.as_slice().map_err(changed)?;
                (shape(array), Values::Half(element, bits))
            }
            Rows::Copied(matrix) => ((matrix.rows, matrix.columns), Values::F32(&matrix.values)),
        };
        Ok(RowElements { count, width, values })
    }
}

fn shape<T>(array: &PyReadonlyArray2<'_, T>) -> (usize, usize)
where
    T: numpy::Element,
{
    (array.shape()[0], array.shape()[1])
}

/// Rows of `width` elements, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct RowElements<'a> {
    pub(crate) count: usize,
    pub(crate) width: usize,
    pub(crate) values: Values<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    Half(ElementType, &'a [u16]),
    I8(&'a [i8]),
}

/// What the rows of a matrix are scored by.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Score {
    Dot,
    Cosine,
    SquaredL2,
}

impl Score {
    /// Against rows of the query's own type.
    pub(crate) fn score<T: Float>(
        self,
        backend: Backend,
        query: &[T],
        rows: &[T],
        scores: &mut [T],
    ) {
        match self {
            Score::Dot => backend.dot_many(query, rows, scores),
            Score::Cosine => backend.cosine_many(query, rows, scores),
            Score::SquaredL2 => backend.squared_l2_many(query, rows, scores),
        }
    }
}

/// A query whose scores are `f32`.
pub(crate) struct Query {
    values: Vec<f32>,
    /// Where it was bytes: its sums with bytes are exact.
    bytes: Option<Vec<i8>>,
}

impl Query {
    pub(crate) fn new(query: Elements<'_>) -> Query {
        let bytes = match query {
            Elements::I8(bytes) => Some(bytes.to_vec()),
            _ => None,
        };
        Query { values: query.to_f32(), bytes }
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }
}

impl<'a> RowElements<'a> {
    pub(crate) fn check_width(self, length: usize) -> PyResult<()> {
        if self.count > 0 && length != self.width {
            let width = self.width;
            return Err(Kind::Dimension
                .error(format!("the query has {length} elements, the rows have {width}")));
        }
        Ok(())
    }

    /// `scores[n]` = score of row `first + n`.
    pub(crate) fn score(
        self,
        backend: Backend,
        score: Score,
        query: &Query,
        first: usize,
        scores: &mut [f32],
    ) {
        let range = first * self.width..(first + scores.len()) * self.width;
        match (self.values, &query.bytes) {
            (Values::F32(rows), _) => score.score(backend, &query.values, &rows[range], scores),
            (Values::Half(element, bits), _) => {
                let rows = StoredRows::of_bits(element, self.width, &bits[range]);
                score_stored(backend, score, element, &query.values, rows, scores);
            }
            (Values::I8(rows), Some(bytes)) => {
                for (row, out) in rows[range].chunks(self.width.max(1)).zip(scores) {
                    *out = match score {
                        Score::Dot => backend.dot_bytes(bytes, row) as f32,
                        Score::Cosine => cosine_of_bytes(backend, bytes, row) as f32,
                        Score::SquaredL2 => backend.squared_l2_bytes(bytes, row) as f32,
                    };
                }
            }
            (Values::I8(rows), None) => {
                self.score_converted(backend, score, query, &rows[range], scores, f32::from);
            }
            (Values::F64(rows), _) => {
                self.score_converted(backend, score, query, &rows[range], scores, |x| x as f32);
            }
        }
    }

    /// Converts a row at a time, which stays in the first-level cache.
    fn score_converted<T: Copy>(
        self,
        backend: Backend,
        score: Score,
        query: &Query,
        rows: &[T],
        scores: &mut [f32],
        convert: impl Fn(T) -> f32,
    ) {
        let mut row = Vec::with_capacity(self.width);
        for (index, out) in scores.iter_mut().enumerate() {
            row.clear();
            row.extend(rows[index * self.width..][..self.width].iter().map(|&x| convert(x)));
            score.score(backend, &query.values, &row, std::slice::from_mut(out));
        }
    }

    /// All elements, as `f32`.
    pub(crate) fn to_f32(self) -> Cow<'a, [f32]> {
        match self.values {
            Values::F32(rows) => Cow::Borrowed(rows),
            Values::F64(rows) => rows.iter().map(|&x| x as f32).collect(),
            Values::Half(element, bits) => {
                let mut values = vec![0.0; bits.len()];
                let rows = StoredRows::of_bits(element, bits.len(), bits);
                Backend::active().decode_row(element, rows.row(0), &mut values);
                values.into()
            }
            Values::I8(rows) => rows.iter().map(|&x| x.into()).collect(),
        }
    }

    /// All elements, as `f64`.
    pub(crate) fn to_f64(self) -> Cow<'a, [f64]> {
        match self.values {
            Values::F64(rows) => Cow::Borrowed(rows),
            _ => self.to_f32().iter().map(|&x| x.into()).collect(),
        }
    }
}

fn score_stored(
    backend: Backend,
    score: Score,
    element: ElementType,
    query: &[f32],
    rows: StoredRows<'_>,
    scores: &mut [f32],
) {
    let measure = if score == Score::SquaredL2 { Measure::SquaredL2 } else { Measure::Dot };
    backend.row_scorer(element, measure, query).score_from(rows, 0, scores);
    if score == Score::Cosine {
        let query_norm = backend.norm(query);
        for (index, score) in scores.iter_mut().enumerate() {
            let norms = query_norm * backend.row_norm(element, rows.row(index));
            *score = if norms == 0.0 { 0.0 } else { *score / norms };
        }
    }
}
