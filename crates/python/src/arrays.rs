//! Vectors in: whatever Python holds numbers in, as slices where they lie or as owned copies.

use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyList, PyString, PyTuple};

use crate::errors::Kind;
use crate::float_list;

/// One vector. NumPy arrays of `f32` and `f64` are read in place, everything else is copied.
pub(crate) enum Vector<'py> {
    BorrowedF32(PyReadonlyArray1<'py, f32>),
    BorrowedF64(PyReadonlyArray1<'py, f64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// The elements of a vector.
#[derive(Clone, Copy)]
pub(crate) enum Elements<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl Elements<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Elements::F32(x) => x.len(),
            Elements::F64(x) => x.len(),
        }
    }

    pub(crate) fn to_f32(self) -> Vec<f32> {
        match self {
            Elements::F32(x) => x.to_vec(),
            Elements::F64(x) => x.iter().map(|&x| x as f32).collect(),
        }
    }
}

impl<'py> Vector<'py> {
    /// Takes a list, a tuple, or anything that NumPy can take.
    pub(crate) fn extract(object: &Bound<'py, PyAny>) -> PyResult<Vector<'py>> {
        if let Ok(list) = object.cast_exact::<PyList>() {
            return match float_list::values(list) {
                Some(values) => Ok(Vector::F64(values)),
                None => numbers(&list.to_tuple()),
            };
        }
        if let Some(vector) = in_place(object) {
            return Ok(vector);
        }
        if let Ok(tuple) = object.cast_exact::<PyTuple>() {
            return numbers(tuple);
        }
        let array = as_array(object)?;
        if array.ndim() != 1 {
            return Err(PyValueError::new_err(format!(
                "expected one vector, found an array of shape {:?}",
                array.shape()
            )));
        }
        if let Some(vector) = in_place(array.as_any()) {
            return Ok(vector);
        }
        if let Ok(array) = array.cast::<PyArray1<f32>>() {
            return Ok(Vector::F32(array.readonly().as_array().to_vec()));
        }
        let wide = array.call_method1("astype", ("float64",))?;
        Ok(Vector::F64(wide.cast::<PyArray1<f64>>()?.readonly().as_array().to_vec()))
    }

    pub(crate) fn elements(&self) -> PyResult<Elements<'_>> {
        let strided = |_| PyValueError::new_err("the array changed while it was read");
        Ok(match self {
            Vector::BorrowedF32(x) => Elements::F32(x.as_slice().map_err(strided)?),
            Vector::BorrowedF64(x) => Elements::F64(x.as_slice().map_err(strided)?),
            Vector::F32(x) => Elements::F32(x),
            Vector::F64(x) => Elements::F64(x),
        })
    }
}

/// The array itself, if it is a contiguous vector of `f32` or `f64`.
fn in_place<'py>(object: &Bound<'py, PyAny>) -> Option<Vector<'py>> {
    if let Ok(array) = object.cast::<PyArray1<f64>>() {
        let array = array.try_readonly().ok()?;
        array.as_slice().is_ok().then_some(Vector::BorrowedF64(array))
    } else if let Ok(array) = object.cast::<PyArray1<f32>>() {
        let array = array.try_readonly().ok()?;
        array.as_slice().is_ok().then_some(Vector::BorrowedF32(array))
    } else {
        None
    }
}

/// Items of any type that converts to a float. A tuple lends its items without counting references,
/// which pays for copying a list's pointers to one.
fn numbers<'py>(items: &Bound<'py, PyTuple>) -> PyResult<Vector<'py>> {
    let mut numbers = Vec::with_capacity(items.len());
    for item in items.iter_borrowed() {
        if item.is_instance_of::<PyBool>() {
            let index = numbers.len();
            return Err(PyTypeError::new_err(format!(
                "element {index}: expected a number, found bool"
            )));
        }
        match item.extract::<f64>() {
            Ok(number) => numbers.push(number),
            Err(error) => {
                let index = numbers.len();
                return Err(PyTypeError::new_err(format!("element {index}: {error}")));
            }
        }
    }
    Ok(Vector::F64(numbers))
}

/// A NumPy array of real numbers from anything with the buffer protocol, `__array__`,
/// `__array_interface__` or DLPack, or from nested sequences; without a copy where there is none
/// needed.
fn as_array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = object.py();
    if object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyByteArray>()
    {
        return Err(PyTypeError::new_err(format!(
            "expected numbers, found {}",
            object.get_type().name()?
        )));
    }
    let numpy = py.import("numpy")?;
    let only_dlpack = object.hasattr("__dlpack__")?
        && !object.hasattr("__array__")?
        && !object.hasattr("__array_interface__")?;
    let array = if only_dlpack {
        numpy.call_method1("from_dlpack", (object,))?
    } else {
        numpy.call_method1("asarray", (object,))?
    };
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let array = match kind.as_str() {
        "f" | "i" | "u" => array,
        // bfloat16 and its kin, from packages that extend NumPy.
        "V" if array.getattr("dtype")?.getattr("names")?.is_none() => {
            array.call_method1("astype", ("float32",)).map_err(|_| not_numbers(object, &array))?
        }
        _ => return Err(not_numbers(object, &array)),
    };
    Ok(array.cast_into::<PyUntypedArray>()?)
}

fn not_numbers(object: &Bound<'_, PyAny>, array: &Bound<'_, PyAny>) -> PyErr {
    let name = object.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string());
    let dtype = array.getattr("dtype").map_or_else(|_| "?".into(), |dtype| dtype.to_string());
    PyTypeError::new_err(format!("expected real numbers, found {name} (dtype {dtype})"))
}

/// Vectors of one length, row-major.
pub(crate) struct Matrix {
    pub(crate) values: Vec<f32>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Matrix {
    /// Takes a two-dimensional array, or a sequence of vectors of one length. A single vector is
    /// a matrix of one row. Values are converted to `f32`.
    pub(crate) fn extract(object: &Bound<'_, PyAny>) -> PyResult<Matrix> {
        let array = as_array(object).map_err(|error| ragged(object, error))?;
        let (rows, columns) = match *array.shape() {
            [columns] if columns > 0 => (1, columns),
            [0] => (0, 0),
            [rows, columns] => (rows, columns),
            ref shape => {
                return Err(Kind::Dimension.error(format!(
                    "expected vectors as rows of two dimensions, found an array of shape {shape:?}"
                )));
            }
        };
        let array = array.call_method1("reshape", (rows, columns))?;
        if let Ok(array) = array.cast::<PyArray2<f64>>() {
            // NumPy would warn of numbers beyond float32; they become infinite, which is reported.
            let values = array.readonly().as_array().iter().map(|&x| x as f32).collect();
            return Ok(Matrix { values, rows, columns });
        }
        let array = match array.cast::<PyArray2<f32>>() {
            Ok(array) => array.clone(),
            Err(_) => array.call_method1("astype", ("float32",))?.cast_into::<PyArray2<f32>>()?,
        };
        let view: PyReadonlyArray2<'_, f32> = array.readonly();
        let values = match view.as_slice() {
            Ok(slice) if array.is_c_contiguous() => slice.to_vec(),
            _ => view.as_array().iter().copied().collect(),
        };
        Ok(Matrix { values, rows, columns })
    }

    /// [`Matrix::extract`] that insists on vectors of `dimension` elements.
    pub(crate) fn of_dimension(object: &Bound<'_, PyAny>, dimension: usize) -> PyResult<Matrix> {
        let matrix = Matrix::extract(object)?;
        if matrix.rows > 0 && matrix.columns != dimension {
            return Err(Kind::Dimension.error(format!(
                "expected vectors of {dimension} elements, found {}",
                matrix.columns
            )));
        }
        Ok(matrix)
    }
}

/// NumPy's complaint about rows of different lengths, in our terms.
fn ragged(object: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let lengths: Option<Vec<usize>> = object
        .try_iter()
        .ok()
        .and_then(|rows| rows.map(|row| row.and_then(|row| row.len()).ok()).collect());
    match lengths {
        Some(lengths) if lengths.windows(2).any(|pair| pair[0] != pair[1]) => {
            let first = lengths[0];
            let row = lengths.iter().position(|&length| length != first).unwrap_or(0);
            Kind::Dimension.error(format!(
                "vectors must be of one length: row 0 has {first} elements, row {row} has {}",
                lengths[row]
            ))
        }
        _ => error,
    }
}
