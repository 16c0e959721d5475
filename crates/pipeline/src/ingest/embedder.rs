//! What ingestion needs of a model, so that it can be tested without one.

use std::ops::ControlFlow;

use crate::{TokenOffsets, TokenizerFailure};

/// A model's own error.
pub type ModelFailure = Box<dyn std::error::Error + Send + Sync>;

/// Turns texts into vectors.
pub trait Embedder: TokenOffsets {
    /// Numbers in a vector.
    fn dimension(&self) -> usize;

    /// The longest text that is taken in whole, in tokens without special ones.
    fn content_tokens(&self) -> usize;

    /// Names everything that a vector depends on.
    fn fingerprint(&self) -> &str;

    /// `dimension` numbers a text, row by row. `progress` is told now and then, on the calling
    /// thread, how many texts are done; when it breaks, there is no result.
    ///
    /// # Errors
    /// Whatever keeps the model from its work.
    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, ModelFailure>;
}

impl TokenOffsets for inference::Encoder {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        Ok(inference::Encoder::token_offsets(self, text)?)
    }
}

impl Embedder for inference::Encoder {
    fn dimension(&self) -> usize {
        inference::Encoder::dimension(self)
    }

    fn content_tokens(&self) -> usize {
        inference::Encoder::content_tokens(self)
    }

    fn fingerprint(&self) -> &str {
        inference::Encoder::fingerprint(self)
    }

    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, ModelFailure> {
        match self.encode_with(texts, progress) {
            Ok(vectors) => Ok(Some(vectors)),
            Err(inference::Error::Interrupted { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
