//! Packed bits in, and the Hamming distance of two of them.

use kernels::Backend;
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyTuple};

use crate::arrays::{as_array, not_bytes};
use crate::errors::Kind;

/// Bits packed into bytes, where they lie or copied.
pub(crate) enum Bits<'py> {
    Array(PyReadonlyArray1<'py, u8>),
    Bytes(Bound<'py, PyBytes>),
    Copied(Vec<u8>),
}

impl<'py> Bits<'py> {
    /// Takes `bytes`, a list of numbers up to 255, or whatever is an array of `uint8`.
    pub(crate) fn extract(object: &Bound<'py, PyAny>) -> PyResult<Bits<'py>> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Bits::Bytes(bytes.clone()));
        }
        if let Ok(bytes) = object.cast::<PyByteArray>() {
            return Ok(Bits::Copied(bytes.to_vec()));
        }
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return match object.extract::<Vec<u8>>() {
                Ok(bytes) => Ok(Bits::Copied(bytes)),
                Err(error) => Err(PyTypeError::new_err(format!(
                    "bits are packed into bytes, numbers from 0 to 255: {error}"
                ))),
            };
        }
        let array = as_array(object)?;
        if array.ndim() != 1 {
            return Err(PyValueError::new_err(format!(
                "expected one vector of bytes, found an array of shape {:?}",
                array.shape()
            )));
        }
        let array = array
            .cast_into::<PyArray1<u8>>()
            .map_err(|error| not_bytes(error.into_inner().as_any()))?;
        let array = array.readonly();
        match array.as_slice() {
            Ok(_) => Ok(Bits::Array(array)),
            Err(_) => Ok(Bits::Copied(array.as_array().to_vec())),
        }
    }

    pub(crate) fn bytes(&self) -> PyResult<&[u8]> {
        match self {
            Bits::Array(array) => array.as_slice().map_err(changed),
            Bits::Bytes(bytes) => Ok(bytes.as_bytes()),
            Bits::Copied(bytes) => Ok(bytes),
        }
    }
}

/// Rows of packed bits: an array of `uint8` in two dimensions.
pub(crate) struct BitRows<'py>(PyReadonlyArray2<'py, u8>);

impl<'py> BitRows<'py> {
    pub(crate) fn extract(object: &Bound<'py, PyAny>) -> PyResult<BitRows<'py>> {
        let array = as_array(object)?;
        if array.ndim() != 2 {
            return Err(Kind::Dimension.error(format!(
                "expected packed bits as rows of two dimensions, found an array of shape {:?}",
                array.shape()
            )));
        }
        let array = array
            .cast_into::<PyArray2<u8>>()
            .map_err(|error| not_bytes(error.into_inner().as_any()))?;
        if array.is_c_contiguous() && array.readonly().as_slice().is_ok() {
            return Ok(BitRows(array.readonly()));
        }
        let copy = array.call_method0("copy")?.cast_into::<PyArray2<u8>>()?;
        Ok(BitRows(copy.readonly()))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.shape()[0]
    }

    pub(crate) fn width(&self) -> usize {
        self.0.shape()[1]
    }

    pub(crate) fn bytes(&self) -> PyResult<&[u8]> {
        self.0.as_slice().map_err(changed)
    }

    pub(crate) fn check_width(&self, length: usize) -> PyResult<()> {
        if self.count() > 0 && length != self.width() {
            let width = self.width();
            return Err(Kind::Dimension
                .error(format!("the query has {length} bytes, the rows have {width}")));
        }
        Ok(())
    }
}

fn changed(_: impl std::fmt::Debug) -> PyErr {
    Kind::Argument.error("the array changed while it was read")
}

/// The number of bits in which two vectors of packed bits differ.
///
/// A vector is `bytes`, an array of uint8 (what `numpy.packbits` gives), or a list of numbers from
/// 0 to 255; `bytes` and contiguous arrays are read where they lie. Raises
/// ValueError("Vectors must be same length") where the lengths differ, TypeError for anything but
/// bytes.
///
/// >>> import numpy as np
/// >>> from rust_ai_core import similarity
/// >>> similarity.hamming(np.packbits([1, 0, 1, 1]), np.packbits([0, 0, 1, 0]))
/// 2
#[pyfunction]
#[pyo3(signature = (a, b))]
pub(crate) fn hamming(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<u64> {
    let (a, b) = (Bits::extract(a)?, Bits::extract(b)?);
    let (a, b) = (a.bytes()?, b.bytes()?);
    if a.len() != b.len() {
        return Err(PyValueError::new_err("Vectors must be same length"));
    }
    Ok(Backend::active().hamming(a, b))
}
