//! What can go wrong with a model.

use std::path::PathBuf;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the model folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the model folder is there but cannot be right.
    #[error("{} is damaged or not of this kind: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model is of a kind that this encoder does not run.
    #[error("{} cannot be run: {reason}", path.display())]
    Unsupported {
        /// The model folder.
        path: PathBuf,
        /// What is not supported, and what is.
        reason: String,
    },
    /// The library that runs ONNX models cannot be used.
    #[error("ONNX Runtime at {} cannot be used: {reason}", path.display())]
    Runtime {
        /// The shared library.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A text could not be tokenized.
    #[error("text {index} cannot be tokenized: {reason}")]
    Tokenize {
        /// Position of the text in the call.
        index: usize,
        /// What the tokenizer said.
        reason: String,
    },
    /// The model failed on texts that it had accepted.
    #[error("the model failed: {reason}")]
    Failed {
        /// What it said.
        reason: String,
    },
    /// The caller's limits for tokens make no sense.
    #[error("{0}")]
    Limit(String),
    /// The caller's progress function asked to stop.
    #[error("encoding was interrupted after {done} of {total} texts")]
    Interrupted {
        /// Texts encoded so far.
        done: usize,
        /// Texts in the call.
        total: usize,
    },
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;
