//! Kernels on one pair of vectors or one against many.

use kernels::Backend;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::vector::{Elements, Vector};

/// Vectors shorter than this take less time than handing the GIL over and back.
const DETACH_ELEMENTS: usize = 1 << 16;

/// Calls `$narrow` where both vectors are of one type of 16 or 32 bits, `$bytes` where both are `i8`,
/// `$wide` on `f64` otherwise; without the GIL where that is worth it.
macro_rules! pair {
    ($py:expr, $a:expr, $b:expr, $narrow:ident, $wide:ident, $bytes:expr) => {{
        let (a, b) = (Vector::extract($a)?, Vector::extract($b)?);
        let (a, b) = (a.elements()?, b.elements()?);
        if a.len() != b.len() {
            return Err(PyValueError::new_err("Vectors must be same length"));
        }
        let backend = Backend::active();
        let compute = move || match (a, b) {
            (Elements::F32(a), Elements::F32(b)) => backend.$narrow(a, b),
            (Elements::F64(a), Elements::F64(b)) => backend.$wide(a, b),
            (Elements::F16(a), Elements::F16(b)) => backend.$narrow(a, b),
            (Elements::Bf16(a), Elements::Bf16(b)) => backend.$narrow(a, b),
            (Elements::I8(a), Elements::I8(b)) => $bytes(backend, a, b),
            (a, b) => backend.$wide(&a.to_f64(), &b.to_f64()),
        };
        Ok(if a.len() < DETACH_ELEMENTS { compute() } else { $py.detach(compute) })
    }};
}

/// The cosine of two vectors of bytes; their sums are exact.
pub(crate) fn cosine_of_bytes(backend: Backend, a: &[i8], b: &[i8]) -> f64 {
    let norms = (backend.dot_bytes(a, a) as f64).sqrt() * (backend.dot_bytes(b, b) as f64).sqrt();
    if norms == 0.0 { 0.0 } else { backend.dot_bytes(a, b) as f64 / norms }
}

fn squared_l2_of(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<f64> {
    let bytes = |backend: Backend, a: &[i8], b: &[i8]| backend.squared_l2_bytes(a, b) as f64;
    pair!(py, a, b, squared_l2_widened, squared_l2, bytes)
}

/// The L2 magnitude of a vector, computed in 64-bit floats.
///
/// `vector` is a list, a tuple, an `array.array`, a NumPy array of any float or integer type, or
/// anything with the buffer protocol, `__array__` (pyarrow and polars have it), `__array_interface__`
/// or DLPack. Contiguous arrays of float64, float32, float16, bfloat16 and int8 are read where they
/// lie, everything else is copied. An empty vector has magnitude 0; NaN and infinity follow IEEE 754. Raises TypeError
/// for anything but real numbers, ValueError for more than one dimension.
///
/// >>> import rust_ai_core as rac
/// >>> rac.process_embedding([3.0, 4.0])
/// 5.0
#[pyfunction]
#[pyo3(signature = (vector))]
pub(crate) fn process_embedding(py: Python<'_>, vector: &Bound<'_, PyAny>) -> PyResult<f64> {
    norm(py, vector)
}

/// The dot product of two vectors, computed in 64-bit floats.
///
/// Takes what `process_embedding` takes. The dot product of two empty vectors is 0. Raises
/// ValueError("Vectors must be same length") where the lengths differ, TypeError for anything but
/// real numbers.
///
/// >>> import rust_ai_core as rac
/// >>> rac.fast_vector_similarity([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
/// 32.0
#[pyfunction]
#[pyo3(signature = (a, b))]
pub(crate) fn fast_vector_similarity(
    py: Python<'_>,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    dot(py, a, b)
}

/// The sum of the products of two vectors' elements, in 64-bit floats.
///
/// Takes what `rust_ai_core.process_embedding` takes and raises what
/// `rust_ai_core.fast_vector_similarity` raises.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.dot([1, 2], (3, 4))
/// 11.0
#[pyfunction]
#[pyo3(signature = (a, b))]
pub(crate) fn dot(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<f64> {
    let bytes = |backend: Backend, a: &[i8], b: &[i8]| backend.dot_bytes(a, b) as f64;
    pair!(py, a, b, dot_widened, dot, bytes)
}

/// The squared Euclidean distance of two vectors, in 64-bit floats.
///
/// Its square root is the Euclidean distance; neighbours come in the same order by either.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.squared_l2([0, 0], [3, 4])
/// 25.0
#[pyfunction]
#[pyo3(signature = (a, b))]
pub(crate) fn squared_l2(
    py: Python<'_>,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    squared_l2_of(py, a, b)
}

/// The Euclidean distance of two vectors, in 64-bit floats: the root of `squared_l2`.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.l2([0, 0], [3, 4])
/// 5.0
#[pyfunction]
#[pyo3(signature = (a, b))]
pub(crate) fn l2(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<f64> {
    Ok(squared_l2_of(py, a, b)?.sqrt())
}

/// The cosine of the angle between two vectors, -1 to 1, in 64-bit floats.
///
/// 0 where a vector is empty or all zeros.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.cosine([1, 0], [0, 2])
/// 0.0
#[pyfunction]
#[pyo3(signature = (a, b))]
pub(crate) fn cosine(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<f64> {
    pair!(py, a, b, cosine_widened, cosine, cosine_of_bytes)
}

/// The L2 magnitude of a vector, in 64-bit floats; what `rust_ai_core.process_embedding` gives.
///
/// >>> from rust_ai_core import similarity
/// >>> similarity.norm([3, 4])
/// 5.0
#[pyfunction]
#[pyo3(signature = (a))]
pub(crate) fn norm(py: Python<'_>, a: &Bound<'_, PyAny>) -> PyResult<f64> {
    let a = Vector::extract(a)?;
    let a = a.elements()?;
    let backend = Backend::active();
    let compute = move || match a {
        Elements::F32(a) => backend.norm_widened(a),
        Elements::F64(a) => backend.norm(a),
        Elements::F16(a) => backend.norm_widened(a),
        Elements::Bf16(a) => backend.norm_widened(a),
        Elements::I8(a) => (backend.dot_bytes(a, a) as f64).sqrt(),
    };
    Ok(if a.len() < DETACH_ELEMENTS { compute() } else { py.detach(compute) })
}

/// The instruction set that kernels use: "avx512", "avx2", "neon" or "scalar".
///
/// The best that this CPU has, unless the environment variable RAC_KERNELS names another before
/// the import.
///
/// >>> import rust_ai_core as rac
/// >>> rac.kernel_backend() in {"avx512", "avx2", "neon", "scalar"}
/// True
#[pyfunction]
pub(crate) fn kernel_backend() -> &'static str {
    Backend::active().name()
}
