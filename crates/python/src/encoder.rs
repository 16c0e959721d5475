//! The text encoder.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert;
use crate::errors::OrRaise;
use crate::pending::Pending;
use crate::progress::Reporter;
use crate::shared_encoder::SharedEncoder;
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
    pub(crate) name: String,
    pub(crate) inner: Arc<SharedEncoder>,
}

impl Encoder {
    /// The Python object around an encoder.
    pub(crate) fn wrap(name: String, inner: Arc<SharedEncoder>) -> Encoder {
        Encoder { name, inner }
    }
}

#[pymethods]
impl Encoder {
    #[new]
    #[pyo3(signature = (model = None))]
    fn new(py: Python<'_>, model: Option<&Bound<'_, PyAny>>) -> PyResult<Encoder> {
        let (name, inner) = match model {
            Some(model) => SharedEncoder::of(model)?,
            None => ("minilm".to_owned(), SharedEncoder::named(py, "minilm")?),
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
        let count = texts.len();
        let vectors = Reporter::with(py, "encode_bar", progress, |progress| {
            self.inner.encode(py, texts, progress)
        })?;
        vectors.into_pyarray(py).reshape([count, self.inner.dimension()])
    }

    /// `encode` to be awaited in an asyncio event loop, which it never blocks: the work runs on the
    /// package's own threads, packed together with what other tasks and threads encode.
    ///
    /// A task that is cancelled while it waits drops the texts whose work has not begun. At most 256
    /// calls of a loop are at work or in the queue; further ones wait for their turn, in order.
    ///
    /// >>> import asyncio
    /// >>> import rust_ai_core as rac
    /// >>> encoder = rac.Encoder("minilm")
    /// >>> async def embed():
    /// ...     return await asyncio.gather(*(encoder.aencode(f"text {n}") for n in range(3)))
    /// >>> [vectors.shape for vectors in asyncio.run(embed())]
    /// [(1, 384), (1, 384), (1, 384)]
    fn aencode<'py>(
        slf: &Bound<'py, Self>,
        texts: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("rust_ai_core.awaiting")?.call_method1("encode", (slf, texts))
    }

    /// What its scheduler has to do, `calls_waiting` and `texts_waiting`, and what it did in this
    /// process: `packs`, and the `texts` and `tokens` in them. Encoders of one folder share it.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> sorted(rac.Encoder("minilm").stats())
    /// ['calls_waiting', 'packs', 'texts', 'texts_waiting', 'tokens']
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let statistics = self.inner.scheduler()?.statistics();
        let dict = PyDict::new(py);
        dict.set_item("calls_waiting", statistics.calls_waiting)?;
        dict.set_item("texts_waiting", statistics.items_waiting)?;
        dict.set_item("packs", statistics.packs)?;
        dict.set_item("texts", statistics.items)?;
        dict.set_item("tokens", statistics.tokens)?;
        Ok(dict)
    }

    /// An empty call, for `aencode`.
    fn _pending(&self) -> Pending {
        Pending::new(self.inner.clone())
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
