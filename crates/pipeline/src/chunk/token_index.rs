//! The tokens of a whole document, so that any range can be counted by binary search.

use std::ops::Range;

use rayon::prelude::*;

use super::{ChunkError, TokenOffsets};

/// Text is tokenized in pieces of about this size: tokenizers need many times their text in
/// memory, and the pieces are shared out over the cores.
const PIECE_BYTES: usize = 64 << 10;

/// Byte ranges of tokens; begins and ends both ascend.
pub(super) struct TokenIndex {
    tokens: Vec<(u32, u32)>,
}

impl TokenIndex {
    pub(super) fn build(
        text: &str,
        tokenizer: &dyn TokenOffsets,
    ) -> Result<TokenIndex, ChunkError> {
        let parts: Vec<Vec<(u32, u32)>> = pieces(text)
            .into_par_iter()
            .map(|piece| tokenizer.token_offsets(&text[piece]))
            .collect::<Result<_, _>>()
            .map_err(ChunkError::Tokenizer)?;
        let mut tokens = Vec::with_capacity(parts.iter().map(Vec::len).sum());
        let mut last = (0, 0);
        for (piece, part) in pieces(text).into_iter().zip(parts) {
            let base = piece.start as u32;
            for (start, end) in part {
                last = (last.0.max(base + start), last.1.max(base + end));
                tokens.push(last);
            }
        }
        Ok(TokenIndex { tokens })
    }

    /// How many tokens have a byte in the range.
    pub(super) fn count(&self, range: Range<usize>) -> usize {
        self.first_behind(range.end) - self.first_in(range.start).min(self.first_behind(range.end))
    }

    /// The byte at which the `count` last tokens before byte `end` begin.
    pub(super) fn start_of_last(&self, count: usize, end: usize) -> usize {
        let behind = self.first_behind(end);
        match behind.checked_sub(count) {
            Some(index) if index < behind => self.tokens[index].0 as usize,
            Some(_) => end,
            None => 0,
        }
    }

    /// The byte at which the `count` tokens from byte `start` on end; `None` if there are no more
    /// than `count`.
    pub(super) fn end_of_first(&self, count: usize, start: usize) -> Option<usize> {
        let next = self.first_in(start) + count;
        (next < self.tokens.len()).then(|| self.tokens[next - 1].1 as usize)
    }

    fn first_in(&self, byte: usize) -> usize {
        self.tokens.partition_point(|token| token.1 as usize <= byte)
    }

    fn first_behind(&self, byte: usize) -> usize {
        self.tokens.partition_point(|token| (token.0 as usize) < byte)
    }
}

/// Cuts the text behind a line, else behind a word, else anywhere between characters.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while text.len() - start > PIECE_BYTES {
        let limit = text.floor_char_boundary(start + PIECE_BYTES);
        let piece = &text[start..limit];
        let length = piece
            .rfind('\n')
            .or_else(|| piece.rfind([' ', '\t']))
            .map_or(piece.len(), |white| white + 1);
        pieces.push(start..start + length);
        start += length;
    }
    pieces.push(start..text.len());
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::tests::Words;
    use super::*;

    #[test]
    fn counting_agrees_with_the_tokenizer_across_pieces() {
        let text = "one two, three\nfour ".repeat(PIECE_BYTES / 8);
        let index = TokenIndex::build(&text, &Words).unwrap();
        let direct = Words.token_offsets(&text).unwrap();
        assert!(pieces(&text).len() > 2);
        assert_eq!(index.tokens, direct);
        assert_eq!(index.count(0..text.len()), direct.len());
        assert_eq!(index.count(1..2), 1);
        assert_eq!(index.count(3..4), 0);
        assert_eq!(index.count(0..7), 2);
        assert_eq!(index.start_of_last(2, 9), 4);
        assert_eq!(index.start_of_last(9, 9), 0);
        assert_eq!(index.start_of_last(0, 9), 9);
        assert_eq!(index.end_of_first(2, 0), Some(7));
        assert_eq!(index.end_of_first(direct.len(), 0), None);
    }

    #[test]
    fn a_word_larger_than_a_piece_is_cut_between_characters() {
        let text = "é".repeat(PIECE_BYTES);
        let pieces = pieces(&text);
        assert!(pieces.iter().all(|piece| text.is_char_boundary(piece.end)));
        assert_eq!(pieces.last().unwrap().end, text.len());
    }
}
