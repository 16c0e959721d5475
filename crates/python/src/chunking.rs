//! Text to chunks that fit a model.

use std::sync::Arc;

use pipeline::{ChunkOptions, Format};
use pyo3::prelude::*;

use crate::convert::count;
use crate::document::{Chunk, format_named};
use crate::errors::{Kind, OrRaise};
use crate::threads;
use crate::tokenizer::Tokenizer;

/// Cuts a text into chunks of at most `max_tokens` tokens, special tokens left out.
///
/// A chunk ends, if it can, where a section ends, else a paragraph, a sentence (in code: a line), a
/// word, and only inside a word that is too long by itself. It begins with up to `overlap` tokens of
/// the one before it, in whole sentences or lines. For each chunk `text[chunk.start:chunk.end] ==
/// chunk.text`, and the tokenizer counts no more than `max_tokens` in it alone (unless one character
/// has more). `format` is "text", "markdown" or "code"; for others, whose text is not the file's, use
/// `parse_text(...).chunks(...)`. `tokenizer` is a `Tokenizer`, or what one is made from.
///
/// Raises ArgumentError (a ValueError) for sizes that make no sense together.
///
/// >>> import rust_ai_core as rac
/// >>> text = "# Cats\n\nThey sleep. They eat.\n\n# Dogs\n\nThey bark."
/// >>> for chunk in rac.chunk(text, max_tokens=8, format="markdown"):
/// ...     print(chunk.start, chunk.tokens, repr(chunk.text), chunk.section)
/// 0 8 '# Cats\n\nThey sleep. They eat.' Cats
/// 31 5 '# Dogs\n\nThey bark.' Dogs
#[pyfunction]
#[pyo3(signature = (text, *, max_tokens, overlap = 0, tokenizer = None, format = "text"))]
pub(crate) fn chunk(
    py: Python<'_>,
    text: String,
    #[pyo3(from_py_with = count)] max_tokens: usize,
    #[pyo3(from_py_with = count)] overlap: usize,
    tokenizer: Option<&Bound<'_, PyAny>>,
    format: &str,
) -> PyResult<Vec<Chunk>> {
    let parsed_as = format_named(format)?;
    if !matches!(parsed_as, Format::Text | Format::Markdown | Format::Code) {
        return Err(Kind::Argument.error(format!(
            "the text of {format} is not the file itself: use parse_text(...).chunks(...)"
        )));
    }
    let tokenizer = Tokenizer::of(py, tokenizer)?;
    let options = ChunkOptions { overlap_tokens: overlap, ..ChunkOptions::new(max_tokens) };
    let (document, chunks) = threads::run(py, || {
        let document = pipeline::parse_text(text, parsed_as).or_raise()?;
        let chunks = pipeline::chunk(&document, tokenizer.inner(), options).or_raise()?;
        PyResult::Ok((Arc::new(document), chunks))
    })??;
    Ok(chunks.into_iter().map(|inner| Chunk::new(&document, inner)).collect())
}
