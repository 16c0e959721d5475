//! Files to records: walk, parse, chunk, embed, ingest.
//!
//! Each stage is usable alone: [`walk`] finds files, [`parse`] makes a [`Document`] of one,
//! [`chunk`] cuts it, and [`ingest`] does all of it into a [`database::Collection`]. Nothing here
//! knows Python; parallel work runs in rayon's ambient pool.
//!
//! ```
//! use pipeline::{ChunkOptions, Format, TokenOffsets, TokenizerFailure, chunk, parse_text};
//!
//! /// Every letter is a token.
//! struct Letters;
//!
//! impl TokenOffsets for Letters {
//!     fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
//!         let letters = text.char_indices().filter(|(_, letter)| !letter.is_whitespace());
//!         Ok(letters.map(|(at, letter)| (at as u32, (at + letter.len_utf8()) as u32)).collect())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = "# Keys\n\nTurn it twice. Then pull it out.\n";
//! let document = parse_text(source.to_owned(), Format::Markdown)?;
//! let chunks = chunk(&document, &Letters, ChunkOptions::new(20))?;
//! let texts: Vec<&str> = chunks.iter().map(|chunk| &source[chunk.range.clone()]).collect();
//! assert_eq!(texts, ["# Keys\n\nTurn it twice.", "Then pull it out."]);
//! assert_eq!(chunks[1].line, 3);
//! assert_eq!(chunks[1].section.as_deref(), Some("Keys"));
//! # Ok(())
//! # }
//! ```

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
