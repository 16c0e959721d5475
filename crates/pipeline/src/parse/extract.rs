//! Builds the text of a format whose text differs from its file, keeping the file's lines.

use super::{MAX_TEXT_BYTES, ParseError};
use crate::document::{Parts, trim};
use crate::lines::LineMap;
use crate::{Block, BlockKind, Document, Format};

/// A text may be this many times as large as its file. (Column names are repeated for every row and
/// keys for every value, so a small hostile file could ask for terabytes.)
const LARGEST_GROWTH: usize = 64;

/// A text may grow to this size however small its file is.
const ALWAYS_ALLOWED_BYTES: usize = 1 << 20;

/// A text may not grow beyond this size, unless its file is that large.
const LARGEST_GROWN_BYTES: usize = 512 << 20;

/// Warnings after the first ones are only counted.
const MAX_WARNINGS: usize = 20;

/// A document under construction.
pub(super) struct Extract {
    text: String,
    lines: LineMap,
    blocks: Vec<Block>,
    warnings: Vec<String>,
    warnings_left_out: usize,
    limit: usize,
}

impl Extract {
    /// For a file of `source_bytes`.
    pub(super) fn new(source_bytes: usize) -> Extract {
        Extract {
            text: String::new(),
            lines: LineMap::default(),
            blocks: Vec::new(),
            warnings: Vec::new(),
            warnings_left_out: 0,
            limit: source_bytes
                .saturating_mul(LARGEST_GROWTH)
                .clamp(ALWAYS_ALLOWED_BYTES, LARGEST_GROWN_BYTES.max(source_bytes))
                .min(MAX_TEXT_BYTES),
        }
    }

    /// Bytes of text so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The text from byte `start` on.
    pub(super) fn since(&self, start: usize) -> &str {
        &self.text[start..]
    }

    /// Appends text that stands on `line` of the file and whose newlines are the file's.
    pub(super) fn push(&mut self, piece: &str, line: u32) -> Result<(), ParseError> {
        if piece.len() > self.limit - self.text.len() {
            return Err(ParseError::TooLarge { limit: self.limit });
        }
        self.lines.append(self.text.len(), piece, line);
        self.text.push_str(piece);
        Ok(())
    }

    /// Appends text of which all stands on `line` of the file, whatever newlines it holds.
    pub(super) fn push_on_one_line(&mut self, piece: &str, line: u32) -> Result<(), ParseError> {
        piece.split_inclusive('\n').try_for_each(|part| self.push(part, line))
    }

    /// Appends text that is not in the file, such as the newlines between two blocks.
    pub(super) fn push_separator(&mut self, piece: &str) -> Result<(), ParseError> {
        self.push(piece, self.lines.next_line())
    }

    /// Makes what was appended since byte `start` a block, unless it is only white space.
    pub(super) fn end_block(&mut self, start: usize, kind: BlockKind) {
        let range = trim(&self.text, start..self.text.len());
        if !range.is_empty() {
            self.blocks.push(Block { kind, range });
        }
    }

    /// What the last block is.
    pub(super) fn last_kind(&self) -> Option<&BlockKind> {
        self.blocks.last().map(|block| &block.kind)
    }

    /// Notes something wrong with the file that loses only a part of it.
    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.warnings_left_out += 1;
        }
    }

    /// The finished document.
    pub(super) fn finish(mut self, format: Format, title: Option<String>) -> Document {
        if self.warnings_left_out > 0 {
            self.warnings.push(format!("and {} more of this kind", self.warnings_left_out));
        }
        Document::new(Parts {
            text: self.text,
            title,
            format,
            blocks: self.blocks,
            warnings: self.warnings,
            lines: self.lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_bounded() {
        let mut extract = Extract::new(10);
        extract.limit = 8;
        extract.push("12345678", 1).unwrap();
        assert!(matches!(extract.push("9", 1), Err(ParseError::TooLarge { limit: 8 })));
    }

    #[test]
    fn warnings_after_the_first_are_counted() {
        let mut extract = Extract::new(0);
        for line in 0..MAX_WARNINGS + 5 {
            extract.warn(format!("line {line}"));
        }
        let document = extract.finish(Format::Csv, None);
        assert_eq!(document.warnings().len(), MAX_WARNINGS + 1);
        assert_eq!(document.warnings()[MAX_WARNINGS], "and 5 more of this kind");
    }
}
