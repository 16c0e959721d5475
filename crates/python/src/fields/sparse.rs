//! `SparseVector`, and what may stand for one.

use numpy::{
    IntoPyArray, PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArrayMethods, ToPyArray,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyTuple};

use crate::arrays::as_array;
use crate::convert::type_name;
use crate::errors::{Kind, OrRaise};

/// A vector that is zero nearly everywhere: `indices`, ascending, each from 0 to 2^32 - 1 and but
/// once, and a number for each in `values`. Raises ArgumentError for any others.
///
/// >>> import rust_ai_core as rac
/// >>> vector = rac.SparseVector([3, 70_000], [0.5, 2.0])
/// >>> vector
/// SparseVector([3, 70000], [0.5, 2.0])
/// >>> len(vector), vector.to_dict()
/// (2, {3: 0.5, 70000: 2.0})
#[pyclass(module = "rust_ai_core", frozen, eq)]
#[derive(Clone, PartialEq)]
pub(crate) struct SparseVector {
    pub(crate) inner: database::SparseVector,
}

#[pymethods]
impl SparseVector {
    #[new]
    fn new(indices: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<SparseVector> {
        let inner = of_parts(indices, values)?;
        Ok(SparseVector { inner })
    }

    /// Where it has numbers: a new uint32 array each time.
    #[getter]
    fn indices<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        self.inner.indices().to_pyarray(py)
    }

    /// The numbers: a new float32 array each time.
    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        self.inner.values().to_owned().into_pyarray(py)
    }

    /// Indices and their numbers.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (index, value) in self.inner.indices().iter().zip(self.inner.values()) {
            dict.set_item(index, value)?;
        }
        Ok(dict)
    }

    fn __len__(&self) -> usize {
        self.inner.indices().len()
    }

    fn __repr__(&self) -> String {
        format!("SparseVector({:?}, {:?})", self.inner.indices(), self.inner.values())
    }
}

/// Arrays, or anything that gives numbers.
fn of_parts(
    indices: &Bound<'_, PyAny>,
    values: &Bound<'_, PyAny>,
) -> PyResult<database::SparseVector> {
    database::SparseVector::new(index_numbers(indices)?, numbers(values)?).or_raise()
}

fn index_numbers(object: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    let array = as_array(object)?;
    if array.is_empty() {
        return Ok(Vec::new());
    }
    if !matches!(array.dtype().kind(), b'i' | b'u') {
        return Err(PyTypeError::new_err("the indices of a sparse vector are whole numbers"));
    }
    let numbers = array.call_method1("astype", ("int64",))?.cast_into::<PyArray1<i64>>()?;
    let index = |&number: &i64| {
        u32::try_from(number).map_err(|_| {
            Kind::Argument
                .error(format!("an index of a sparse vector is 0 to {}, not {number}", u32::MAX))
        })
    };
    numbers.readonly().as_array().iter().map(index).collect()
}

fn numbers(object: &Bound<'_, PyAny>) -> PyResult<Vec<f32>> {
    let array = as_array(object)?;
    if array.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = array.call_method1("astype", ("float64",))?.cast_into::<PyArray1<f64>>()?;
    // Numbers beyond float32 become infinite, which is reported.
    Ok(numbers.readonly().as_array().iter().map(|&number| number as f32).collect())
}

/// A SparseVector, a dict of indices and numbers, a pair of both, or a sparse row of SciPy.
pub(super) fn sparse_vector(object: &Bound<'_, PyAny>) -> PyResult<database::SparseVector> {
    if let Ok(vector) = object.cast::<SparseVector>() {
        return Ok(vector.get().inner.clone());
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let pair = |item: Bound<'_, PyAny>| -> PyResult<(u32, f64)> { item.extract() };
        let pairs = mapping.items()?.iter().map(pair).collect::<PyResult<Vec<_>>>();
        let mut pairs = pairs.map_err(|_| {
            Kind::Argument.error(format!(
                "a sparse vector as a dict has indices from 0 to {} and numbers",
                u32::MAX
            ))
        })?;
        pairs.sort_by_key(|(index, _)| *index);
        let (indices, values) = pairs.into_iter().map(|(i, value)| (i, value as f32)).unzip();
        return database::SparseVector::new(indices, values).or_raise();
    }
    if let Ok(pair) = object.cast::<PyTuple>()
        && pair.len() == 2
    {
        return of_parts(&pair.get_item(0)?, &pair.get_item(1)?);
    }
    if let Some(rows) = sparse_rows(object)? {
        let mut rows = rows.into_iter();
        return match (rows.next(), rows.next()) {
            (Some(row), None) => Ok(row),
            _ => Err(Kind::Argument.error("a sparse vector is one row of a sparse matrix")),
        };
    }
    Err(PyTypeError::new_err(format!(
        "a sparse vector is a SparseVector, a dict, a pair (indices, values) or a row of a SciPy \
         sparse matrix, not {}",
        type_name(object)
    )))
}

/// The rows of a sparse matrix of SciPy; `None` for anything else.
pub(super) fn sparse_rows(
    object: &Bound<'_, PyAny>,
) -> PyResult<Option<Vec<database::SparseVector>>> {
    if !object.hasattr("tocsr")? {
        return Ok(None);
    }
    // A copy in order, whatever the matrix was.
    let matrix = object.call_method0("tocsr")?.call_method0("copy")?;
    matrix.call_method0("sum_duplicates")?;
    let starts: Vec<usize> = matrix.getattr("indptr")?.call_method0("tolist")?.extract()?;
    let indices = index_numbers(&matrix.getattr("indices")?)?;
    let values = numbers(&matrix.getattr("data")?)?;
    let row = |ends: &[usize]| {
        let range = ends[0]..ends[1];
        database::SparseVector::new(indices[range.clone()].to_vec(), values[range].to_vec())
    };
    starts.windows(2).map(row).collect::<database::Result<Vec<_>>>().or_raise().map(Some)
}
