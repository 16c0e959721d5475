//! Files to records: walk, parse, chunk, embed, ingest.

mod chunk;
mod decode;
mod document;
mod format;
mod lines;
mod parse;
mod walk;

pub use chunk::{Chunk, ChunkError, ChunkOptions, TokenOffsets, TokenizerFailure, chunk};
pub use document::{Block, BlockKind, Document};
pub use format::Format;
pub use parse::{PARSER_VERSION, ParseError, ParseOptions, parse, parse_text};
pub use walk::{Skipped, SourceFile, Walk, WalkError, WalkOptions, walk};
