//! A tokenizer as a model uses it: with a limit.

use std::path::Path;

use super::batch::Work;
use super::{EncodeOptions, OffsetUnit, Tokenizer};
use crate::error::{Error, Result};

/// A model's tokenizer, which cuts texts to what the model takes.
pub(crate) struct LimitedTokenizer {
    tokenizer: Tokenizer,
    max_tokens: usize,
    content_tokens: usize,
}

impl LimitedTokenizer {
    /// Reads a `tokenizer.json`; `max_tokens` includes special tokens.
    pub(crate) fn read(path: &Path, max_tokens: usize) -> Result<LimitedTokenizer> {
        let tokenizer = Tokenizer::read(path)?;
        let special_tokens = tokenizer.special_tokens(false)?;
        if max_tokens <= special_tokens {
            return Err(Error::Malformed {
                path: path.into(),
                reason: format!("{special_tokens} special tokens leave no room in {max_tokens}"),
            });
        }
        Ok(LimitedTokenizer { tokenizer, max_tokens, content_tokens: max_tokens - special_tokens })
    }

    /// Most tokens of a text, special ones not counted.
    pub(crate) fn content_tokens(&self) -> usize {
        self.content_tokens
    }

    /// Greatest token id + 1.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokenizer.id_bound()
    }

    /// The ids that the model sees: special tokens added, cut on the right to `max_tokens`.
    pub(crate) fn ids(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        let options =
            EncodeOptions { max_tokens: Some(self.max_tokens), ..EncodeOptions::default() };
        let work =
            Work::new(&self.tokenizer, false, &options).map_err(|error| error.to_string())?;
        Ok(work.one(text)?.ids)
    }

    /// The byte range of every token of the whole text, special tokens left out, nothing cut.
    pub(crate) fn offsets(&self, text: &str) -> std::result::Result<Vec<(u32, u32)>, String> {
        Ok(self.tokenizer.plain_tokens(text, OffsetUnit::Bytes)?.offsets)
    }
}
