//! Makes sure of the token limit where the document's own tokens cannot tell.
//!
//! A word's tokens depend on all its letters: where a chunk begins or ends inside a word, the
//! chunk's tokens are others than the document's tokens in that range, and can be more.

use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use super::pack::Span;
use super::token_index::TokenIndex;
use super::{ChunkError, ChunkOptions, TokenOffsets};
use crate::document::trim;

/// How far behind a cut the text is read to know whether it parts a visible character. Longer
/// characters (a letter under a hundred accents) may be cut.
const GRAPHEME_LOOKAHEAD_BYTES: usize = 64;

/// A chunk whose limit is sure.
pub(super) struct Fitted {
    pub(super) range: Range<usize>,
    pub(super) tokens: usize,
    pub(super) section: Option<Arc<str>>,
}

/// Passes on what fits and cuts what does not.
pub(super) fn fit(
    text: &str,
    spans: Vec<Span>,
    index: &TokenIndex,
    tokenizer: &dyn TokenOffsets,
    options: ChunkOptions,
) -> Result<Vec<Fitted>, ChunkError> {
    let mut fitter =
        Fitter { text, index, tokenizer, options, fitted: Vec::with_capacity(spans.len()) };
    for span in spans {
        fitter.add(span)?;
    }
    Ok(fitter.fitted)
}

struct Fitter<'a> {
    text: &'a str,
    index: &'a TokenIndex,
    tokenizer: &'a dyn TokenOffsets,
    options: ChunkOptions,
    fitted: Vec<Fitted>,
}

impl Fitter<'_> {
    fn add(&mut self, span: Span) -> Result<(), ChunkError> {
        let mut rest = span.range;
        if rest.start < span.fresh && !self.may_overlap(rest.start)? {
            rest.start = span.fresh;
        }
        while !rest.is_empty() {
            let (end, tokens) = self.longest_prefix(&rest)?;
            let range = trim(self.text, rest.start..end);
            if !range.is_empty() {
                self.fitted.push(Fitted { range, tokens, section: span.section.clone() });
            }
            rest = trim(self.text, end..rest.end);
        }
        Ok(())
    }

    /// Whether a chunk may begin at `start`, to repeat what the last one ends with. Not if the last
    /// was cut behind it, or chunks would not ascend.
    fn may_overlap(&self, start: usize) -> Result<bool, ChunkError> {
        let Some(last) = self.fitted.last().filter(|last| last.range.start < start) else {
            return Ok(false);
        };
        let repeated = self.count_alone(start..last.range.end.max(start))?;
        Ok(repeated <= self.options.overlap_tokens)
    }

    /// The end and the tokens of a beginning of the range that fits, all of it if possible. A
    /// single character always counts as fitting: there is no smaller piece.
    fn longest_prefix(&self, range: &Range<usize>) -> Result<(usize, usize), ChunkError> {
        let by_tokens =
            self.index.end_of_first(self.options.max_tokens, range.start).unwrap_or(range.end);
        let by_bytes = range.start + self.options.max_bytes();
        let mut end = range.end;
        if self.index.count(range.clone()) > self.options.max_tokens || by_bytes < range.end {
            end = self.cut_before(range, by_tokens.min(by_bytes));
        }
        loop {
            let tokens = self.count_alone(trim(self.text, range.start..end))?;
            let first = self.text[range.start..].chars().next().map_or(0, char::len_utf8);
            if tokens <= self.options.max_tokens || end <= range.start + first {
                return Ok((end, tokens));
            }
            end = self.cut_before(range, range.start + (end - range.start) / 2);
        }
    }

    /// The tokens that a range has by itself.
    fn count_alone(&self, range: Range<usize>) -> Result<usize, ChunkError> {
        if self.is_between_words(range.start) && self.is_between_words(range.end) {
            return Ok(self.index.count(range));
        }
        let offsets = self.tokenizer.token_offsets(&self.text[range]);
        Ok(offsets.map_err(ChunkError::Tokenizer)?.len())
    }

    fn is_between_words(&self, byte: usize) -> bool {
        let bytes = self.text.as_bytes();
        let white =
            |at: usize| bytes.get(at).is_none_or(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        byte == 0 || white(byte) || white(byte - 1)
    }

    /// The best place to end a piece of the range at byte `limit` or before it: behind a word, else
    /// between visible characters, else between characters, and never without one character.
    fn cut_before(&self, range: &Range<usize>, limit: usize) -> usize {
        let start = range.start;
        let limit = self.text.floor_char_boundary(limit.min(range.end));
        let first = self.text[start..].chars().next().map_or(0, char::len_utf8);
        if limit <= start + first {
            return start + first;
        }
        if let Some(white) = self.text[start..limit].rfind(char::is_whitespace) {
            return start + white;
        }
        let horizon =
            self.text.floor_char_boundary((limit + GRAPHEME_LOOKAHEAD_BYTES).min(range.end));
        self.text[start..horizon]
            .grapheme_indices(true)
            .map(|(offset, grapheme)| start + offset + grapheme.len())
            .take_while(|end| *end <= limit)
            .last()
            .unwrap_or(limit)
    }
}
