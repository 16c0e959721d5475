//! The `progress=` argument: nothing, a bar, or the caller's own function.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::convert::type_name;

/// Where progress goes.
pub(crate) enum Reporter<'py> {
    Silent,
    To(Bound<'py, PyAny>),
}

impl<'py> Reporter<'py> {
    /// Runs `body` with what `progress` asks for: `True` opens the bar called `bar` of
    /// `rust_ai_core.progress` around it, `False` or `None` is silence.
    pub(crate) fn with<T>(
        py: Python<'py>,
        bar: &str,
        progress: Option<&Bound<'py, PyAny>>,
        body: impl FnOnce(&Reporter<'py>) -> PyResult<T>,
    ) -> PyResult<T> {
        let Some(progress) = progress.filter(|progress| !progress.is_none()) else {
            return body(&Reporter::Silent);
        };
        match progress.cast::<PyBool>() {
            Ok(flag) if !flag.is_true() => body(&Reporter::Silent),
            Ok(_) => {
                let bar = py.import("rust_ai_core.progress")?.call_method0(bar)?;
                let outcome = body(&Reporter::To(bar.call_method0("__enter__")?));
                let none = py.None();
                bar.call_method1("__exit__", (&none, &none, &none))?;
                outcome
            }
            Err(_) if progress.is_callable() => body(&Reporter::To(progress.clone())),
            Err(_) => Err(PyTypeError::new_err(format!(
                "progress is True, False or a callable, not {}",
                type_name(progress)
            ))),
        }
    }

    /// The function to call, detached from this thread's hold on Python.
    pub(crate) fn callback(&self) -> PyResult<Option<Py<PyAny>>> {
        Ok(match self {
            Reporter::Silent => None,
            Reporter::To(function) => Some(function.clone().unbind()),
        })
    }
}
