//! An encoder, its scheduler and its cache, shared by every Python object that uses the model.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use inference::scheduler::{Effort, MAX_WAITING_CALLS, Scheduler};
use inference::{
    EmbeddingCache, EmbeddingCall, EmbeddingService, OnnxEncoder, OnnxModel, Precision, TextModel,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::convert;
use crate::encoder::Encoder;
use crate::errors::{Kind, OrRaise};
use crate::progress::Reporter;
use crate::threads::{self, PerProcess, SIGNAL_INTERVAL};

/// Bytes that the cache of all models together takes at most, unless an encoder has its own.
pub(crate) const CACHE_BYTES: usize = 16 << 20;

/// An encoder in memory, and what packs its callers' texts together.
struct Loaded {
    encoder: Arc<TextModel>,
    scheduler: PerProcess<Scheduler<TextModel>>,
}

/// An encoder as somebody uses it: with the cache of their choice.
pub(crate) struct SharedEncoder {
    loaded: Arc<Loaded>,
    cache: Cache,
}

/// Where vectors are looked up first.
pub(crate) enum Cache {
    Off,
    /// The one that all models and collections share.
    Common,
    /// One of its own, of so many bytes.
    Own(usize, PerProcess<EmbeddingCache>),
}

static COMMON_CACHE: PerProcess<EmbeddingCache> = PerProcess::new();

/// The encoders in use: opening a model twice does not load it twice.
static LOADED: Mutex<Option<HashMap<Key, Weak<Loaded>>>> = Mutex::new(None);

/// What makes an encoder the same.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    /// A folder that this package runs, and the precision.
    Native(PathBuf, Precision),
    Onnx(OnnxModel),
}

/// What runs a network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// This package.
    Native,
    /// The ONNX Runtime that is installed.
    Onnx,
}

impl Deref for SharedEncoder {
    type Target = TextModel;

    fn deref(&self) -> &TextModel {
        &self.loaded.encoder
    }
}

impl SharedEncoder {
    /// The encoder of an argument that is an `Encoder`, a name or a path, and its name. Without
    /// `precision`, an `Encoder` keeps its own and any other model is run in `f32`. Without `runner`,
    /// an `Encoder` keeps its own, a file `*.onnx` is run by ONNX Runtime and anything else here.
    pub(crate) fn of(
        model: &Bound<'_, PyAny>,
        precision: Option<Precision>,
        runner: Option<Runner>,
    ) -> PyResult<(String, Arc<SharedEncoder>)> {
        let py = model.py();
        if let Ok(encoder) = model.cast::<Encoder>() {
            let Encoder { name, inner } = encoder.get();
            let kept = precision.is_none_or(|precision| precision == inner.precision())
                && runner.is_none_or(|runner| runner == inner.runner());
            if kept {
                return Ok((name.clone(), inner.clone()));
            }
            return SharedEncoder::named(py, name, precision, runner);
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
        SharedEncoder::named(py, &name, precision, runner)
    }

    /// The encoder that a name or a path stands for, with the common cache; and its name, by which it
    /// is found again whatever was asked for beside it.
    pub(crate) fn named(
        py: Python<'_>,
        name: &str,
        precision: Option<Precision>,
        runner: Option<Runner>,
    ) -> PyResult<(String, Arc<SharedEncoder>)> {
        let is_graph = name.ends_with(".onnx");
        let models = py.import("rust_ai_core.models")?;
        let implied = if is_graph { Runner::Onnx } else { Runner::Native };
        let (name, key) = match runner.unwrap_or(implied) {
            Runner::Native if is_graph => {
                return Err(Kind::Argument.error(format!(
                    "backend=\"native\" runs model.safetensors of a folder, not {name}"
                )));
            }
            Runner::Onnx => {
                if precision.is_some_and(|precision| precision != Precision::F32) {
                    return Err(Kind::Argument.error(
                        "an ONNX model is run in the precision that it was exported in; leave \
                         precision out",
                    ));
                }
                let (graph, folder): (PathBuf, PathBuf) =
                    models.call_method1("resolve_onnx", (name,))?.extract()?;
                let library = py
                    .import("rust_ai_core.onnx_runtime")?
                    .call_method0("library")?
                    .extract::<PathBuf>()?;
                let name = graph.display().to_string();
                (name, Key::Onnx(OnnxModel { graph, folder, library }))
            }
            Runner::Native => {
                let folder = models.call_method1("resolve", (name,))?.extract()?;
                (name.to_owned(), Key::Native(folder, precision.unwrap_or(Precision::F32)))
            }
        };
        let loaded = load(py, key)?;
        Ok((name, Arc::new(SharedEncoder { loaded, cache: Cache::Common })))
    }

    /// What runs the network.
    pub(crate) fn runner(&self) -> Runner {
        match self.encoder() {
            TextModel::Onnx(_) => Runner::Onnx,
            TextModel::Transformer(_) | TextModel::Static(_) => Runner::Native,
        }
    }

    /// The same model with another cache.
    pub(crate) fn with_cache(&self, cache: Cache) -> Arc<SharedEncoder> {
        Arc::new(SharedEncoder { loaded: self.loaded.clone(), cache })
    }

    /// The encoder on its own.
    pub(crate) fn encoder(&self) -> &TextModel {
        &self.loaded.encoder
    }

    /// This process's scheduler.
    pub(crate) fn scheduler(&self) -> PyResult<Arc<Scheduler<TextModel>>> {
        let Loaded { encoder, scheduler } = &*self.loaded;
        scheduler.get_or_make(|| {
            Ok(Scheduler::new(encoder.clone(), threads::encoding()?, MAX_WAITING_CALLS))
        })
    }

    /// This process's cache, if there is one.
    pub(crate) fn cache(&self) -> PyResult<Option<Arc<EmbeddingCache>>> {
        let make = |bytes| move || Ok(Arc::new(EmbeddingCache::new(bytes)));
        match &self.cache {
            Cache::Off => Ok(None),
            Cache::Common => COMMON_CACHE.get_or_make(make(CACHE_BYTES)).map(Some),
            Cache::Own(bytes, cache) => cache.get_or_make(make(*bytes)).map(Some),
        }
    }

    /// Cache and scheduler together.
    pub(crate) fn service(&self) -> PyResult<EmbeddingService> {
        Ok(EmbeddingService::new(self.scheduler()?, self.cache()?))
    }

    /// Encodes texts behind a prompt, in packs that are shared with whoever else encodes. Waits with
    /// the GIL released, and looks for Ctrl-C.
    pub(crate) fn encode(
        &self,
        py: Python<'_>,
        texts: Vec<String>,
        prompt: &str,
        progress: &Reporter<'_>,
    ) -> PyResult<Vec<f32>> {
        let (service, texts) = (self.service()?, with_prompt(texts, prompt));
        let call = threads::until_signalled(py, |go_on| service.submit(texts, go_on))?;
        wait(py, &call, progress)?;
        py.detach(|| call.take()).or_raise()
    }

    /// Computes the vectors of texts, whatever a cache knows, and says what it took.
    pub(crate) fn explain(
        &self,
        py: Python<'_>,
        texts: Vec<String>,
    ) -> PyResult<(Vec<f32>, Effort)> {
        let prompt = self.encoder().prompts().of_any();
        let service = EmbeddingService::new(self.scheduler()?, None);
        let texts = with_prompt(texts, prompt);
        let call = threads::until_signalled(py, |go_on| service.submit(texts, go_on))?;
        wait(py, &call, &Reporter::Silent)?;
        let effort = call.effort();
        Ok((py.detach(|| call.take()).or_raise()?, effort))
    }
}

/// Texts as the model reads them.
pub(crate) fn with_prompt(mut texts: Vec<String>, prompt: &str) -> Vec<String> {
    if !prompt.is_empty() {
        texts.iter_mut().for_each(|text| text.insert_str(0, prompt));
    }
    texts
}

/// Waits until a call is finished, tells of its progress, and looks for Ctrl-C.
fn wait(py: Python<'_>, call: &EmbeddingCall, progress: &Reporter<'_>) -> PyResult<()> {
    let callback = progress.callback()?;
    let mut told = 0;
    loop {
        let seen = if callback.is_some() { told } else { usize::MAX };
        let now = py.detach(|| call.wait(seen, SIGNAL_INTERVAL));
        if let Some(callback) = callback.as_ref().filter(|_| now.done > told || now.finished) {
            told = now.done;
            callback.call1(py, (now.done, call.texts()))?;
        }
        if now.finished {
            return Ok(());
        }
        py.check_signals()?;
    }
}

fn load(py: Python<'_>, key: Key) -> PyResult<Arc<Loaded>> {
    if let Some(encoder) = loaded(&key) {
        return Ok(encoder);
    }
    let threads = threads::encoding()?.current_num_threads();
    let load = || match &key {
        Key::Native(folder, precision) => TextModel::load(folder, *precision),
        Key::Onnx(model) => {
            OnnxEncoder::load(model.clone(), threads).map(|model| TextModel::Onnx(Box::new(model)))
        }
    };
    let encoder = Arc::new(py.detach(load).or_raise()?);
    let loaded = Arc::new(Loaded { encoder, scheduler: PerProcess::new() });
    let mut cache = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = cache.get_or_insert_default();
    cache.retain(|_, encoder| encoder.strong_count() > 0);
    cache.insert(key, Arc::downgrade(&loaded));
    Ok(loaded)
}

fn loaded(key: &Key) -> Option<Arc<Loaded>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(key)?.upgrade()
}
