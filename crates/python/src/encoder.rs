//! The text encoder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::convert;
use crate::errors::OrRaise;
use crate::progress::Reporter;
use crate::threads;

/// Turns texts into vectors with a BERT-class model, on all cores, with the GIL released.
///
/// `model` is a name ("minilm" is sentence-transformers/all-MiniLM-L6-v2, 384 dimensions), the path
/// of a folder with `config.json`, `tokenizer.json` and `model.safetensors`, or a model's id on the
/// Hugging Face hub. A model that is not on this machine is fetched once. BERT, RoBERTa, XLM-RoBERTa
/// and DistilBERT with mean or CLS pooling run; anything else raises ModelError (a ValueError)
/// which names it. Encoders of one folder share their weights, and one encoder may be used from
/// many threads at a time.
///
/// >>> import rust_ai_core as rac
/// >>> encoder = rac.Encoder("minilm")
/// >>> vectors = encoder.encode(["a cat on a mat", "a dog on a log"])
/// >>> vectors.shape, vectors.dtype.name
/// ((2, 384), 'float32')
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Encoder {
    name: String,
    inner: Arc<inference::Encoder>,
}

/// The encoders in use, by folder: opening a model twice does not load it twice.
static LOADED: Mutex<Option<HashMap<PathBuf, Weak<inference::Encoder>>>> = Mutex::new(None);

impl Encoder {
    /// The encoder of an argument that is an `Encoder`, a name or a path.
    pub(crate) fn of(model: &Bound<'_, PyAny>) -> PyResult<(String, Arc<inference::Encoder>)> {
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
        let inner = load(model.py(), &name)?;
        Ok((name, inner))
    }

    /// The Python object around an encoder.
    pub(crate) fn wrap(name: String, inner: Arc<inference::Encoder>) -> Encoder {
        Encoder { name, inner }
    }
}

fn load(py: Python<'_>, name: &str) -> PyResult<Arc<inference::Encoder>> {
    let folder: PathBuf =
        py.import("rust_ai_core.models")?.call_method1("resolve", (name,))?.extract()?;
    if let Some(encoder) = loaded(&folder) {
        return Ok(encoder);
    }
    let encoder = Arc::new(py.detach(|| inference::Encoder::load(&folder)).or_raise()?);
    let mut cache = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = cache.get_or_insert_default();
    cache.retain(|_, encoder| encoder.strong_count() > 0);
    cache.insert(folder, Arc::downgrade(&encoder));
    Ok(encoder)
}

fn loaded(folder: &Path) -> Option<Arc<inference::Encoder>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(folder)?.upgrade()
}

/// So few texts are somebody's query: they are done within a second, before progress or Ctrl-C matter.
const INTERACTIVE_TEXTS: usize = 16;

/// Encodes with the GIL released; many texts with progress and a look for Ctrl-C.
pub(crate) fn encode(
    py: Python<'_>,
    encoder: &inference::Encoder,
    texts: &[String],
    progress: &Reporter<'_>,
) -> PyResult<Vec<f32>> {
    let total = texts.len();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let callback = progress.callback()?;
    if total <= INTERACTIVE_TEXTS {
        let vectors = threads::run(py, || encoder.encode(&texts))?.or_raise()?;
        if let Some(callback) = callback {
            callback.call1(py, (total, total))?;
        }
        return Ok(vectors);
    }
    let (vectors, raised) = threads::run_watched(
        py,
        |report| encoder.encode_with(&texts, &|done| report(done)),
        |py, done: usize| match &callback {
            Some(callback) => callback.call1(py, (done, total)).map(drop),
            None => Ok(()),
        },
    )?;
    raised?;
    vectors.or_raise()
}

#[pymethods]
impl Encoder {
    #[new]
    #[pyo3(signature = (model = None))]
    fn new(py: Python<'_>, model: Option<&Bound<'_, PyAny>>) -> PyResult<Encoder> {
        let (name, inner) = match model {
            Some(model) => Encoder::of(model)?,
            None => ("minilm".to_owned(), load(py, "minilm")?),
        };
        Ok(Encoder { name, inner })
    }

    /// The name, path or id that it was asked for by.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// The folder that its files are in.
    #[getter]
    fn path(&self) -> String {
        self.inner.folder().display().to_string()
    }

    /// Elements of a vector.
    #[getter]
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    /// The longest text in tokens, special tokens included. What is longer is cut at the end.
    #[getter]
    fn max_tokens(&self) -> usize {
        self.inner.max_tokens()
    }

    /// 32 hexadecimal digits that name everything a vector depends on: weights, tokenizer, pooling.
    #[getter]
    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }

    /// The vectors of texts: a float32 array of shape (n, dimension), in the order of the texts.
    ///
    /// `texts` is anything that gives `str`; a single `str` is one text. A text's vector depends on
    /// that text alone, not on what else is in the call. `progress=True` draws a bar on stderr (on
    /// a terminal or in a notebook), a callable is called with (done, total). Raises TypeError for
    /// a text that is not a `str` and names its position. Ctrl-C stops it within moments.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> vectors = rac.Encoder().encode(["king", "queen", "cabbage"])
    /// >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    /// True
    #[pyo3(signature = (texts, *, progress = None))]
    fn encode<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let py = texts.py();
        let texts = convert::texts(texts)?;
        let vectors = Reporter::with(py, "encode_bar", progress, |progress| {
            encode(py, &self.inner, &texts, progress)
        })?;
        vectors.into_pyarray(py).reshape([texts.len(), self.inner.dimension()])
    }

    /// The token ids that the model sees for each text: special tokens added, cut to `max_tokens`.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> rac.Encoder().tokenize(["hello world"])
    /// [[101, 7592, 2088, 102]]
    fn tokenize(&self, texts: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u32>>> {
        let py = texts.py();
        let texts = convert::texts(texts)?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        threads::run(py, || self.inner.tokenize(&texts))?.or_raise()
    }

    fn __repr__(&self) -> String {
        format!(
            "Encoder({:?}, dimension={}, max_tokens={})",
            self.name,
            self.inner.dimension(),
            self.inner.max_tokens()
        )
    }
}
