//! The indexes of a head's words, in memory.
//!
//! A lock is held while an index is brought up to what a search sees. Nothing else takes these
//! locks, and whoever holds one hands no work to other threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::Value;

use super::builder::TextIndexBuilder;
use super::field::head_text;
use super::index::header::IndexKey;
use super::index::postings::Posting;
use crate::error::Result;
use crate::head::HeadSnapshot;
use crate::records::StoredRecord;

/// The indexes of a head's words.
#[derive(Default)]
pub(crate) struct HeadTexts {
    indexes: Mutex<HashMap<IndexKey, HeadIndex>>,
    memory_bytes: AtomicU64,
}

/// The index of what searches have seen in a head. What was replaced or deleted stays, and is
/// passed over by whoever has a snapshot without it.
struct HeadIndex {
    index: TextIndexBuilder,
    /// The row of what has this identity.
    rows: HashMap<u64, u32>,
    /// The slot of each row's record, and the identity of what has its words.
    origins: Vec<(u32, u64)>,
    /// Keeps their addresses from being given to others.
    values: Vec<Arc<Value>>,
    /// The state of the head that was looked at last.
    seen: Option<Seen>,
}

/// What was found in a state of a head.
#[derive(Clone, Copy)]
struct Seen {
    version: u64,
    texts: u64,
    words: u64,
}

/// What tells the words of a record from those of any other that this head has had: where its text
/// begins in the log, or the address of its metadata.
fn identity(record: &StoredRecord, key: &IndexKey) -> Option<u64> {
    match &key.field {
        None => record.text.map(|text| text.offset),
        Some(_) => record.metadata.as_ref().map(|value| Arc::as_ptr(value) as u64),
    }
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
        key: &IndexKey,
        terms: &[(String, u32)],
    ) -> Result<HeadMatches> {
        let mut indexes = self.indexes.lock();
        if !indexes.contains_key(key) {
            indexes.insert(key.clone(), HeadIndex::new(key));
        }
        let known = indexes.get_mut(key).expect("it was put in if it was not there");
        let before = known.memory_bytes();
        let Seen { texts, words, .. } = match known.seen {
            Some(seen) if seen.version == head.version => seen,
            _ => known.look_at(head, key)?,
        };
        self.memory_bytes.fetch_add(known.memory_bytes() - before, Ordering::Relaxed);
        let is_there = |slot: u32, origin: u64| {
            let record = head.records.get(slot);
            record.and_then(|record| identity(record, key)) == Some(origin)
        };
        let of_term = |(term, _): &(String, u32)| {
            let rows = known.index.postings(term);
            let there = rows.filter_map(|(row, count)| {
                let (slot, origin) = known.origins[row as usize];
                let length = known.index.length(row)?;
                is_there(slot, origin).then_some(((slot, count), length))
            });
            there.collect()
        };
        Ok(HeadMatches { terms: terms.iter().map(of_term).collect(), texts, words })
    }

    /// What was searched.
    pub(crate) fn keys(&self) -> Vec<IndexKey> {
        self.indexes.lock().keys().cloned().collect()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

impl HeadIndex {
    fn new(key: &IndexKey) -> Self {
        Self {
            index: TextIndexBuilder::new(key.language),
            rows: HashMap::new(),
            origins: Vec::new(),
            values: Vec::new(),
            seen: None,
        }
    }

    /// Adds what is not known yet.
    fn look_at(&mut self, head: &HeadSnapshot, key: &IndexKey) -> Result<Seen> {
        let mut seen = Seen { version: head.version, texts: 0, words: 0 };
        for (slot, record) in head.records.iter_from(0) {
            let Some(identity) = identity(record, key) else { continue };
            let row = match self.rows.get(&identity) {
                Some(row) => *row,
                None => self.add(head, key, slot, identity)?,
            };
            if let Some(length) = self.index.length(row) {
                seen.texts += 1;
                seen.words += u64::from(length);
            }
        }
        self.seen = Some(seen);
        Ok(seen)
    }

    /// Adds the words of the record in a slot; returns their row.
    fn add(
        &mut self,
        head: &HeadSnapshot,
        key: &IndexKey,
        slot: u32,
        identity: u64,
    ) -> Result<u32> {
        let record = head.records.get(slot);
        let text = record.map_or(Ok(None), |record| head_text(head, record, key))?;
        let row = self.index.rows();
        self.index.push(text.as_deref());
        self.origins.push((slot, identity));
        self.rows.insert(identity, row);
        if key.field.is_some() {
            self.values.extend(record.and_then(|record| record.metadata.clone()));
        }
        Ok(row)
    }

    /// An estimate that never falls.
    fn memory_bytes(&self) -> u64 {
        let of_rows = self.origins.len() * (size_of::<(u32, u64)>() * 2 + 1);
        self.index.memory_bytes() + of_rows as u64
    }
}
