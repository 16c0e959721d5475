//! An inverted index in memory, which rows are added to.

use std::collections::HashMap;

use super::analyzer::{Analyzer, words};
use super::index::header::{Identity, IndexKey};
use super::index::postings::Posting;
use super::index::varint;
use super::index::write::IndexWriter;
use super::language::Language;
use crate::error::Result;
use crate::format::NO_TEXT;
use crate::index_file::write::Target;

/// What an entry of a table takes beside its bytes, about.
const ENTRY_BYTES: usize = 64;

/// The terms of some rows, which are added in order.
pub(super) struct TextIndexBuilder {
    analyzer: Analyzer,
    /// The number of the term of each word as it is spelled: most words are met many times, and
    /// finding one costs less than stemming it.
    spellings: HashMap<Box<str>, u32>,
    numbers: HashMap<Box<str>, u32>,
    postings: Vec<Postings>,
    /// Words of each row.
    lengths: Vec<u32>,
    memory_bytes: usize,
}

/// All but the last posting of a term are written: the distance to the row before, then how often.
struct Postings {
    written: Vec<u8>,
    /// The row of the last posting that is written.
    before: u32,
    last: Posting,
}

impl TextIndexBuilder {
    pub(super) fn new(language: Language) -> Self {
        Self {
            analyzer: Analyzer::new(language),
            spellings: HashMap::new(),
            numbers: HashMap::new(),
            postings: Vec::new(),
            lengths: Vec::new(),
            memory_bytes: 0,
        }
    }

    /// Adds the next row.
    pub(super) fn push(&mut self, text: Option<&str>) {
        let row = self.rows();
        let Some(text) = text else {
            self.lengths.push(NO_TEXT);
            return;
        };
        let mut length = 0u32;
        for (_, word) in words(text) {
            // One less than what stands for no text.
            length = (length + 1).min(NO_TEXT - 1);
            let number = match self.spellings.get(word) {
                Some(number) => *number,
                None => self.number_of(word),
            };
            self.memory_bytes += self.postings[number as usize].add(row);
        }
        self.lengths.push(length);
    }

    /// The number of the term of a word that was not met yet.
    fn number_of(&mut self, word: &str) -> u32 {
        let next = self.postings.len() as u32;
        let (number, term_bytes) = self.analyzer.term(word, |term| match self.numbers.get(term) {
            Some(number) => (*number, 0),
            None => {
                self.numbers.insert(term.into(), next);
                (next, term.len() + size_of::<Postings>() + ENTRY_BYTES)
            }
        });
        if number == next {
            self.postings.push(Postings { written: Vec::new(), before: 0, last: (0, 0) });
        }
        self.spellings.insert(word.into(), number);
        self.memory_bytes += term_bytes + word.len() + ENTRY_BYTES;
        number
    }

    pub(super) fn rows(&self) -> u32 {
        self.lengths.len() as u32
    }

    /// Words of a row; `None` where it has no text.
    pub(super) fn length(&self, row: u32) -> Option<u32> {
        self.lengths.get(row as usize).copied().filter(|length| *length != NO_TEXT)
    }

    /// The rows that have a term, in order.
    pub(super) fn postings(&self, term: &str) -> impl Iterator<Item = Posting> {
        let number = self.numbers.get(term).map(|number| *number as usize);
        number.into_iter().flat_map(|number| self.postings[number].iter())
    }

    /// An estimate of the memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.memory_bytes + self.lengths.capacity() * size_of::<u32>()) as u64
    }

    /// Writes the index of the rows.
    pub(super) fn write<T: Target>(
        self,
        target: T,
        identity: Identity,
        key: IndexKey,
    ) -> Result<Vec<u8>> {
        let Self { spellings, numbers, postings, lengths, .. } = self;
        drop(spellings);
        let mut terms: Vec<(Box<str>, u32)> = numbers.into_iter().collect();
        terms.sort_unstable();
        let mut writer = IndexWriter::new(target, identity, key, lengths);
        for (term, number) in terms {
            postings[number as usize].iter().try_for_each(|posting| writer.posting(posting))?;
            writer.end_term(term.as_bytes())?;
        }
        writer.finish()
    }
}

impl Postings {
    /// Returns how many bytes more it takes.
    fn add(&mut self, row: u32) -> usize {
        let (last_row, count) = self.last;
        if count == 0 {
            self.last = (row, 1);
            return 0;
        }
        if last_row == row {
            self.last.1 += 1;
            return 0;
        }
        let before = self.written.capacity();
        varint::put(&mut self.written, u64::from(last_row - self.before));
        varint::put(&mut self.written, u64::from(count));
        self.before = last_row;
        self.last = (row, 1);
        self.written.capacity() - before
    }

    fn iter(&self) -> impl Iterator<Item = Posting> {
        let (mut rest, mut row) = (&self.written[..], 0);
        let written = std::iter::from_fn(move || {
            row += varint::take(&mut rest)? as u32;
            Some((row, varint::take(&mut rest)? as u32))
        });
        written.chain([self.last])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn postings_come_back_as_they_were_added(
            rows in prop::collection::vec(prop::option::of(prop::collection::vec(0..4u8, 0..200)), 0..300),
        ) {
            let mut index = TextIndexBuilder::new(Language::parse("none").unwrap());
            for words in &rows {
                let text = words.as_ref().map(|words| {
                    words.iter().map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ")
                });
                index.push(text.as_deref());
            }
            for word in 0..5 {
                let count = |words: &Option<Vec<u8>>| {
                    words.iter().flatten().filter(|other| **other == word).count() as u32
                };
                let counts = (0..).zip(rows.iter().map(count));
                let expected: Vec<Posting> = counts.filter(|(_, count)| *count > 0).collect();
                prop_assert_eq!(index.postings(&format!("w{word}")).collect::<Vec<_>>(), expected);
            }
            for (row, words) in (0..).zip(&rows) {
                prop_assert_eq!(index.length(row), words.as_ref().map(|words| words.len() as u32));
            }
        }
    }
}
