//! The numbers of a list of floats, read where the interpreter keeps them.
//!
//! The stable interface gives a float's value through a call with error handling, and a list's item
//! through reference counts; together they cost four times what the dot product of two lists costs
//! otherwise. This is the only module of the crate with unsafe code.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList};

/// Where a float object holds its value: behind the header that all objects have. The interpreter's
/// stable interface does not promise this, so it is looked at before it is relied on.
const VALUE_OFFSET: usize = size_of::<ffi::PyObject>();

/// The values of a list that holds nothing but objects of type `float` itself; `None` for any other
/// list, or where this interpreter lays its floats out in another way.
pub(crate) fn values(list: &Bound<'_, PyList>) -> Option<Vec<f64>> {
    if !layout_is_known(list.py()) {
        return None;
    }
    let length = list.len();
    let mut values = Vec::with_capacity(length);
    for index in 0..length {
        // SAFETY: `index` is below the list's length, which cannot change: the GIL is held (a stable
        // interface build does not load into an interpreter without one) and no Python code runs in
        // this loop. So the item is there, and the list keeps it alive while it is looked at.
        let item = unsafe { ffi::PyList_GetItem(list.as_ptr(), index as ffi::Py_ssize_t) };
        // SAFETY: `item` is a live object, see above.
        if unsafe { ffi::PyFloat_CheckExact(item) } == 0 {
            return None;
        }
        // SAFETY: `item` is of type `float` itself, and such objects were seen to hold their value
        // at this offset.
        values.push(unsafe { value_of(item) });
    }
    Some(values)
}

/// # Safety
/// `float` must be a live object of type `float` itself (which is larger than a header and a value).
unsafe fn value_of(float: *mut ffi::PyObject) -> f64 {
    // SAFETY: inside the object by this function's condition; no alignment is assumed.
    unsafe { float.byte_add(VALUE_OFFSET).cast::<f64>().read_unaligned() }
}

/// Whether floats of this interpreter are a header and then the value, found out with floats whose
/// values are known.
fn layout_is_known(py: Python<'_>) -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let size =
            py.get_type::<PyFloat>().getattr("__basicsize__").and_then(|size| size.extract());
        let fits = size.is_ok_and(|size: usize| size == VALUE_OFFSET + size_of::<f64>());
        fits && [0.1, -2.5e300, 3.0, f64::MIN_POSITIVE].into_iter().all(|value| {
            let float = PyFloat::new(py, value);
            // SAFETY: a live float of exactly this type, of the size that was just checked.
            unsafe { value_of(float.as_ptr()) }.to_bits() == value.to_bits()
        })
    })
}
