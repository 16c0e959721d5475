//! Arrays in: whatever Python holds numbers in, as NumPy sees it.

use database::{ElementType, Schema};
use numpy::{
    PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyString, PyTuple};

use crate::errors::Kind;

/// A NumPy array of real numbers from anything with the buffer protocol, `__array__`,
/// `__array_interface__` or DLPack, or from nested sequences; without a copy where there is none
/// needed.
pub(crate) fn as_array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    if object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyByteArray>()
    {
        return Err(PyTypeError::new_err(format!(
            "expected numbers, found {}",
            object.get_type().name()?
        )));
    }
    let array = match object.cast::<PyUntypedArray>() {
        Ok(array) => array.clone(),
        Err(_) => made_array(object)?,
    };
    match array.dtype().kind() {
        b'f' | b'i' | b'u' => Ok(array),
        b'V' if is_bfloat16(&array)? => Ok(array),
        // Kin of bfloat16, from packages that extend NumPy.
        b'V' if array.getattr("dtype")?.getattr("names")?.is_none() => {
            let single = array.call_method1("astype", ("float32",));
            Ok(single.map_err(|_| not_numbers(object, &array))?.cast_into()?)
        }
        _ => Err(not_numbers(object, &array)),
    }
}

/// An array of what is none yet.
fn made_array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let numpy = object.py().import("numpy")?;
    let only_dlpack = object.hasattr("__dlpack__")?
        && !object.hasattr("__array__")?
        && !object.hasattr("__array_interface__")?;
    let maker = if only_dlpack { "from_dlpack" } else { "asarray" };
    Ok(numpy.call_method1(maker, (object,))?.cast_into()?)
}

fn is_bfloat16(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = array.getattr("dtype")?.getattr("name")?;
    Ok(name.cast::<PyString>()?.to_str()? == "bfloat16")
}

/// A two-byte float format that kernels read where it lies.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum HalfType {
    F16,
    Bf16,
}

impl HalfType {
    /// That of an array's elements, if they are of this machine's byte order.
    pub(crate) fn of(array: &Bound<'_, PyUntypedArray>) -> PyResult<Option<HalfType>> {
        let dtype = array.dtype();
        if dtype.itemsize() != 2 || dtype.is_native_byteorder() == Some(false) {
            return Ok(None);
        }
        Ok(match dtype.kind() {
            b'f' => Some(HalfType::F16),
            b'V' if is_bfloat16(array.as_any())? => Some(HalfType::Bf16),
            _ => None,
        })
    }
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
        let array = match array.ndim() {
            2 => array.into_any(),
            _ => array.call_method1("reshape", (rows, columns))?,
        };
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

    /// [`Matrix::extract`] that insists on vectors of a collection: of its dimension, and bytes where
    /// it holds packed bits.
    pub(crate) fn of_schema(object: &Bound<'_, PyAny>, schema: &Schema) -> PyResult<Matrix> {
        let packed = schema.element == ElementType::Bits;
        let is_list = object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>();
        let matrix = match packed && !is_list {
            true => Matrix::of_bytes(object)?,
            false => Matrix::extract(object)?,
        };
        let (expected, found) = (schema.dimension, matrix.columns);
        if matrix.rows == 0 || expected == found {
            return Ok(matrix);
        }
        Err(Kind::Dimension.error(match packed {
            true => format!(
                "expected packed vectors of {expected} bytes, {} bits, found {found} bytes",
                schema.coordinates()
            ),
            false => format!("expected vectors of {expected} elements, found {found}"),
        }))
    }

    /// Rows of packed bits, or one of them, in an array of bytes.
    fn of_bytes(object: &Bound<'_, PyAny>) -> PyResult<Matrix> {
        let array = as_array(object)?;
        if !array.dtype().is_equiv_to(&numpy::dtype::<u8>(array.py())) {
            return Err(not_bytes(array.as_any()));
        }
        Matrix::extract(array.as_any())
    }
}

/// What is said of an array that should hold packed bits.
pub(crate) fn not_bytes(array: &Bound<'_, PyAny>) -> PyErr {
    let dtype = array.getattr("dtype").map_or_else(|_| "?".into(), |dtype| dtype.to_string());
    PyTypeError::new_err(format!(
        "bits are packed into uint8 (numpy.packbits packs them), found {dtype}"
    ))
}

/// NumPy's complaint about rows of different lengths, in our terms.
pub(crate) fn ragged(object: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
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
