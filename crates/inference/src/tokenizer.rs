//! Text to token ids, through the `tokenizers` crate.

use std::path::Path;

use tokenizers::{PaddingParams, PostProcessor, TruncationDirection};

use crate::error::{Error, Result};

/// A tokenizer whose only limits are ours: the padding and truncation that a `tokenizer.json`
/// carries are dropped (all-MiniLM-L6-v2's pads everything to 128).
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    max_tokens: usize,
    special_tokens: usize,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`; `max_tokens` includes special tokens.
    pub(crate) fn read(path: &Path, max_tokens: usize) -> Result<Tokenizer> {
        let bytes =
            std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let malformed = |reason: String| Error::Malformed { path: path.into(), reason };
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| malformed(error.to_string()))?;
        inner.with_truncation(None).map_err(|error| malformed(error.to_string()))?;
        inner.with_padding(None::<PaddingParams>);
        let special_tokens =
            inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if max_tokens <= special_tokens {
            return Err(malformed(format!(
                "{special_tokens} special tokens leave no room in {max_tokens}"
            )));
        }
        Ok(Tokenizer { inner, max_tokens, special_tokens })
    }

    /// Most tokens of a text, special ones not counted.
    pub(crate) fn content_tokens(&self) -> usize {
        self.max_tokens - self.special_tokens
    }

    /// Greatest token id + 1.
    pub(crate) fn vocabulary(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// The ids that the model sees: special tokens added, cut on the right to `max_tokens`.
    pub(crate) fn ids(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        let mut encoding = self.inner.encode_fast(text, false).map_err(|e| e.to_string())?;
        encoding.truncate(self.content_tokens(), 0, TruncationDirection::Right);
        let encoding = self.inner.post_process(encoding, None, true).map_err(|e| e.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The byte range of every token of the whole text, special tokens left out, nothing cut.
    pub(crate) fn offsets(&self, text: &str) -> std::result::Result<Vec<(u32, u32)>, String> {
        let encoding = self.inner.encode(text, false).map_err(|e| e.to_string())?;
        Ok(encoding.get_offsets().iter().map(|&(from, to)| (from as u32, to as u32)).collect())
    }
}
