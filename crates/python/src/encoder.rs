//! The text encoder.

use std::sync::Arc;

use inference::Precision;
use inference::scheduler::Effort;
use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert;
use crate::errors::{Kind, OrRaise};
use crate::pending::Pending;
use crate::progress::Reporter;
use crate::shared_encoder::{Cache, Runner, SharedEncoder};
use crate::threads::{self, PerProcess};

/// Turns texts into vectors with a BERT-class model, on all cores, with the GIL released.
///
/// `model` is a name ("minilm" is sentence-transformers/all-MiniLM-L6-v2, 384 dimensions), the path
/// of a folder with `config.json`, `tokenizer.json` and `model.safetensors`, or a model's id on the
/// Hugging Face hub. A model that is not on this machine is fetched once. BERT, RoBERTa, XLM-RoBERTa,
/// DistilBERT and MPNet run, with the pooling, normalisation and prompts of their sentence-transformers
/// files; anything else raises ModelError (a ValueError) which names it. Encoders of one folder
/// and precision share their weights, and one encoder may be used from many threads at a time.
///
/// A folder of static embeddings in model2vec's layout, such as `rac.distill` makes, loads the same
/// way: a text's vector is the mean of its tokens', tens of thousands of texts a second.
///
/// A file `*.onnx`, or `backend="onnx"` with a folder or an id that has `model.onnx` or
/// `onnx/model.onnx`, is run by ONNX Runtime, of whatever architecture it is. That takes the package
/// `onnxruntime`, 1.17 or later, and raises ModelError without it. `tokenizer.json` and the files of
/// sentence-transformers lie beside the file, or above a folder named `onnx`.
///
/// Vectors that were computed lately are kept, by the content of the text and the model's
/// fingerprint, in a cache of 16 MiB (about 9,900 vectors of 384) that all encoders and collections
/// share. `cache_bytes` gives this encoder one of its own, `cache=False` none.
///
/// `precision` says in what the network multiplies. "f32" (the default) is the reference. "bf16"
/// rounds weights and activations to bfloat16. "int8" takes bytes, with a scale for each output of a
/// layer and for each token. "auto" is the fastest one that this CPU has instructions for.
/// docs/encoder.md states what each costs in quality and where it is fast. In every precision a
/// text's vector depends on that text alone.
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

    /// The prompt that the arguments of `encode` ask for.
    fn prompt(&self, prompt: Option<String>, name: Option<&str>) -> PyResult<String> {
        let prompts = self.inner.prompts();
        match (prompt, name) {
            (Some(_), Some(_)) => {
                Err(Kind::Argument.error("give either a prompt or a prompt_name"))
            }
            (Some(prompt), None) => Ok(prompt),
            (None, None) => Ok(prompts.of_any().to_owned()),
            (None, Some(name)) => prompts.get(name).map(str::to_owned).ok_or_else(|| {
                let known: Vec<&str> =
                    prompts.all().iter().map(|(name, _)| name.as_str()).collect();
                Kind::Argument
                    .error(format!("the model has no prompt named {name:?}; it has {known:?}"))
            }),
        }
    }
}

/// The precisions by name; "auto" is the fastest one that this CPU has instructions for.
fn precision_of(name: &str) -> PyResult<Precision> {
    match name {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        "int8" => Ok(Precision::Int8),
        "auto" => Ok(inference::fastest_precision()),
        other => Err(Kind::Argument
            .error(format!("precision is \"f32\", \"bf16\", \"int8\" or \"auto\", not {other:?}"))),
    }
}

/// What runs the network, by name.
fn runner_of(name: &str) -> PyResult<Runner> {
    match name {
        "native" => Ok(Runner::Native),
        "onnx" => Ok(Runner::Onnx),
        other => {
            Err(Kind::Argument.error(format!("backend is \"native\" or \"onnx\", not {other:?}")))
        }
    }
}

#[pymethods]
impl Encoder {
    #[new]
    #[pyo3(signature = (
        model = None, *, precision = None, backend = None, cache = true, cache_bytes = None
    ))]
    fn new(
        py: Python<'_>,
        model: Option<&Bound<'_, PyAny>>,
        precision: Option<&str>,
        backend: Option<&str>,
        cache: bool,
        #[pyo3(from_py_with = convert::optional_count)] cache_bytes: Option<usize>,
    ) -> PyResult<Encoder> {
        let precision = precision.map(precision_of).transpose()?;
        let runner = backend.map(runner_of).transpose()?;
        let (name, inner) = match model {
            Some(model) => SharedEncoder::of(model, precision, runner)?,
            None => SharedEncoder::named(py, "minilm", precision, runner)?,
        };
        let inner = match (cache, cache_bytes) {
            (true, None) => inner,
            (true, Some(bytes)) => inner.with_cache(Cache::Own(bytes, PerProcess::new())),
            (false, None) => inner.with_cache(Cache::Off),
            (false, Some(_)) => {
                return Err(Kind::Argument.error("cache=False leaves no use for cache_bytes"));
            }
        };
        Ok(Encoder { name, inner })
    }

    /// What runs the network: "native" or "onnx".
    #[getter]
    fn backend(&self) -> &'static str {
        match self.inner.runner() {
            Runner::Native => "native",
            Runner::Onnx => "onnx",
        }
    }

    /// In what the network multiplies: "f32", "bf16" or "int8"; "f32" of an ONNX model, whose vectors
    /// are of that whatever its graph does inside.
    #[getter]
    fn precision(&self) -> &'static str {
        name_of(self.inner.precision())
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

    /// What the model wants to read before a text, by name, such as "query" and "document".
    #[getter]
    fn prompts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, prompt) in self.inner.prompts().all() {
            dict.set_item(name, prompt)?;
        }
        Ok(dict)
    }

    /// The prompt that `encode` uses where it is given none, if the model has such a one.
    #[getter]
    fn default_prompt_name(&self) -> Option<&str> {
        self.inner.prompts().default_name()
    }

    /// 32 hexadecimal digits that name what a vector depends on: weights, tokenizer, pooling. The
    /// same in every precision: a collection filled in one can be searched in another.
    #[getter]
    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }

    /// The vectors of texts: a float32 array of shape (n, dimension), in the order of the texts.
    ///
    /// `texts` is anything that gives `str`; a single `str` is one text. A text's vector depends on
    /// that text alone, not on what else is in the call. Models that want a prompt before a text have
    /// it in `prompts`: choose one with `prompt_name`, or give a `prompt` of your own; otherwise it
    /// is the model's default one, if it has any. What was encoded lately comes from the cache (see
    /// the class); calls of thousands of texts do not go into it. `progress=True` draws a bar on stderr (on
    /// a terminal or in a notebook), a callable is called with (done, total). Raises TypeError for
    /// a text that is not a `str` and names its position. Ctrl-C stops it within moments.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> vectors = rac.Encoder().encode(["king", "queen", "cabbage"])
    /// >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    /// True
    #[pyo3(signature = (texts, *, prompt = None, prompt_name = None, progress = None))]
    fn encode<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        prompt: Option<String>,
        prompt_name: Option<&str>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let py = texts.py();
        let texts = convert::texts(texts)?;
        let prompt = self.prompt(prompt, prompt_name)?;
        let count = texts.len();
        let vectors = Reporter::with(py, "encode_bar", progress, |progress| {
            self.inner.encode(py, texts, &prompt, progress)
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
    #[pyo3(signature = (texts, *, prompt = None, prompt_name = None))]
    fn aencode<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        prompt: Option<String>,
        prompt_name: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = self.prompt(prompt, prompt_name)?;
        let pending = Pending::new(self.inner.clone(), prompt);
        texts.py().import("rust_ai_core.awaiting")?.call_method1("encode", (pending, texts))
    }

    /// What its scheduler has to do, `calls_waiting` and `texts_waiting`, and what it did in this
    /// process: `packs`, and the `texts` and `tokens` in them. Encoders of one folder share it. Of its
    /// cache: `cache_hits` and `cache_misses` in texts, `cache_entries`, `cache_bytes`; zeros where
    /// it has none.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> encoder = rac.Encoder("minilm", cache_bytes=1_000_000)
    /// >>> for _ in range(3):
    /// ...     _ = encoder.encode("the same text")
    /// >>> encoder.stats()["cache_misses"], encoder.stats()["cache_hits"]
    /// (1, 2)
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let statistics = self.inner.scheduler()?.statistics();
        let dict = PyDict::new(py);
        dict.set_item("calls_waiting", statistics.calls_waiting)?;
        dict.set_item("texts_waiting", statistics.items_waiting)?;
        dict.set_item("packs", statistics.packs)?;
        dict.set_item("texts", statistics.items)?;
        dict.set_item("tokens", statistics.tokens)?;
        let cache = self.inner.cache()?.map(|cache| cache.statistics()).unwrap_or_default();
        dict.set_item("cache_hits", cache.hits)?;
        dict.set_item("cache_misses", cache.misses)?;
        dict.set_item("cache_entries", cache.entries)?;
        dict.set_item("cache_bytes", cache.bytes)?;
        Ok(dict)
    }

    /// Vectors, tokens, the positions of texts that were cut, and seconds of all threads for
    /// tokenizing and for the model: for `parallel_inference`. No cache is asked.
    #[expect(clippy::type_complexity, reason = "a tuple for Python, spelled out")]
    fn _explain<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyArray2<f32>>, usize, Vec<usize>, f64, f64)> {
        let py = texts.py();
        let texts = convert::texts(texts)?;
        let shape = [texts.len(), self.inner.dimension()];
        let (vectors, Effort { tokens, mut cut, tokenizing, running }) =
            self.inner.explain(py, texts)?;
        cut.sort_unstable();
        let vectors = vectors.into_pyarray(py).reshape(shape)?;
        Ok((vectors, tokens, cut, tokenizing.as_secs_f64(), running.as_secs_f64()))
    }

    /// The vectors of token ids, float32 of shape (n, dimension), for `distill`: sequences of a few.
    fn _encode_ids<'py>(
        &self,
        py: Python<'py>,
        sequences: Vec<Vec<u32>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let shape = [sequences.len(), self.inner.dimension()];
        let vectors =
            threads::run(py, || self.inner.encoder().encode_ids(&sequences))?.or_raise()?;
        vectors.into_pyarray(py).reshape(shape)
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
        let onnx = self.inner.runner() == Runner::Onnx;
        format!(
            "Encoder({:?}, {}={:?}, dimension={}, max_tokens={})",
            self.name,
            if onnx { "backend" } else { "precision" },
            if onnx { self.backend() } else { self.precision() },
            self.inner.dimension(),
            self.inner.max_tokens()
        )
    }
}

fn name_of(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
        Precision::Int8 => "int8",
    }
}
