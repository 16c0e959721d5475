//! What can go wrong with a graph.

use std::io;

/// Why a graph was not built or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The bytes are not those that were written.
    #[error("the graph is damaged at byte {offset} of its region: {reason}")]
    Damaged {
        /// Where, in bytes from the start of the region.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },

    /// Written by a newer release.
    #[error("the graph has format version {found}, this build reads up to version {supported}")]
    Version {
        /// The version of the region.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },

    /// What was asked for cannot be built.
    #[error("{0}")]
    Unbuildable(String),

    /// The caller asked to stop; what was written so far is of no use.
    #[error("building the graph was interrupted")]
    Interrupted,

    /// The region could not be written.
    #[error("could not write the graph: {0}")]
    Write(#[from] io::Error),
}
