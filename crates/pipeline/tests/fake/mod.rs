//! A model without weights: tokens are words, a vector is a hash of the text.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipeline::{Embedder, ModelFailure, TokenOffsets, TokenizerFailure};

/// A text in which the tokenizer panics.
pub(crate) const PANICS: &str = "This word panics here.";

/// A text on which the model fails.
pub(crate) const FAILS: &str = "This text fails.";

/// The longest text it takes in.
pub(crate) const CONTENT_TOKENS: usize = 64;

/// Counts the texts it embeds.
#[derive(Default)]
pub(crate) struct HashingEmbedder {
    embedded: AtomicUsize,
}

/// Words of a text.
pub(crate) fn tokens(text: &str) -> usize {
    text.split_ascii_whitespace().count()
}

impl HashingEmbedder {
    pub(crate) const DIMENSION: usize = 8;

    /// Texts embedded so far.
    pub(crate) fn embedded(&self) -> usize {
        self.embedded.load(Ordering::Relaxed)
    }

    /// The vector of a text.
    pub(crate) fn vector(text: &str) -> Vec<f32> {
        let hash = blake3::hash(text.as_bytes());
        hash.as_bytes()[..Self::DIMENSION].iter().map(|byte| f32::from(*byte) - 127.5).collect()
    }
}

impl TokenOffsets for HashingEmbedder {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        assert!(!text.contains(PANICS), "the tokenizer met its word");
        let offset = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        Ok(text
            .split_ascii_whitespace()
            .map(|word| (offset(word) as u32, (offset(word) + word.len()) as u32))
            .collect())
    }
}

impl Embedder for HashingEmbedder {
    fn dimension(&self) -> usize {
        Self::DIMENSION
    }

    fn content_tokens(&self) -> usize {
        CONTENT_TOKENS
    }

    fn fingerprint(&self) -> &str {
        "hashing"
    }

    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, ModelFailure> {
        let mut vectors = Vec::new();
        for (done, text) in texts.iter().enumerate() {
            if *text == FAILS {
                return Err("no vector for this".into());
            }
            assert!(tokens(text) <= CONTENT_TOKENS);
            if progress(done).is_break() {
                return Ok(None);
            }
            vectors.extend(Self::vector(text));
            self.embedded.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Some(vectors))
    }
}
