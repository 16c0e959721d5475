//! Cuts a document into chunks that fit a model, keeping each one's place.
//!
//! The way of a document: [`token_index`] tokenizes it once, [`pack`] fills chunks with its blocks
//! and, where they are too long, with ever finer pieces of them ([`split`]), [`fit`] makes sure of
//! the limit where a chunk begins or ends inside a word, and [`place`] adds characters and lines.

mod fit;
mod pack;
mod place;
mod sentences;
mod split;
mod token_index;

use std::ops::Range;
use std::sync::Arc;

use crate::Document;

/// A chunk is at most this many bytes a token of the limit: white space and words that a model
/// does not know cost no or few tokens, and a chunk must stay a piece of text of bounded size.
const MAX_BYTES_PER_TOKEN: usize = 64;

/// No chunk is cut for its bytes before this size, however few tokens are allowed.
const MIN_BYTE_LIMIT: usize = 1024;

/// What a tokenizer must be able to say.
pub trait TokenOffsets: Sync {
    /// The byte ranges of the tokens of `text`, ascending, without special tokens.
    ///
    /// The tokens of a word must not depend on what stands beyond the ASCII white space around it.
    ///
    /// # Errors
    /// Whatever keeps the tokenizer from its work; the chunker passes it on.
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure>;
}

impl TokenOffsets for inference::Tokenizer {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        Ok(self.tokens(text, inference::OffsetUnit::Bytes)?.offsets)
    }
}

/// A tokenizer's own error.
pub type TokenizerFailure = Box<dyn std::error::Error + Send + Sync>;

/// How large chunks are, in tokens without the model's special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkOptions {
    /// No chunk has more tokens (unless a single character has).
    pub max_tokens: usize,
    /// A chunk begins with at most this many tokens that end the chunk before it.
    pub overlap_tokens: usize,
    /// A chunk with fewer tokens of its own is filled up from the next paragraph or section.
    pub min_tokens: usize,
}

impl ChunkOptions {
    /// Chunks of at most `max_tokens`, with an eighth of it as overlap and as least size.
    pub fn new(max_tokens: usize) -> ChunkOptions {
        ChunkOptions { max_tokens, overlap_tokens: max_tokens / 8, min_tokens: max_tokens / 8 }
    }

    /// Refuses sizes that make no sense together.
    pub(crate) fn validate(&self) -> Result<(), ChunkError> {
        if self.max_tokens == 0 {
            return Err(ChunkError::Options("max_tokens must be at least 1".into()));
        }
        if self.overlap_tokens >= self.max_tokens {
            return Err(ChunkError::Options(format!(
                "overlap_tokens ({}) must be smaller than max_tokens ({})",
                self.overlap_tokens, self.max_tokens
            )));
        }
        if self.min_tokens > self.max_tokens {
            return Err(ChunkError::Options(format!(
                "min_tokens ({}) must not be larger than max_tokens ({})",
                self.min_tokens, self.max_tokens
            )));
        }
        Ok(())
    }

    fn max_bytes(&self) -> usize {
        self.max_tokens.saturating_mul(MAX_BYTES_PER_TOKEN).max(MIN_BYTE_LIMIT)
    }
}

/// A stretch of a document that fits a model. It neither begins nor ends with white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its bytes in [`Document::text`].
    pub range: Range<usize>,
    /// Its first character in the text, counted in Unicode scalar values.
    pub start: usize,
    /// The character behind its last.
    pub end: usize,
    /// The 1-based line of the original file that it begins on.
    pub line: u64,
    /// Its tokens, without special tokens.
    pub tokens: usize,
    /// The headings it stands under, outermost first, joined with ` > `.
    pub section: Option<Arc<str>>,
}

/// Why a document could not be cut.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// Sizes that make no sense; the message says which.
    #[error("{0}")]
    Options(String),
    /// The tokenizer failed.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(#[source] TokenizerFailure),
}

/// Cuts a document into chunks, in order. Together they hold every character of the text that is
/// not white space.
///
/// A chunk ends, if it can, where a section ends, else a paragraph, a sentence (in code: a line), a
/// word, and only inside a word that is too long by itself. A heading stays with what follows it;
/// short neighbours share a chunk; a record of a data file never shares one. Time and memory are
/// linear in the text; tokens take 8 bytes each while the document is being cut.
///
/// # Errors
/// [`ChunkError::Options`] for sizes that make no sense, [`ChunkError::Tokenizer`].
pub fn chunk(
    document: &Document,
    tokens: &dyn TokenOffsets,
    options: ChunkOptions,
) -> Result<Vec<Chunk>, ChunkError> {
    options.validate()?;
    let index = token_index::TokenIndex::build(document.text(), tokens)?;
    let spans = pack::pack(document, &index, options);
    let fitted = fit::fit(document.text(), spans, &index, tokens, options)?;
    Ok(place::place(document, fitted))
}

#[cfg(test)]
mod tests;
