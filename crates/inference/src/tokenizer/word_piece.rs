//! WordPiece: a word is its longest entry, then the longest continuation, and so on.

use super::trie::Trie;
use super::word_table::{WordKey, WordTable};

/// Words that a cache remembers at a time; with [`CachedWord`] a quarter of a megabyte.
const CACHED_WORDS: usize = 4096;

/// Most pieces of a word that a cache remembers.
const CACHED_PIECES: usize = 5;

/// A token and the byte of the word behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) token: u32,
    pub(super) end: u32,
}

pub(super) struct WordPiece {
    whole: WordTable,
    beginnings: Trie,
    continuations: Trie,
    unknown: u32,
    longest_word: usize,
}

/// The settings of a WordPiece model beside its vocabulary.
pub(super) struct WordPieceSettings<'a> {
    pub(super) continuation_prefix: &'a str,
    pub(super) unknown: u32,
    /// Words of more characters are unknown.
    pub(super) longest_word: usize,
}

impl WordPiece {
    pub(super) fn new(vocabulary: &[(&str, u32)], settings: &WordPieceSettings<'_>) -> WordPiece {
        let prefix = settings.continuation_prefix;
        let entries = vocabulary.iter().filter(|(entry, _)| may_begin_a_word(entry));
        let beginnings: Vec<_> = entries.map(|&(entry, id)| (entry.as_bytes(), id)).collect();
        let keyed = |&(entry, id): &(&[u8], u32)| Some((WordKey::of(entry)?, id));
        let whole: Vec<_> = beginnings.iter().filter_map(keyed).collect();
        let continuations = vocabulary
            .iter()
            .filter_map(|&(entry, id)| Some((entry.strip_prefix(prefix)?.as_bytes(), id)))
            .filter(|(rest, _)| !rest.is_empty())
            .collect();
        WordPiece {
            whole: WordTable::build(&whole),
            beginnings: Trie::build(beginnings),
            continuations: Trie::build(continuations),
            unknown: settings.unknown,
            longest_word: settings.longest_word,
        }
    }

    /// The token of a word that is in the vocabulary as a whole. `characters` is its length.
    #[inline]
    pub(super) fn whole(&self, key: WordKey, hash: u64, characters: usize) -> Option<u32> {
        if characters > self.longest_word { None } else { self.whole.get(key, hash) }
    }

    /// The pieces of a word; `key` is the word's, if it has one.
    #[inline]
    pub(super) fn pieces<'a>(
        &self,
        word: &[u8],
        characters: usize,
        key: Option<(WordKey, u64)>,
        cache: &'a mut PieceCache,
    ) -> &'a [Piece] {
        if let Some((key, hash)) = key {
            let slot = hash as usize % CACHED_WORDS;
            if cache.words[slot].key != key {
                self.split(word, characters, &mut cache.pieces);
                if cache.pieces.len() > CACHED_PIECES {
                    return &cache.pieces;
                }
                cache.words[slot].remember(key, &cache.pieces);
            }
            return cache.words[slot].pieces();
        }
        self.split(word, characters, &mut cache.pieces);
        &cache.pieces
    }

    /// The token of a word of one character.
    pub(super) fn token_alone(&self, character: char) -> u32 {
        let mut buffer = [0; 4];
        let word = character.encode_utf8(&mut buffer).as_bytes();
        match self.beginnings.longest_prefix(word) {
            Some((_, token)) if self.longest_word > 0 => token,
            _ => self.unknown,
        }
    }

    fn split(&self, word: &[u8], characters: usize, pieces: &mut Vec<Piece>) {
        pieces.clear();
        let mut end = 0;
        let mut trie = &self.beginnings;
        while end < word.len() {
            let longest = if characters > self.longest_word {
                None
            } else {
                trie.longest_prefix(&word[end..])
            };
            let Some((length, token)) = longest else {
                pieces.clear();
                pieces.push(Piece { token: self.unknown, end: word.len() as u32 });
                return;
            };
            end += length;
            pieces.push(Piece { token, end: end as u32 });
            trie = &self.continuations;
        }
    }
}

/// Punctuation is a word of one character, so no longer word begins with it. This keeps the
/// continuations, written with "##", out of the tables of beginnings.
fn may_begin_a_word(entry: &str) -> bool {
    !entry.is_empty()
        && (entry.len() == 1 || !entry.starts_with(|c: char| c.is_ascii_punctuation()))
}

/// The pieces of words that were met before, kept from text to text by the thread that tokenizes.
/// A slot holds the last word that belongs there.
pub(super) struct PieceCache {
    words: Box<[CachedWord]>,
    /// Of the word that was just split.
    pieces: Vec<Piece>,
}

impl Default for PieceCache {
    fn default() -> PieceCache {
        PieceCache { words: vec![CachedWord::default(); CACHED_WORDS].into(), pieces: Vec::new() }
    }
}

/// One line of a processor's cache.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct CachedWord {
    key: WordKey,
    pieces: [Piece; CACHED_PIECES],
    count: u8,
}

impl CachedWord {
    fn remember(&mut self, key: WordKey, pieces: &[Piece]) {
        self.key = key;
        self.count = pieces.len() as u8;
        self.pieces[..pieces.len()].copy_from_slice(pieces);
    }

    #[inline]
    fn pieces(&self) -> &[Piece] {
        &self.pieces[..usize::from(self.count)]
    }
}
