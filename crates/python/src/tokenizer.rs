//! The tokenizer on its own.

use std::path::PathBuf;
use std::sync::Arc;

use inference::{EncodeOptions, OffsetUnit};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyString;

use crate::convert::{self, optional_count};
use crate::errors::{Kind, OrRaise};
use crate::threads;
use crate::token_batch::TokenBatch;

/// Less text than this is tokenized by the calling thread, which takes less than to wake others.
const INLINE_BYTES: usize = 16 << 10;

/// Turns texts into token ids and back, exactly as the `tokenizers` package does, with the GIL
/// released.
///
/// `model` is a name ("minilm"), the path of a `tokenizer.json` or of a folder with one, or a model's
/// id on the Hugging Face hub, of which only the tokenizer is fetched. A tokenizer of BERT's WordPiece
/// kind runs on a path of its own, on all cores; any other runs on the `tokenizers` crate, and
/// `repr` says which and why. Padding and truncation that the file may ask for are dropped.
///
/// >>> import rust_ai_core as rac
/// >>> tokenizer = rac.Tokenizer("minilm")
/// >>> tokenizer
/// Tokenizer('minilm', 30522 tokens, WordPiece in one pass)
/// >>> batch = tokenizer.encode(["hello world", "unbelievable"], offsets=True)
/// >>> batch.to_lists()
/// [[101, 7592, 2088, 102], [101, 23653, 102]]
/// >>> batch.offsets[1:3].tolist()
/// [[0, 5], [6, 11]]
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Tokenizer {
    name: String,
    inner: Arc<inference::Tokenizer>,
}

impl Tokenizer {
    /// The tokenizer of an argument that is a `Tokenizer`, a name or a path; the default model's if
    /// it is left out.
    pub(crate) fn of(py: Python<'_>, model: Option<&Bound<'_, PyAny>>) -> PyResult<Tokenizer> {
        if let Some(tokenizer) = model.and_then(|model| model.cast::<Tokenizer>().ok()) {
            let Tokenizer { name, inner } = tokenizer.get();
            return Ok(Tokenizer { name: name.clone(), inner: inner.clone() });
        }
        let model = match model {
            Some(model) => model.clone(),
            None => PyString::new(py, "minilm").into_any(),
        };
        let models = py.import("rust_ai_core.models")?;
        let path: PathBuf = models.call_method1("resolve_tokenizer", (&model,))?.extract()?;
        let name = model.str()?.to_string();
        let inner = py.detach(|| inference::Tokenizer::read(&path)).or_raise()?;
        Ok(Tokenizer { name, inner: Arc::new(inner) })
    }

    pub(crate) fn inner(&self) -> &inference::Tokenizer {
        &self.inner
    }

    /// Runs work on so many bytes of text without the GIL.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        bytes: usize,
        work: impl FnOnce(&inference::Tokenizer) -> T + Send,
    ) -> PyResult<T> {
        let tokenizer = self.inner.as_ref();
        if bytes < INLINE_BYTES {
            Ok(py.detach(|| work(tokenizer)))
        } else {
            threads::run(py, || work(tokenizer))
        }
    }
}

#[pymethods]
impl Tokenizer {
    #[new]
    #[pyo3(signature = (model = None))]
    fn new(py: Python<'_>, model: Option<&Bound<'_, PyAny>>) -> PyResult<Tokenizer> {
        Tokenizer::of(py, model)
    }

    /// The name, path or id that it was asked for by.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// The `tokenizer.json` that it was read from.
    #[getter]
    fn path(&self) -> String {
        self.inner.path().display().to_string()
    }

    /// Tokens in the vocabulary, added ones included.
    #[getter]
    fn vocabulary_size(&self) -> usize {
        self.inner.vocabulary_size()
    }

    /// Why the `tokenizers` crate does the work; `None` where our own WordPiece does.
    #[getter]
    fn fallback_reason(&self) -> Option<&str> {
        self.inner.fallback_reason()
    }

    /// The tokens of texts, a row each, in the order of the texts.
    ///
    /// `texts` is anything that gives `str`; a single `str` is one text. With `pairs`, as many second
    /// texts, a row is of a pair, as cross-encoders take it. `special_tokens` adds what the model wants
    /// around them. `max_tokens` cuts a row, special tokens included; of a pair the longer text is
    /// cut first. With `stride`, what is cut off a text goes into more rows, each of which repeats that
    /// many tokens of the one before. `offsets` keeps each token's place in its text, in characters.
    ///
    /// Raises TypeError for a text that is not a `str` and names its position, ArgumentError (a
    /// ValueError) for limits that leave no room, ModelError for a tokenizer that takes no pairs.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> tokenizer = rac.Tokenizer("minilm")
    /// >>> text = "one two three four"
    /// >>> batch = tokenizer.encode(text, max_tokens=4, stride=1, offsets=True)
    /// >>> batch.to_lists()
    /// [[101, 2028, 2048, 102], [101, 2048, 2093, 102], [101, 2093, 2176, 102]]
    /// >>> [text[start:end] for start, end in batch.offsets[9:11]]
    /// ['three', 'four']
    /// >>> pair = tokenizer.encode("a question", pairs="an answer")
    /// >>> pair.type_ids.tolist()
    /// [0, 0, 0, 0, 1, 1, 1]
    #[pyo3(signature = (
        texts, *, pairs = None, special_tokens = true, max_tokens = None, stride = None, offsets = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of one Python function")]
    fn encode(
        &self,
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        pairs: Option<&Bound<'_, PyAny>>,
        special_tokens: bool,
        #[pyo3(from_py_with = optional_count)] max_tokens: Option<usize>,
        #[pyo3(from_py_with = optional_count)] stride: Option<usize>,
        offsets: bool,
    ) -> PyResult<TokenBatch> {
        let options = EncodeOptions {
            special_tokens,
            max_tokens,
            overflow: stride,
            offsets: offsets.then_some(OffsetUnit::Characters),
        };
        let texts = convert::borrowed_texts(texts)?;
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let batch = match pairs {
            None => self.run(py, bytes(&texts), |inner| inner.encode(&texts, &options))?,
            Some(seconds) => {
                let seconds = convert::borrowed_texts(seconds)?;
                if seconds.len() != texts.len() {
                    return Err(Kind::Argument.error(format!(
                        "{} texts cannot be paired with {}",
                        texts.len(),
                        seconds.len()
                    )));
                }
                let seconds = seconds.iter().map(|text| &**text);
                let both: Vec<(&str, &str)> = texts.iter().copied().zip(seconds).collect();
                let bytes = both.iter().map(|(a, b)| a.len() + b.len()).sum();
                self.run(py, bytes, |inner| inner.encode_pairs(&both, &options))?
            }
        };
        TokenBatch::new(py, batch.or_raise()?, offsets)
    }

    /// How many tokens each text has, special tokens left out: an int64 array of shape (n,).
    ///
    /// >>> import rust_ai_core as rac
    /// >>> rac.Tokenizer("minilm").count(["hello world", "unaffable"]).tolist()
    /// [2, 3]
    fn count<'py>(&self, texts: &Bound<'py, PyAny>) -> PyResult<Bound<'py, numpy::PyArray1<i64>>> {
        let py = texts.py();
        let texts = convert::borrowed_texts(texts)?;
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let counts = self.run(py, bytes(&texts), |inner| inner.count_all(&texts))?.or_raise()?;
        Ok(numpy::PyArray1::from_iter(py, counts.into_iter().map(|count| count as i64)))
    }

    /// The longest beginning of a text that has at most `max_tokens` tokens, special tokens left
    /// out, and ends where a token ends; the whole text if it has no more.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> rac.Tokenizer("minilm").truncate("Hello, world! And so on.", 3)
    /// 'Hello, world'
    fn truncate(
        &self,
        py: Python<'_>,
        text: PyBackedStr,
        #[pyo3(from_py_with = convert::count)] max_tokens: usize,
    ) -> PyResult<String> {
        let end =
            self.run(py, text.len(), |inner| inner.truncate(&text, max_tokens))?.or_raise()?;
        Ok(text[..end].to_owned())
    }

    /// The text of token ids, as far as ids can tell it.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> tokenizer = rac.Tokenizer("minilm")
    /// >>> tokenizer.decode(tokenizer.encode("Hello, world!").ids)
    /// 'hello, world!'
    #[pyo3(signature = (ids, *, skip_special_tokens = true))]
    fn decode(&self, ids: &Bound<'_, PyAny>, skip_special_tokens: bool) -> PyResult<String> {
        let ids: Vec<u32> = ids.try_iter()?.map(|id| id?.extract()).collect::<PyResult<_>>()?;
        self.inner.decode(&ids, skip_special_tokens).or_raise()
    }

    /// The token of an id; None for an id that there is not.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> rac.Tokenizer("minilm").id_to_token(102)
    /// '[SEP]'
    fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token; None for a token that there is not.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> rac.Tokenizer("minilm").token_to_id("[SEP]")
    /// 102
    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    fn __repr__(&self) -> String {
        let how = match self.inner.fallback_reason() {
            None => "WordPiece in one pass".to_owned(),
            Some(reason) => format!("by the tokenizers crate: {reason}"),
        };
        format!("Tokenizer('{}', {} tokens, {how})", self.name, self.inner.vocabulary_size())
    }
}

fn bytes(texts: &[&str]) -> usize {
    texts.iter().map(|text| text.len()).sum()
}
