//! What ingestion needs of a model, so that it can be tested without one.

use std::ops::ControlFlow;

use inference::{EmbeddingService, TextModel};

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

impl TokenOffsets for TextModel {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        Ok(TextModel::token_offsets(self, text)?)
    }
}

impl TokenOffsets for EmbeddingService {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        self.model().token_offsets(text).map_err(Into::into)
    }
}

/// Embeds documents, with what the model wants to read before one.
impl Embedder for EmbeddingService {
    fn dimension(&self) -> usize {
        self.model().dimension()
    }

    fn content_tokens(&self) -> usize {
        let model = self.model();
        let prompt = model.token_offsets(model.prompts().of_documents());
        let taken = prompt.map_or(0, |tokens| tokens.len());
        model.content_tokens().saturating_sub(taken).max(1)
    }

    fn fingerprint(&self) -> &str {
        self.model().fingerprint()
    }

    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, ModelFailure> {
        let prompt = self.model().prompts().of_documents();
        let texts = texts.iter().map(|text| format!("{prompt}{text}")).collect();
        match EmbeddingService::embed(self, texts, progress) {
            Ok(vectors) => Ok(Some(vectors)),
            Err(inference::Error::Interrupted { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
