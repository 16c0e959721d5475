//! What ingestion needs of a model, so that it can be tested without one.

use std::ops::ControlFlow;
use std::sync::Arc;

use inference::scheduler::Scheduler;

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

impl TokenOffsets for Arc<Scheduler<inference::Encoder>> {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        self.workload().as_ref().token_offsets(text).map_err(Into::into)
    }
}

/// Through its scheduler, an encoder embeds for an ingestion and for whoever searches meanwhile.
impl Embedder for Arc<Scheduler<inference::Encoder>> {
    fn dimension(&self) -> usize {
        self.workload().dimension()
    }

    fn content_tokens(&self) -> usize {
        self.workload().content_tokens()
    }

    fn fingerprint(&self) -> &str {
        self.workload().fingerprint()
    }

    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, ModelFailure> {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        match self.run_with(texts, progress) {
            Ok(vectors) => Ok(Some(vectors)),
            Err(inference::Error::Interrupted { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
