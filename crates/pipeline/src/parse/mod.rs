//! From a file's bytes to a [`Document`]: one file a format.

mod code;
mod csv;
mod extract;
mod html;
mod json;
mod json_value;
mod markdown;
mod text;

use crate::decode::decode;
use crate::document::Parts;
use crate::lines::LineMap;
use crate::{Block, Document, Format};

/// Changes whenever a parser or the chunker produces something else from the same bytes, so that
/// what was ingested before is ingested again.
pub const PARSER_VERSION: u32 = 1;

/// Offsets into a document are kept in 32 bits.
const MAX_TEXT_BYTES: usize = u32::MAX as usize - 1;

/// Why a file could not be turned into a document.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The bytes are not UTF-8 and nothing said what else they are.
    #[error("not UTF-8 at byte {offset}; name the file's encoding if it has another")]
    NotUtf8 {
        /// The first bad byte, from the beginning of the file.
        offset: usize,
    },
    /// No encoding of that name.
    #[error("unknown encoding {0:?}; use a name such as \"utf-8\", \"latin1\" or \"shift_jis\"")]
    UnknownEncoding(String),
    /// The file does not follow the encoding that it declares or that was asked for.
    #[error("the bytes are not valid {0}")]
    NotInEncoding(&'static str),
    /// A zero byte or a zero character: not a text.
    #[error("binary: a zero at byte {offset}")]
    Binary {
        /// Where it is.
        offset: usize,
    },
    /// The file's structure is broken beyond what can be read around.
    #[error("line {line}: {reason}")]
    Malformed {
        /// 1-based line of the file.
        line: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The text is, or would become, too large to hold.
    #[error("its text would be larger than {limit} bytes")]
    TooLarge {
        /// The largest text allowed for this file.
        limit: usize,
    },
}

/// How to read a file's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// The name of the encoding (WHATWG labels: "latin1", "shift_jis" ...). Without it a file is
    /// UTF-8, or UTF-16 with a byte order mark, or, if HTML, in what it declares.
    pub encoding: Option<String>,
}

/// Reads a file's bytes as a document of the given format. Time is linear in the size of the text
/// and no nesting in the file deepens the stack.
///
/// # Errors
/// Any [`ParseError`]; none of them depends on anything but the arguments.
pub fn parse(
    bytes: Vec<u8>,
    format: Format,
    options: &ParseOptions,
) -> Result<Document, ParseError> {
    let declares = format == Format::Html;
    parse_text(decode(bytes, options.encoding.as_deref(), declares)?, format)
}

/// Reads a text that is already decoded as a document of the given format.
///
/// # Errors
/// [`ParseError::Malformed`] and [`ParseError::TooLarge`].
pub fn parse_text(text: String, format: Format) -> Result<Document, ParseError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ParseError::TooLarge { limit: MAX_TEXT_BYTES });
    }
    match format {
        Format::Markdown => Ok(markdown::parse(text)),
        Format::Text => Ok(text::parse(text)),
        Format::Code => Ok(code::parse(text)),
        Format::Html => html::parse(&text),
        Format::Csv | Format::Tsv => csv::parse(&text, format),
        Format::JsonLines => json::parse_lines(&text),
        Format::Json => json::parse(text),
    }
}

/// A document without a title whose text is the file itself.
fn verbatim(text: String, format: Format, blocks: Vec<Block>, warnings: Vec<String>) -> Document {
    Document::new(Parts {
        lines: LineMap::of_source(&text),
        text,
        title: None,
        format,
        blocks,
        warnings,
    })
}
