//! Parsing and chunking on their own.

use std::path::PathBuf;
use std::sync::Arc;

use pipeline::{ChunkOptions, Format, ParseOptions};
use pyo3::prelude::*;

use crate::convert::optional_count;
use crate::errors::{IntoPyErr, Kind, OrRaise};
use crate::shared_encoder::SharedEncoder;
use crate::threads;

impl IntoPyErr for pipeline::ParseError {
    fn into_py_err(self) -> PyErr {
        Kind::Parse.error(self.to_string())
    }
}

impl IntoPyErr for pipeline::ChunkError {
    fn into_py_err(self) -> PyErr {
        let kind = match self {
            pipeline::ChunkError::Options(_) => Kind::Argument,
            pipeline::ChunkError::Tokenizer(_) => Kind::Model,
        };
        kind.error(self.to_string())
    }
}

/// A parsed file: its text, title and format. Made by `parse` and `parse_text`.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Document {
    inner: Arc<pipeline::Document>,
}

/// A piece of a document that fits a model.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Chunk {
    document: Arc<pipeline::Document>,
    inner: pipeline::Chunk,
}

impl Chunk {
    pub(crate) fn new(document: &Arc<pipeline::Document>, inner: pipeline::Chunk) -> Chunk {
        Chunk { document: document.clone(), inner }
    }
}

pub(crate) fn format_named(name: &str) -> PyResult<Format> {
    Format::from_name(name)
        .ok_or_else(|| Kind::Argument.error(format!("there is no format named {name:?}")))
}

/// Reads and parses a file: Markdown, text, HTML, source code, CSV, TSV, JSON or JSON Lines.
///
/// The format is told from the name unless `format` says it. `encoding` is a WHATWG name such as
/// "latin1"; without it a file is UTF-8, UTF-16 with a byte order mark, or what its HTML declares.
/// Raises OSError where it cannot be read, ParseError (a ValueError) where it cannot be decoded or
/// parsed.
///
/// >>> import pathlib
/// >>> import rust_ai_core as rac
/// >>> _ = pathlib.Path("page.html").write_text("<title>Hi</title><p>One<p>Two")
/// >>> document = rac.parse("page.html")
/// >>> document.title, document.text
/// ('Hi', 'One\n\nTwo')
#[pyfunction]
#[pyo3(signature = (path, *, format = None, encoding = None))]
pub(crate) fn parse(
    py: Python<'_>,
    path: PathBuf,
    format: Option<&str>,
    encoding: Option<String>,
) -> PyResult<Document> {
    let format = match format {
        Some(name) => format_named(name)?,
        None => Format::from_path(&path).ok_or_else(|| {
            Kind::Parse.error(format!("{}: unknown kind of file; say format=", path.display()))
        })?,
    };
    let document = py.detach(|| {
        let bytes = std::fs::read(&path)
            .map_err(|error| Kind::Storage.error(format!("{}: {error}", path.display())))?;
        pipeline::parse(bytes, format, &ParseOptions { encoding })
            .map_err(|error| Kind::Parse.error(format!("{}: {error}", path.display())))
    })?;
    Ok(Document { inner: Arc::new(document) })
}

/// Parses a text that is at hand already.
///
/// >>> import rust_ai_core as rac
/// >>> rac.parse_text("# Title\n\nBody", format="markdown")
/// Document('Title', format='markdown', 13 characters)
#[pyfunction]
#[pyo3(signature = (text, *, format = "text"))]
pub(crate) fn parse_text(py: Python<'_>, text: String, format: &str) -> PyResult<Document> {
    let format = format_named(format)?;
    let document = py.detach(|| pipeline::parse_text(text, format)).or_raise()?;
    Ok(Document { inner: Arc::new(document) })
}

#[pymethods]
impl Document {
    /// The text to search: the file itself for Markdown, text and code, what a reader sees for
    /// HTML, "column: value" lines for CSV and JSON.
    #[getter]
    fn text(&self) -> &str {
        self.inner.text()
    }

    /// The document's own title, if it has one.
    #[getter]
    fn title(&self) -> Option<&str> {
        self.inner.title()
    }

    /// The format it was read as.
    #[getter]
    fn format(&self) -> &'static str {
        self.inner.format().name()
    }

    /// What was wrong with the file but could be read around, a sentence each.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings().to_vec()
    }

    /// The line of the original file, from 1, that the character at `offset` of the text is from.
    fn line_of(&self, offset: usize) -> u64 {
        let text = self.inner.text();
        let byte = text.char_indices().nth(offset).map_or(text.len(), |(byte, _)| byte);
        self.inner.line_of(byte)
    }

    /// Cuts the text into chunks that fit a model, on section, sentence or line boundaries.
    ///
    /// `max_tokens` is at most, and by default, what the model takes without its special tokens;
    /// a chunk begins with up to `overlap_tokens` (by default an eighth) of the one before it. For
    /// each chunk `document.text[chunk.start:chunk.end] == chunk.text`.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> document = rac.parse_text("First sentence. Second sentence.")
    /// >>> [chunk.text for chunk in document.chunks(max_tokens=3, overlap_tokens=0)]
    /// ['First sentence.', 'Second sentence.']
    #[pyo3(signature = (model = None, *, max_tokens = None, overlap_tokens = None))]
    fn chunks(
        &self,
        py: Python<'_>,
        model: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_count)] max_tokens: Option<usize>,
        #[pyo3(from_py_with = optional_count)] overlap_tokens: Option<usize>,
    ) -> PyResult<Vec<Chunk>> {
        let encoder = match model {
            Some(model) => SharedEncoder::of(model, None, None)?.1,
            None => SharedEncoder::named(py, "minilm", None, None)?.1,
        };
        let options = chunk_options(encoder.content_tokens(), max_tokens, overlap_tokens)?;
        let chunks = threads::run(py, || pipeline::chunk(&self.inner, encoder.encoder(), options))?
            .or_raise()?;
        Ok(chunks.into_iter().map(|inner| Chunk::new(&self.inner, inner)).collect())
    }

    fn __repr__(&self) -> String {
        let title = self.inner.title().map_or(String::new(), |title| format!("'{title}', "));
        let characters = self.inner.text().chars().count();
        format!("Document({title}format='{}', {characters} characters)", self.format())
    }
}

/// Chunk sizes within what the model takes, `limit` tokens.
pub(crate) fn chunk_options(
    limit: usize,
    max_tokens: Option<usize>,
    overlap_tokens: Option<usize>,
) -> PyResult<ChunkOptions> {
    let max_tokens = max_tokens.unwrap_or(limit);
    if max_tokens > limit {
        return Err(Kind::Argument.error(format!(
            "max_tokens={max_tokens}, but the model takes {limit} beside its special tokens"
        )));
    }
    let mut options = ChunkOptions::new(max_tokens);
    if let Some(overlap_tokens) = overlap_tokens {
        options.overlap_tokens = overlap_tokens;
    }
    Ok(options)
}

#[pymethods]
impl Chunk {
    /// The text, without white space at its ends.
    #[getter]
    fn text(&self) -> &str {
        &self.document.text()[self.inner.range.clone()]
    }

    /// Where it begins in the document's text, in characters.
    #[getter]
    fn start(&self) -> u64 {
        self.inner.start as u64
    }

    /// Where it ends.
    #[getter]
    fn end(&self) -> u64 {
        self.inner.end as u64
    }

    /// The line of the original file that it begins on, from 1.
    #[getter]
    fn line(&self) -> u64 {
        self.inner.line
    }

    /// Its tokens, without special ones.
    #[getter]
    fn tokens(&self) -> usize {
        self.inner.tokens
    }

    /// The headings that it stands under, outermost first, joined by " > ".
    #[getter]
    fn section(&self) -> Option<String> {
        self.inner.section.as_ref().map(|section| section.to_string())
    }

    fn __repr__(&self) -> String {
        let Chunk { inner, .. } = self;
        format!(
            "Chunk({}:{}, line={}, tokens={})",
            inner.start, inner.end, inner.line, inner.tokens
        )
    }
}
