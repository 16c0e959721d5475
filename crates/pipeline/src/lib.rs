//! Files to records: walk, parse, chunk, embed, ingest.
//!
//! Each stage is usable alone: [`walk`] finds files, [`parse`] makes a [`Document`] of one,
//! [`chunk`] cuts it, and [`ingest`] does all of it into a [`database::Collection`]. Nothing here
//! knows Python; parallel work runs in rayon's ambient pool.

mod chunk;
mod decode;
mod document;
mod format;
mod ingest;
mod lines;
mod parse;
mod walk;

pub use chunk::{Chunk, ChunkError, ChunkOptions, TokenOffsets, TokenizerFailure, chunk};
pub use document::{Block, BlockKind, Document};
pub use format::Format;
pub use ingest::{
    Embedder, IngestError, IngestOptions, Inputs, ModelFailure, Progress, Report, Stage,
    StageSeconds, ingest,
};
pub use parse::{PARSER_VERSION, ParseError, ParseOptions, parse, parse_text};
pub use walk::{Skipped, SourceFile, Walk, WalkError, WalkOptions, walk};
