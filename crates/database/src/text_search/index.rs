//! An inverted index: for each term the rows that have it, and how often.

use std::collections::HashMap;

use super::analyzer::Analyzer;

/// Stands for a row without a text.
const NO_TEXT: u32 = u32::MAX;

/// The terms of some rows, which are added in order.
#[derive(Default)]
pub(super) struct TextIndex {
    terms: HashMap<Box<str>, Postings>,
    /// Words of each row.
    lengths: Vec<u32>,
    pub(super) texts: u64,
    pub(super) words: u64,
}

/// A row and how often it has a term.
pub(super) type Posting = (u32, u32);

/// All but the last posting of a term are written: the distance to the row before, then how often,
/// seven bits a byte, the low ones first, with the eighth bit on all but a number's last byte.
struct Postings {
    written: Vec<u8>,
    /// The row of the last posting that is written.
    before: u32,
    last: Posting,
}

impl TextIndex {
    /// Adds the next row.
    pub(super) fn push(&mut self, text: Option<&str>, analyzer: &Analyzer) {
        let Some(text) = text else {
            self.lengths.push(NO_TEXT);
            return;
        };
        let row = self.lengths.len() as u32;
        let mut words = 0;
        analyzer.terms(text, |_, term| {
            words += 1;
            match self.terms.get_mut(term) {
                Some(postings) => postings.add(row),
                None => {
                    let first = Postings { written: Vec::new(), before: 0, last: (row, 1) };
                    self.terms.insert(term.into(), first);
                }
            }
        });
        self.lengths.push(words);
        self.texts += 1;
        self.words += u64::from(words);
    }

    /// Words of a row; `None` where it has no text.
    pub(super) fn length(&self, row: u32) -> Option<u32> {
        self.lengths.get(row as usize).copied().filter(|length| *length != NO_TEXT)
    }

    /// The rows that have a term, in order.
    pub(super) fn postings(&self, term: &str) -> impl Iterator<Item = Posting> {
        self.terms.get(term).into_iter().flat_map(Postings::iter)
    }

    /// An estimate of the memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        let of_terms: usize = self
            .terms
            .iter()
            .map(|(term, postings)| term.len() + postings.written.capacity())
            .sum();
        let of_table = self.terms.capacity() * (size_of::<(Box<str>, Postings)>() + 1);
        (of_terms + of_table + self.lengths.capacity() * size_of::<u32>()) as u64
    }
}

impl Postings {
    fn add(&mut self, row: u32) {
        if self.last.0 == row {
            self.last.1 += 1;
            return;
        }
        put_number(&mut self.written, self.last.0 - self.before);
        put_number(&mut self.written, self.last.1);
        self.before = self.last.0;
        self.last = (row, 1);
    }

    fn iter(&self) -> impl Iterator<Item = Posting> {
        let (mut at, mut row) = (0, 0);
        let written = std::iter::from_fn(move || {
            if at == self.written.len() {
                return None;
            }
            row += take_number(&self.written, &mut at);
            Some((row, take_number(&self.written, &mut at)))
        });
        written.chain([self.last])
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &[u8], at: &mut usize) -> u32 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::language::Language;
    use super::*;

    proptest! {
        #[test]
        fn postings_come_back_as_they_were_added(
            rows in prop::collection::vec(prop::option::of(prop::collection::vec(0..4u8, 0..200)), 0..300),
        ) {
            let analyzer = Analyzer::new(Language::parse("none").unwrap());
            let mut index = TextIndex::default();
            for words in &rows {
                let text = words.as_ref().map(|words| {
                    words.iter().map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ")
                });
                index.push(text.as_deref(), &analyzer);
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

        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(any::<u32>(), 0..50)) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put_number(&mut bytes, *number));
            let mut at = 0;
            let read: Vec<u32> = numbers.iter().map(|_| take_number(&bytes, &mut at)).collect();
            prop_assert_eq!(read, numbers);
            prop_assert_eq!(at, bytes.len());
        }
    }
}
