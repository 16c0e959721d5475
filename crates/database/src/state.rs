//! A collection in memory: what the log adds up to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::error::Result;
use crate::filter::Filter;
use crate::log::LogFile;
use crate::record::{Document, Hit, Id, Record, Written};
use crate::records::{Records, StoredRecord};
use crate::schema::Schema;
use crate::transaction::Changes;
use crate::vectors::Vectors;

/// A collection at one moment. Costs three reference counts to take and is never changed
/// afterwards: later writes copy what a snapshot still holds.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) vectors: Vectors,
    pub(crate) records: Records,
    /// Where the texts stand; stays readable after a compaction has deleted the file.
    log: Arc<LogFile>,
}

/// A collection now.
pub(crate) struct State {
    snapshot: Snapshot,
    /// A record keeps its slot for as long as its id lives.
    slots: HashMap<Id, u32>,
    /// Slots to use again, smallest first, so that the last slabs run empty and are given back.
    free: BinaryHeap<Reverse<u32>>,
    /// Slots ever used: the next one when none is free.
    next_slot: u32,
    documents: BTreeMap<String, Document>,
    /// One copy of each source name, however many records come from it.
    sources: HashSet<Arc<str>>,
    live_bytes: u64,
    record_heap_bytes: u64,
}

impl State {
    pub(crate) fn new(schema: &Schema, log: Arc<LogFile>) -> Self {
        Self {
            snapshot: Snapshot {
                vectors: Vectors::new(schema.dimension, schema.metric),
                records: Records::default(),
                log,
            },
            slots: HashMap::new(),
            free: BinaryHeap::new(),
            next_slot: 0,
            documents: BTreeMap::new(),
            sources: HashSet::new(),
            live_bytes: 0,
            record_heap_bytes: 0,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot(&self, id: &Id) -> Option<u32> {
        self.slots.get(id).copied()
    }

    pub(crate) fn documents(&self) -> &BTreeMap<String, Document> {
        &self.documents
    }

    /// What the live records and documents take in the log, frame headers apart.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Whether so many new records would find a slot.
    pub(crate) fn has_room_for(&self, records: usize) -> bool {
        records <= self.free.len() + (u32::MAX - self.next_slot) as usize
    }

    /// An estimate of the memory in use: exact for vectors, near for the rest.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let snapshot = &self.snapshot;
        let documents: usize = self
            .documents
            .keys()
            .map(|source| source.len() + size_of::<(String, Document)>())
            .sum();
        let sources: usize = self.sources.iter().map(|source| source.len() + 32).sum();
        snapshot.vectors.memory_bytes()
            + (snapshot.records.slots() * size_of::<Option<StoredRecord>>()) as u64
            + (self.slots.capacity() * (size_of::<(Id, u32)>() + 1)) as u64
            + self.record_heap_bytes
            + (documents + sources) as u64
    }

    /// Applies a transaction that is in the log, its payload at `payload_offset`.
    pub(crate) fn apply(&mut self, changes: Changes, payload_offset: u64) -> Written {
        let deleted = changes.deletes.iter().filter(|id| self.delete(id)).count();
        let upserted = changes.records.len();
        let dimension = changes.vectors.len() / upserted.max(1);
        for (row, record) in changes.records.into_iter().enumerate() {
            self.upsert(
                record.in_payload_at(payload_offset),
                &changes.vectors[row * dimension..][..dimension],
            );
        }
        for (source, document) in changes.documents {
            self.set_document(source, document);
        }
        Written { upserted, deleted }
    }

    /// Continues with a compacted log. The caller has kept writers out since it read `records`.
    pub(crate) fn replace_log(&mut self, log: Arc<LogFile>, records: Records) {
        self.snapshot.log = log;
        self.snapshot.records = records;
        self.sources.retain(|source| Arc::strong_count(source) > 1);
    }

    fn upsert(&mut self, mut record: StoredRecord, vector: &[f32]) {
        if let Some(place) = &mut record.place {
            match self.sources.get(&place.source) {
                Some(source) => place.source = source.clone(),
                None => {
                    self.sources.insert(place.source.clone());
                }
            }
        }
        let slot = match self.slots.get(&record.id) {
            Some(slot) => *slot,
            None => {
                let slot = self.free.pop().map_or(self.next_slot, |Reverse(slot)| slot);
                self.next_slot = self.next_slot.max(slot + 1);
                self.slots.insert(record.id.clone(), slot);
                slot
            }
        };
        self.live_bytes += u64::from(record.logged_bytes);
        self.record_heap_bytes += heap_bytes(&record);
        self.snapshot.vectors.set(slot, vector);
        let old = self.snapshot.records.replace(slot, Some(record));
        self.forget(old);
    }

    fn delete(&mut self, id: &Id) -> bool {
        let Some(slot) = self.slots.remove(id) else {
            return false;
        };
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

    fn set_document(&mut self, source: String, document: Option<Document>) {
        let bytes = document_bytes(&source);
        let old = match document {
            Some(document) => {
                self.live_bytes += bytes;
                self.documents.insert(source, document)
            }
            None => self.documents.remove(&source),
        };
        if old.is_some() {
            self.live_bytes -= bytes;
        }
    }
}

impl Snapshot {
    /// The live record in a slot, with its text.
    ///
    /// # Errors
    /// `Corrupt` where the text on disk is no longer what was written, `Io` where it cannot be
    /// read.
    pub(crate) fn record(&self, slot: u32) -> Result<Option<Record>> {
        let Some(record) = self.records.get(slot) else {
            return Ok(None);
        };
        Ok(Some(Record {
            id: record.id.clone(),
            vector: self.vectors.row(slot).to_vec(),
            text: self.text(record)?,
            metadata: record.metadata.clone(),
            place: record.place.clone(),
        }))
    }

    /// As [`Snapshot::record`], without the vector.
    pub(crate) fn hit(&self, slot: u32, score: f32) -> Result<Option<Hit>> {
        let Some(record) = self.records.get(slot) else {
            return Ok(None);
        };
        Ok(Some(Hit {
            id: record.id.clone(),
            score,
            text: self.text(record)?,
            metadata: record.metadata.clone(),
            place: record.place.clone(),
        }))
    }

    /// Whether the slot holds a record that matches.
    pub(crate) fn matches(&self, slot: u32, filter: &Filter) -> bool {
        self.records.get(slot).is_some_and(|record| filter.matches(record))
    }

    /// The text of a record of this snapshot.
    pub(crate) fn text(&self, record: &StoredRecord) -> Result<Option<String>> {
        record.text.map(|location| self.log.read_text(location)).transpose()
    }
}

/// What a document entry takes in a payload.
fn document_bytes(source: &str) -> u64 {
    (4 + source.len() + 1 + size_of::<Document>()) as u64
}

/// Bytes on the heap that this record alone holds.
fn heap_bytes(record: &StoredRecord) -> u64 {
    let id = match &record.id {
        Id::Int(_) => 0,
        Id::Str(text) => text.len() + 16,
    };
    id as u64 + record.metadata.as_deref().map_or(0, |value| 16 + value_bytes(value))
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
