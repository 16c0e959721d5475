//! A head: the records of one log that are in no segment yet, in memory and searched exactly.
//!
//! The last head of a collection takes the writes. Once it is large enough it is frozen: from then
//! on records only leave it, and a segment is written from it in the background.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::error::Result;
use crate::filter::Filter;
use crate::log::LogFile;
use crate::record::Id;
use crate::records::TextLocation;
use crate::records::{Records, StoredRecord};
use crate::schema::Schema;
use crate::segment::SegmentRecord;
use crate::text_search::HeadTexts;
use crate::vectors::Vectors;

/// A head at one moment. Costs three reference counts to take and is never changed afterwards:
/// later writes copy what a snapshot still holds.
#[derive(Clone)]
pub(crate) struct HeadSnapshot {
    pub(crate) vectors: Vectors,
    pub(crate) records: Records,
    /// Where the texts stand; stays readable after the file was deleted.
    log: Arc<LogFile>,
    texts: Arc<HeadTexts>,
    /// Another one for each state of the head.
    pub(crate) version: u64,
}

/// A head now.
pub(crate) struct Head {
    snapshot: HeadSnapshot,
    /// A record keeps its slot for as long as its id lives here. Copied by the next write once a
    /// frozen copy of the head shares it.
    slots: Arc<HashMap<Id, u32>>,
    /// Slots to use again, smallest first, so that the last slabs run empty and are given back.
    free: BinaryHeap<Reverse<u32>>,
    /// Slots ever used: the next one when none is free.
    next_slot: u32,
    live_bytes: u64,
    record_heap_bytes: u64,
}

impl Head {
    pub(crate) fn new(schema: &Schema, log: Arc<LogFile>) -> Self {
        Self {
            snapshot: HeadSnapshot {
                vectors: Vectors::new(schema.dimension, schema.metric),
                records: Records::default(),
                log,
                texts: Arc::default(),
                version: 0,
            },
            slots: Arc::default(),
            free: BinaryHeap::new(),
            next_slot: 0,
            live_bytes: 0,
            record_heap_bytes: 0,
        }
    }

    pub(crate) fn snapshot(&self) -> HeadSnapshot {
        self.snapshot.clone()
    }

    /// A copy that is only read: with the table of ids, and without what writing needs.
    pub(crate) fn frozen(&self) -> Self {
        Self {
            snapshot: self.snapshot.clone(),
            slots: self.slots.clone(),
            free: BinaryHeap::new(),
            ..*self
        }
    }

    pub(crate) fn log(&self) -> &Arc<LogFile> {
        &self.snapshot.log
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot(&self, id: &Id) -> Option<u32> {
        self.slots.get(id).copied()
    }

    pub(crate) fn record(&self, slot: u32) -> Option<&StoredRecord> {
        self.snapshot.records.get(slot)
    }

    /// What the live records take in the log, frame headers apart.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Whether so many new records would find a slot.
    pub(crate) fn has_room_for(&self, records: usize) -> bool {
        records <= self.free.len() + (u32::MAX - self.next_slot) as usize
    }

    /// An estimate of the memory in use: exact for vectors, near for the rest.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.snapshot.vectors.memory_bytes()
            + (self.snapshot.records.slots() * size_of::<Option<StoredRecord>>()) as u64
            + (self.slots.capacity() * (size_of::<(Id, u32)>() + 1)) as u64
            + self.record_heap_bytes
            + self.snapshot.texts.memory_bytes()
    }

    /// Adds or replaces a record; returns whether it is new here.
    pub(crate) fn upsert(&mut self, record: StoredRecord, vector: &[f32]) -> bool {
        let known = self.slots.get(&record.id).copied();
        let slot = known.unwrap_or_else(|| {
            let slot = self.free.pop().map_or(self.next_slot, |Reverse(slot)| slot);
            self.next_slot = self.next_slot.max(slot + 1);
            Arc::make_mut(&mut self.slots).insert(record.id.clone(), slot);
            slot
        });
        self.live_bytes += u64::from(record.logged_bytes);
        self.record_heap_bytes += heap_bytes(&record);
        self.snapshot.version += 1;
        self.snapshot.vectors.set(slot, vector);
        let old = self.snapshot.records.replace(slot, Some(record));
        self.forget(old);
        known.is_none()
    }

    /// Takes a record out; returns whether it was there.
    pub(crate) fn delete(&mut self, id: &Id) -> bool {
        // Most ids that are deleted live elsewhere: do not copy a shared table for those.
        if !self.slots.contains_key(id) {
            return false;
        }
        let Some(slot) = Arc::make_mut(&mut self.slots).remove(id) else {
            return false;
        };
        self.snapshot.version += 1;
        self.snapshot.vectors.remove(slot);
        let old = self.snapshot.records.replace(slot, None);
        self.forget(old);
        self.free.push(Reverse(slot));
        true
    }

    fn forget(&mut self, record: Option<StoredRecord>) {
        if let Some(record) = record {
            self.live_bytes -= u64::from(record.logged_bytes);
            self.record_heap_bytes -= heap_bytes(&record);
        }
    }
}

impl HeadSnapshot {
    /// The live record in a slot, with its text and without its vector.
    ///
    /// # Errors
    /// `Corrupt` where the text on disk is no longer what was written, `Io` where it cannot be
    /// read.
    pub(crate) fn record(&self, slot: u32) -> Result<Option<SegmentRecord>> {
        let Some(record) = self.records.get(slot) else {
            return Ok(None);
        };
        Ok(Some(SegmentRecord {
            id: record.id.clone(),
            text: record.text.map(|location| self.log.read_text(location)).transpose()?,
            metadata: record.metadata.clone(),
            place: record.place.clone(),
            vectors: record.vectors.clone(),
        }))
    }

    /// A text of the head's log.
    ///
    /// # Errors
    /// As [`HeadSnapshot::record`].
    pub(crate) fn text(&self, location: TextLocation) -> Result<String> {
        self.log.read_text(location)
    }

    /// The indexes of the words of the texts.
    pub(crate) fn texts(&self) -> &HeadTexts {
        &self.texts
    }

    /// Whether the slot holds a record that matches.
    pub(crate) fn matches(&self, slot: u32, filter: &Filter) -> bool {
        self.records.get(slot).is_some_and(|record| filter.matches(record))
    }
}

/// Bytes on the heap that this record alone holds.
fn heap_bytes(record: &StoredRecord) -> u64 {
    let id = match &record.id {
        Id::Int(_) => 0,
        Id::Str(text) => text.len() + 16,
    };
    id as u64
        + record.vectors.memory_bytes()
        + record.metadata.as_deref().map_or(0, |value| 16 + value_bytes(value))
}

fn value_bytes(value: &Value) -> u64 {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(value_bytes).sum(),
        // Each entry also has a hash and an index into the table.
        Value::Object(map) => {
            map.iter().map(|(key, value)| 48 + key.len() as u64 + value_bytes(value)).sum()
        }
    };
    size_of::<Value>() as u64 + inner
}
