//! One vector in: a slice where it lies, or an owned copy.

use std::borrow::Cow;

use kernels::{Bf16, F16};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyTuple};

use crate::arrays::{HalfType, as_array};
use crate::float_list;

/// One vector. Contiguous arrays of the types that kernels read are read in place, everything else
/// is copied.
pub(crate) enum Vector<'py> {
    BorrowedF32(PyReadonlyArray1<'py, f32>),
    BorrowedF64(PyReadonlyArray1<'py, f64>),
    BorrowedHalf(HalfType, PyReadonlyArray1<'py, u16>),
    BorrowedI8(PyReadonlyArray1<'py, i8>),
    F64(Vec<f64>),
}

/// The elements of a vector.
#[derive(Clone, Copy)]
pub(crate) enum Elements<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    F16(&'a [F16]),
    Bf16(&'a [Bf16]),
    I8(&'a [i8]),
}

impl<'a> Elements<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Elements::F32(x) => x.len(),
            Elements::F64(x) => x.len(),
            Elements::F16(x) => x.len(),
            Elements::Bf16(x) => x.len(),
            Elements::I8(x) => x.len(),
        }
    }

    pub(crate) fn to_f32(self) -> Vec<f32> {
        match self {
            Elements::F32(x) => x.to_vec(),
            Elements::F64(x) => x.iter().map(|&x| x as f32).collect(),
            Elements::F16(x) => x.iter().map(|x| x.to_f32()).collect(),
            Elements::Bf16(x) => x.iter().map(|x| x.to_f32()).collect(),
            Elements::I8(x) => x.iter().map(|&x| x.into()).collect(),
        }
    }

    pub(crate) fn to_f64(self) -> Cow<'a, [f64]> {
        match self {
            Elements::F64(x) => Cow::Borrowed(x),
            Elements::F32(x) => x.iter().map(|&x| x.into()).collect(),
            Elements::F16(x) => x.iter().map(|&x| x.into()).collect(),
            Elements::Bf16(x) => x.iter().map(|&x| x.into()).collect(),
            Elements::I8(x) => x.iter().map(|&x| x.into()).collect(),
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
        if let Some(vector) = in_place(object)? {
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
        if let Some(vector) = in_place(array.as_any())? {
            return Ok(vector);
        }
        // What is strided or misaligned, is neither as a copy.
        if let Some(vector) = in_place(&array.call_method0("copy")?)? {
            return Ok(vector);
        }
        let wide = array.call_method1("astype", ("float64",))?;
        Ok(Vector::F64(wide.cast::<PyArray1<f64>>()?.readonly().as_array().to_vec()))
    }

    pub(crate) fn elements(&self) -> PyResult<Elements<'_>> {
        let strided = |_| PyValueError::new_err("the array changed while it was read");
        Ok(match self {
            Vector::BorrowedF32(x) => Elements::F32(x.as_slice().map_err(strided)?),
            Vector::BorrowedF64(x) => Elements::F64(x.as_slice().map_err(strided)?),
            Vector::BorrowedHalf(half, x) => {
                let bits = x.as_slice().map_err(strided)?;
                match half {
                    HalfType::F16 => Elements::F16(F16::slice_of_bits(bits)),
                    HalfType::Bf16 => Elements::Bf16(Bf16::slice_of_bits(bits)),
                }
            }
            Vector::BorrowedI8(x) => Elements::I8(x.as_slice().map_err(strided)?),
            Vector::F64(x) => Elements::F64(x),
        })
    }
}

/// The array itself, if it is a contiguous vector of a type that kernels read.
fn in_place<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Vector<'py>>> {
    macro_rules! borrow {
        ($array:expr, $variant:expr) => {
            $array.try_readonly().ok().filter(|array| array.as_slice().is_ok()).map($variant)
        };
    }
    if let Ok(array) = object.cast::<PyArray1<f64>>() {
        return Ok(borrow!(array, Vector::BorrowedF64));
    }
    if let Ok(array) = object.cast::<PyArray1<f32>>() {
        return Ok(borrow!(array, Vector::BorrowedF32));
    }
    if let Ok(array) = object.cast::<PyArray1<i8>>() {
        return Ok(borrow!(array, Vector::BorrowedI8));
    }
    let Ok(array) = object.cast::<PyUntypedArray>() else {
        return Ok(None);
    };
    let Some(half) = HalfType::of(array)?.filter(|_| array.ndim() == 1) else {
        return Ok(None);
    };
    let bits = array.call_method1("view", ("uint16",))?.cast_into::<PyArray1<u16>>()?;
    Ok(borrow!(bits, |bits| Vector::BorrowedHalf(half, bits)))
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
