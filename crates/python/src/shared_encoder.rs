//! An encoder and its scheduler, shared by every Python object that uses the model.

use std::collections::HashMap;
use std::ops::{ControlFlow, Deref};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use inference::scheduler::{MAX_WAITING_CALLS, Scheduler};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::convert;
use crate::encoder::Encoder;
use crate::errors::OrRaise;
use crate::progress::Reporter;
use crate::threads::{self, PerProcess, SIGNAL_INTERVAL};

/// An encoder and what packs its callers' texts together.
pub(crate) struct SharedEncoder {
    encoder: Arc<inference::Encoder>,
    scheduler: PerProcess<Scheduler<inference::Encoder>>,
}

/// The encoders in use, by folder: opening a model twice does not load it twice.
static LOADED: Mutex<Option<HashMap<PathBuf, Weak<SharedEncoder>>>> = Mutex::new(None);

impl Deref for SharedEncoder {
    type Target = inference::Encoder;

    fn deref(&self) -> &inference::Encoder {
        &self.encoder
    }
}

impl SharedEncoder {
    /// The encoder of an argument that is an `Encoder`, a name or a path, and its name.
    pub(crate) fn of(model: &Bound<'_, PyAny>) -> PyResult<(String, Arc<SharedEncoder>)> {
        if let Ok(encoder) = model.cast::<Encoder>() {
            let encoder = encoder.get();
            return Ok((encoder.name.clone(), encoder.inner.clone()));
        }
        let name: String =
            model.call_method0("__fspath__").unwrap_or_else(|_| model.clone()).extract().map_err(
                |_| {
                    PyTypeError::new_err(format!(
                        "a model is a name, a path or an Encoder, not {}",
                        convert::type_name(model)
                    ))
                },
            )?;
        let inner = SharedEncoder::named(model.py(), &name)?;
        Ok((name, inner))
    }

    /// The encoder that a name or a path stands for.
    pub(crate) fn named(py: Python<'_>, name: &str) -> PyResult<Arc<SharedEncoder>> {
        let folder: PathBuf =
            py.import("rust_ai_core.models")?.call_method1("resolve", (name,))?.extract()?;
        if let Some(encoder) = loaded(&folder) {
            return Ok(encoder);
        }
        let encoder = Arc::new(py.detach(|| inference::Encoder::load(&folder)).or_raise()?);
        let shared = Arc::new(SharedEncoder { encoder, scheduler: PerProcess::new() });
        let mut cache = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = cache.get_or_insert_default();
        cache.retain(|_, encoder| encoder.strong_count() > 0);
        cache.insert(folder, Arc::downgrade(&shared));
        Ok(shared)
    }

    /// The encoder on its own.
    pub(crate) fn encoder(&self) -> &inference::Encoder {
        &self.encoder
    }

    /// This process's scheduler.
    pub(crate) fn scheduler(&self) -> PyResult<Arc<Scheduler<inference::Encoder>>> {
        self.scheduler.get_or_make(|| {
            Ok(Scheduler::new(self.encoder.clone(), threads::encoding()?, MAX_WAITING_CALLS))
        })
    }

    /// Encodes texts, in packs that are shared with whoever else encodes. Waits with the GIL
    /// released, and looks for Ctrl-C.
    pub(crate) fn encode(
        &self,
        py: Python<'_>,
        texts: Vec<String>,
        progress: &Reporter<'_>,
    ) -> PyResult<Vec<f32>> {
        let total = texts.len();
        let scheduler = self.scheduler()?;
        let callback = progress.callback()?;
        let mut raised = Ok(());
        let call = py.detach(|| {
            let raised = Mutex::new(&mut raised);
            scheduler.submit(texts, &|| match Python::attach(|py| py.check_signals()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    **raised.lock().unwrap_or_else(PoisonError::into_inner) = Err(error);
                    ControlFlow::Break(())
                }
            })
        });
        raised?;
        let call = call.or_raise()?;
        let mut told = 0;
        loop {
            let seen = if callback.is_some() { told } else { usize::MAX };
            let now = py.detach(|| call.wait(seen, SIGNAL_INTERVAL));
            if let Some(callback) = callback.as_ref().filter(|_| now.done > told || now.finished) {
                told = now.done;
                callback.call1(py, (now.done, total))?;
            }
            if now.finished {
                return py.detach(|| call.take()).or_raise();
            }
            py.check_signals()?;
        }
    }
}

fn loaded(folder: &Path) -> Option<Arc<SharedEncoder>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(folder)?.upgrade()
}
