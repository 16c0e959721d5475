//! `VectorField` and `SparseField`: what a collection's fields take.

use database::{DenseField, ElementType, FieldKind, Metric, VectorField as Field};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use crate::convert::{count, type_name};
use crate::database::{element_named, metric_named, numbers_of};
use crate::errors::Kind;

/// A field of vectors of one length, for `Database.collection(fields=...)`: `dimension`, `metric`
/// and `dtype` mean what they mean for the records' own vectors, and need not be the same.
///
/// >>> import rust_ai_core as rac
/// >>> rac.VectorField(128, metric="dot", dtype="float16")
/// VectorField(128, metric='dot', dtype='float16')
#[pyclass(module = "rust_ai_core", frozen, eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VectorField {
    field: DenseField,
}

#[pymethods]
impl VectorField {
    #[new]
    #[pyo3(signature = (dimension, *, metric = None, dtype = None))]
    fn new(
        #[pyo3(from_py_with = count)] dimension: usize,
        metric: Option<&str>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<VectorField> {
        let metric = metric.map(metric_named).transpose()?;
        let element = dtype.map(element_named).transpose()?;
        let (metric, element) = match (metric, element) {
            (Some(Metric::Hamming), None) => (Metric::Hamming, ElementType::Bits),
            (None, Some(ElementType::Bits)) => (Metric::Hamming, ElementType::Bits),
            (metric, element) => {
                (metric.unwrap_or(Metric::Cosine), element.unwrap_or(ElementType::Float32))
            }
        };
        let dimension = numbers_of(dimension, element)?;
        Ok(VectorField { field: DenseField { dimension, metric, element } })
    }

    /// Elements of a vector: bits, where they are packed.
    #[getter]
    fn dimension(&self) -> usize {
        self.field.dimension * self.field.element.coordinates()
    }

    /// "cosine", "dot", "l2" or "hamming".
    #[getter]
    fn metric(&self) -> &'static str {
        self.field.metric.name()
    }

    /// What vectors are kept as: "float32", "float16", "bfloat16", "int8", or "bits".
    #[getter]
    fn dtype(&self) -> &'static str {
        self.field.element.name()
    }

    fn __repr__(&self) -> String {
        let (dimension, metric, dtype) = (self.dimension(), self.metric(), self.dtype());
        format!("VectorField({dimension}, metric='{metric}', dtype='{dtype}')")
    }
}

/// A field of sparse vectors, for `Database.collection(fields=...)`: numbers at some of 2^32 places,
/// such as the weights of words, compared by their dot product.
///
/// >>> import rust_ai_core as rac
/// >>> rac.SparseField()
/// SparseField()
#[pyclass(module = "rust_ai_core", frozen, eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SparseField;

#[pymethods]
impl SparseField {
    #[new]
    fn new() -> SparseField {
        SparseField
    }

    fn __repr__(&self) -> &'static str {
        "SparseField()"
    }
}

/// The `fields` argument of a collection: a dict of names and what they take.
pub(crate) fn fields_of(object: &Bound<'_, PyAny>) -> PyResult<Vec<Field>> {
    let mapping = object.cast::<PyMapping>().map_err(|_| {
        PyTypeError::new_err(format!(
            "fields is a dict of names and VectorField or SparseField, not {}",
            type_name(object)
        ))
    })?;
    let mut fields = Vec::new();
    for item in mapping.items()?.iter() {
        let (name, value) = item.extract::<(String, Bound<'_, PyAny>)>()?;
        let kind = if let Ok(dense) = value.cast::<VectorField>() {
            FieldKind::Dense(dense.get().field)
        } else if value.is_instance_of::<SparseField>() {
            FieldKind::Sparse
        } else {
            return Err(Kind::Argument.error(format!(
                "field {name:?} is a VectorField or a SparseField, not {}",
                type_name(&value)
            )));
        };
        fields.push(Field { name, kind });
    }
    Ok(fields)
}

/// What a collection's `fields` says.
pub(crate) fn fields_to_python<'py>(
    py: Python<'py>,
    fields: &[Field],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for Field { name, kind } in fields {
        match *kind {
            FieldKind::Dense(field) => dict.set_item(name, VectorField { field })?,
            FieldKind::Sparse => dict.set_item(name, SparseField)?,
        }
    }
    Ok(dict)
}
