//! BERT's WordPiece tokenization in one pass over the text.
//!
//! ASCII spaces and punctuation end words whatever stands beside them, so the text falls into runs
//! between them. A run of ASCII letters and digits is a word as it stands. Any other run goes
//! through the table of characters, which makes words that remember where each byte came from.

use tokenizers::normalizers::BertNormalizer;

use super::added_tokens::AddedTokens;
use super::ascii::{BLOCK, Block, classify_and_lower};
use super::characters::{Characters, Treatment};
use super::word::Word;
use super::word_piece::{PieceCache, WordPiece};
use super::word_table::WordKey;

/// Text is classified in stretches of about this size, which stay in a core's nearest cache.
const STRETCH: usize = 8 << 10;

/// Takes the tokens of a text, in order, with the bytes they stand for.
pub(super) trait Sink {
    fn push(&mut self, token: u32, start: usize, end: usize);

    /// Whether the rest of the text does not matter. Asked now and then.
    fn is_full(&self) -> bool;
}

/// The text holds characters whose order normalisation changes, which this pass cannot do. Some of
/// its tokens may have been pushed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reordered;

pub(super) struct Bert {
    added_tokens: AddedTokens,
    characters: Characters,
    word_piece: WordPiece,
    lowercase: bool,
    /// The tokens of ASCII punctuation.
    punctuation: [u32; 128],
}

/// Buffers that a thread keeps from text to text.
#[derive(Default)]
pub(super) struct Scratch {
    lowered: Vec<u8>,
    cache: PieceCache,
    word: Word,
}

impl Bert {
    pub(super) fn new(
        added_tokens: AddedTokens,
        normalizer: BertNormalizer,
        word_piece: WordPiece,
    ) -> Bert {
        let mut punctuation = [0; 128];
        for (byte, token) in (0..).zip(&mut punctuation) {
            *token = word_piece.token_alone(char::from(byte));
        }
        Bert {
            added_tokens,
            lowercase: normalizer.lowercase,
            characters: Characters::new(normalizer),
            word_piece,
            punctuation,
        }
    }

    /// Pushes the tokens of the text, without those that a model adds around it.
    pub(super) fn tokenize(
        &self,
        text: &str,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) -> Result<(), Reordered> {
        let Scratch { lowered, cache, word } = scratch;
        word.clear();
        let mut pass = Pass { bert: self, text, cache, word, sink, last_added: 0 };
        let mut start = 0;
        while start < text.len() && !pass.sink.is_full() {
            let end = end_of_stretch(text.as_bytes(), start);
            start = pass.stretch(start, end, lowered)?;
        }
        Ok(())
    }
}

/// One text on its way.
struct Pass<'a, S> {
    bert: &'a Bert,
    text: &'a str,
    cache: &'a mut PieceCache,
    word: &'a mut Word,
    sink: &'a mut S,
    /// Where the last added token ended: the next one may take in white space up to here.
    last_added: usize,
}

impl<S: Sink> Pass<'_, S> {
    /// Tokenizes `text[start..end]` and says how far it came: added tokens may take in white space
    /// beyond the end.
    fn stretch(
        &mut self,
        start: usize,
        end: usize,
        lowered: &mut Vec<u8>,
    ) -> Result<usize, Reordered> {
        // A space behind the end ends the last word, and every word is loaded as 16 bytes.
        let blocks = (end - start) / BLOCK + 1;
        lowered.clear();
        lowered.extend_from_slice(&self.text.as_bytes()[start..end]);
        lowered.resize(blocks * BLOCK + WordKey::LONGEST, b' ');

        // From here on places are relative to the stretch. All before `done` is tokenized; the last
        // irregular byte so far stands before `irregular_end`.
        let mut done = 0;
        let mut irregular_end = 0;
        for index in 0..blocks {
            if self.sink.is_full() {
                break;
            }
            let first = index * BLOCK;
            let classes = self.classify(&mut lowered[first..first + BLOCK]);
            let mut bounds = behind(classes.separators | classes.punctuation, done, first);
            while bounds != 0 {
                let bit = bounds.trailing_zeros();
                bounds &= bounds - 1;
                let at = first + bit as usize;
                if at > done {
                    let irregular = classes.irregular & ((1 << bit) - 1);
                    if irregular != 0 {
                        irregular_end = first + BLOCK - irregular.leading_zeros() as usize;
                    }
                    if irregular_end > done {
                        self.irregular_run(start + done, start + at)?;
                    } else {
                        self.regular_word(lowered, done, at, start);
                    }
                }
                done = at + 1;
                if classes.punctuation >> bit & 1 != 0
                    && let Some(end) = self.punctuation(lowered[at], start + at)
                {
                    done = end - start;
                    bounds = behind(bounds, done, first);
                }
            }
            if classes.irregular != 0 {
                irregular_end = first + BLOCK - classes.irregular.leading_zeros() as usize;
            }
        }
        Ok(end.max(self.last_added))
    }

    #[inline]
    fn classify(&self, block: &mut [u8]) -> Block {
        let block: &mut [u8; BLOCK] = block.try_into().expect("a whole block");
        if self.bert.lowercase {
            classify_and_lower(block)
        } else {
            let mut unchanged = *block;
            classify_and_lower(&mut unchanged)
        }
    }

    /// A word of ASCII letters and digits, from `begin` to `end` in the stretch, which holds it in
    /// lower case if that is wanted and begins at byte `base` of the text.
    #[inline]
    fn regular_word(&mut self, stretch: &[u8], begin: usize, end: usize, base: usize) {
        let length = end - begin;
        let mut key = None;
        if length <= WordKey::LONGEST {
            let bytes = stretch[begin..].first_chunk().expect("the stretch is padded");
            let word = WordKey::load(bytes, length);
            let hash = word.hash();
            if let Some(token) = self.bert.word_piece.whole(word, hash, length) {
                self.sink.push(token, base + begin, base + end);
                return;
            }
            key = Some((word, hash));
        }
        let mut from = base + begin;
        let word = &stretch[begin..end];
        for piece in self.bert.word_piece.pieces(word, length, key, self.cache) {
            let to = base + begin + piece.end as usize;
            self.sink.push(piece.token, from, to);
            from = to;
        }
    }

    /// ASCII punctuation at byte `at`. If an added token begins there, where that ends.
    #[inline]
    fn punctuation(&mut self, byte: u8, at: usize) -> Option<usize> {
        if self.bert.added_tokens.may_begin(byte)
            && let Some(found) = self.bert.added_tokens.find_at(self.text, at, self.last_added)
        {
            self.sink.push(found.token, found.start, found.end);
            self.last_added = found.end;
            return Some(found.end);
        }
        self.sink.push(self.bert.punctuation[usize::from(byte)], at, at + 1);
        None
    }

    /// The bytes from `begin` to `end` of the text, which are anything but ASCII spaces and
    /// punctuation.
    fn irregular_run(&mut self, begin: usize, end: usize) -> Result<(), Reordered> {
        let alone = |character: char| self.bert.word_piece.token_alone(character);
        for (index, character) in self.text[begin..end].char_indices() {
            let start = begin + index;
            let source = (start, start + character.len_utf8());
            match self.bert.characters.treatment(character, &alone) {
                Treatment::Several(parts) => {
                    for part in parts {
                        self.part(part, source)?;
                    }
                }
                part => self.part(part, source)?,
            }
            if self.sink.is_full() {
                break;
            }
        }
        self.end_word();
        Ok(())
    }

    #[inline]
    fn part(&mut self, part: &Treatment, source: (usize, usize)) -> Result<(), Reordered> {
        match part {
            Treatment::Letter(letter) => self.word.push(*letter, source),
            Treatment::Removed => {}
            Treatment::Separator => self.end_word(),
            Treatment::Alone(token) => {
                self.end_word();
                self.sink.push(*token, source.0, source.1);
            }
            Treatment::Several(_) | Treatment::Reordered => return Err(Reordered),
        }
        Ok(())
    }

    fn end_word(&mut self) {
        let Some((start, end)) = self.word.source() else {
            return;
        };
        let word_piece = &self.bert.word_piece;
        let (bytes, characters) = (self.word.bytes(), self.word.characters());
        let key = WordKey::of(bytes).map(|key| (key, key.hash()));
        match key.and_then(|(key, hash)| word_piece.whole(key, hash, characters)) {
            Some(token) => self.sink.push(token, start, end),
            None => {
                let mut from = 0;
                for piece in word_piece.pieces(bytes, characters, key, self.cache) {
                    let to = piece.end as usize;
                    let (start, end) = self.word.source_of(from, to);
                    self.sink.push(piece.token, start, end);
                    from = to;
                }
            }
        }
        self.word.clear();
    }
}

/// The bits of a block's mask that stand at `place` or behind it; the block begins at `first`.
#[inline]
fn behind(mask: u64, place: usize, first: usize) -> u64 {
    match place.saturating_sub(first) {
        skipped @ 0..BLOCK => mask & (u64::MAX << skipped),
        _ => 0,
    }
}

/// The end of a stretch: behind ASCII white space, where no word and no added token goes on, or
/// that of the text.
fn end_of_stretch(bytes: &[u8], start: usize) -> usize {
    let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let limit = start + STRETCH;
    if limit >= bytes.len() {
        return bytes.len();
    }
    match bytes[start..limit].iter().rposition(white) {
        Some(last) => start + last + 1,
        None => bytes[limit..].iter().position(white).map_or(bytes.len(), |at| limit + at + 1),
    }
}
