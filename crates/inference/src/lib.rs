//! Text to vectors: tokenization and a token-packed transformer encoder.
//!
//! [`Encoder`] is the way in (and [`StaticEncoder`] for models that are but a table), [`Tokenizer`] its first step alone. A call tokenizes its texts
//! (`tokenizer`), lines their tokens up without padding in packs of a few hundred, and runs each
//! pack on one thread through the network (`transformer`, `attention`) whose weights were read
//! (`weights`) and packed at load. `config` knows what the files of a model folder mean. A program's
//! threads go through an [`EmbeddingService`]: a cache, and a [`scheduler::Scheduler`] that packs
//! their calls together. This crate knows no storage and no Python.

mod activations;
mod attention;
mod cache;
mod config;
mod cross_encoder;
mod distance_bias;
mod embedding;
mod encoder;
mod error;
mod linear;
mod onnx_encoder;
mod pooling;
mod prompts;
pub mod scheduler;
mod sentence_files;
mod spares;
mod static_encoder;
mod text_model;
mod tokenizer;
mod transformer;
mod weights;

pub use cache::{CacheStatistics, EmbeddingCache};
pub use cross_encoder::{Activation, CrossEncoder};
pub use embedding::{EmbeddingCall, EmbeddingService};
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use kernels::Precision;
pub use onnx_encoder::{OnnxEncoder, OnnxModel};
pub use prompts::Prompts;
pub use static_encoder::StaticEncoder;
pub use text_model::TextModel;
pub use tokenizer::{EncodeOptions, OffsetUnit, TokenBatch, Tokenizer, Tokens};

/// The precision that is fastest on this CPU, among those that it has instructions for.
pub fn fastest_precision() -> Precision {
    let backend = kernels::Backend::active();
    let native = |&precision: &Precision| backend.is_native(precision);
    [Precision::Int8, Precision::Bf16].into_iter().find(native).unwrap_or(Precision::F32)
}
