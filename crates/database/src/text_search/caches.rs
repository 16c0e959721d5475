//! The indexes of words beside the segments and heads whose texts they are of.
//!
//! A lock is held while an index is made: others who search by words in the same place wait for it
//! instead of making it again. Nothing else takes these locks, and whoever holds one hands no work
//! to other threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::analyzer::Analyzer;
use super::index::{Posting, TextIndex};
use super::language::Language;
use crate::error::Result;
use crate::head::HeadSnapshot;
use crate::segment::Segment;

/// The indexes of a segment's texts.
#[derive(Default)]
pub(crate) struct SegmentTexts {
    indexes: Mutex<BTreeMap<Language, Arc<TextIndex>>>,
    memory_bytes: AtomicU64,
}

impl SegmentTexts {
    pub(super) fn index(&self, segment: &Segment, language: Language) -> Result<Arc<TextIndex>> {
        let mut indexes = self.indexes.lock();
        if let Some(index) = indexes.get(&language) {
            return Ok(index.clone());
        }
        let analyzer = Analyzer::new(language);
        let mut index = TextIndex::default();
        for row in 0..segment.rows() {
            index.push(segment.record(row)?.text.as_deref(), &analyzer);
        }
        self.memory_bytes.fetch_add(index.memory_bytes(), Ordering::Relaxed);
        let index = Arc::new(index);
        indexes.insert(language, index.clone());
        Ok(index)
    }

    /// Makes the indexes of these languages that are not there yet.
    pub(crate) fn prepare(&self, segment: &Segment, languages: &[Language]) -> Result<()> {
        languages.iter().try_for_each(|language| self.index(segment, *language).map(drop))
    }

    /// The languages that were searched in.
    pub(crate) fn languages(&self) -> Vec<Language> {
        self.indexes.lock().keys().copied().collect()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

/// The indexes of a head's texts.
#[derive(Default)]
pub(crate) struct HeadTexts {
    indexes: Mutex<BTreeMap<Language, HeadIndex>>,
    memory_bytes: AtomicU64,
}

/// The index of the texts that searches have seen in a head. One that was replaced or deleted
/// stays, and is passed over by whoever has a snapshot without it.
#[derive(Default)]
struct HeadIndex {
    index: TextIndex,
    /// The row of the text that begins here in the log.
    rows: HashMap<u64, u32>,
    /// The slot of each row's record, and where its text begins in the log.
    origins: Vec<(u32, u64)>,
}

/// What a head has of a query's terms.
pub(super) struct HeadMatches {
    /// For each term the slots that have it, how often, and the words of their texts.
    pub(super) terms: Vec<Vec<(Posting, u32)>>,
    pub(super) texts: u64,
    pub(super) words: u64,
}

impl HeadTexts {
    /// What a snapshot of the head has of these terms.
    pub(super) fn matches(
        &self,
        head: &HeadSnapshot,
        language: Language,
        terms: &[(String, u32)],
    ) -> Result<HeadMatches> {
        let mut indexes = self.indexes.lock();
        let known = indexes.entry(language).or_default();
        let before = known.memory_bytes();
        let analyzer = Analyzer::new(language);
        let (mut texts, mut words) = (0, 0);
        for (slot, record) in head.records.iter_from(0) {
            let Some(text) = record.text else { continue };
            let row = match known.rows.get(&text.offset) {
                Some(row) => *row,
                None => {
                    let row = known.origins.len() as u32;
                    known.index.push(Some(&head.text(text)?), &analyzer);
                    known.origins.push((slot, text.offset));
                    known.rows.insert(text.offset, row);
                    row
                }
            };
            texts += 1;
            words += u64::from(known.index.length(row).unwrap_or_default());
        }
        self.memory_bytes.fetch_add(known.memory_bytes() - before, Ordering::Relaxed);
        let is_there = |slot: u32, offset: u64| {
            let text = head.records.get(slot).and_then(|record| record.text);
            text.is_some_and(|text| text.offset == offset)
        };
        let of_term = |(term, _): &(String, u32)| {
            let rows = known.index.postings(term);
            let there = rows.filter_map(|(row, count)| {
                let (slot, offset) = known.origins[row as usize];
                let length = known.index.length(row)?;
                is_there(slot, offset).then_some(((slot, count), length))
            });
            there.collect()
        };
        Ok(HeadMatches { terms: terms.iter().map(of_term).collect(), texts, words })
    }

    /// The languages that were searched in.
    pub(crate) fn languages(&self) -> Vec<Language> {
        self.indexes.lock().keys().copied().collect()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

impl HeadIndex {
    /// An estimate that never falls.
    fn memory_bytes(&self) -> u64 {
        let of_rows = self.origins.len() * (size_of::<(u32, u64)>() * 2 + 1);
        self.index.memory_bytes() + of_rows as u64
    }
}
