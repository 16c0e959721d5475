//! The handle to one collection.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::database::Shared;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::record::{Batch, Document, Hit, Id, Record, ScoredId, Transaction, Written};
use crate::schema::Schema;
use crate::score::{Query, visible};
use crate::search::{Ranking, SearchOptions, search};
use crate::state::{Snapshot, State};
use crate::store::Store;
use crate::validate::{validate_queries, validate_query};

/// A collection of records. Clones are cheap and all speak to the same collection, from any
/// thread. A read sees the collection as it was at one moment, and neither waits for a write's
/// flush nor holds up writers.
///
/// Every method returns [`Error::Closed`] once the database is closed, and [`Error::NotFound`]
/// once the collection is dropped.
#[derive(Clone)]
pub struct Collection {
    store: Arc<Store>,
    /// Keeps the database open for as long as there is a handle.
    _database: Arc<Shared>,
}

/// Where a [`Collection::scan`] goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u32);

/// A part of all records.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// At most as many records as were asked for.
    pub records: Vec<Record>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// What a collection takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionStats {
    /// Live records.
    pub records: usize,
    /// Entries of the document registry.
    pub documents: usize,
    /// Bytes of the log.
    pub file_bytes: u64,
    /// Bytes of the log that hold live records and documents.
    pub live_bytes: u64,
    /// Bytes of the log that a compaction would free.
    pub dead_bytes: u64,
    /// How often the log was rewritten, plus one.
    pub generation: u64,
    /// An estimate of the memory in use.
    pub memory_bytes: u64,
}

impl Collection {
    pub(crate) fn new(store: Arc<Store>, database: Arc<Shared>) -> Self {
        Self { store, _database: database }
    }

    /// The name it was created with.
    pub fn name(&self) -> &str {
        self.store.name()
    }

    /// What it was created for.
    pub fn schema(&self) -> &Schema {
        self.store.schema()
    }

    /// Live records.
    pub fn len(&self) -> Result<usize> {
        Ok(self.store.state()?.len())
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// How many records match.
    pub fn count(&self, filter: &Filter) -> Result<usize> {
        let snapshot = self.snapshot()?;
        Ok(snapshot.records.par_iter().filter(|record| filter.matches(record)).count())
    }

    /// Applies a transaction, all of it or nothing. Returns when it is as durable as the database
    /// was opened for; readers may see it a moment earlier.
    ///
    /// # Errors
    /// `Dimension`, `NonFinite` and `InvalidArgument` for input that cannot be kept, `Io` where
    /// the log cannot take it: then nothing has changed. After an `Io` error of a flush, and from
    /// then on as `Poisoned`, the fate of the write shows when the database is opened again.
    pub fn write(&self, transaction: Transaction) -> Result<Written> {
        self.store.write(transaction)
    }

    /// Writes records; an id that exists has its whole record replaced.
    ///
    /// # Errors
    /// As [`Collection::write`].
    pub fn upsert(&self, batch: Batch) -> Result<Written> {
        self.write(Transaction { upserts: batch, ..Transaction::default() })
    }

    /// Deletes records and returns how many of them were there.
    ///
    /// # Errors
    /// As [`Collection::write`].
    pub fn delete(&self, ids: &[Id]) -> Result<usize> {
        let written = self.store.write_decided(|state| {
            deletion(state, ids.iter().filter(|id| state.slot(id).is_some()).cloned().collect())
        })?;
        Ok(written.deleted)
    }

    /// Deletes the records that match and returns how many. Other writers wait meanwhile.
    ///
    /// # Errors
    /// As [`Collection::write`].
    pub fn delete_where(&self, filter: &Filter) -> Result<usize> {
        let written = self.store.write_decided(|state| {
            let snapshot = state.snapshot();
            let records = snapshot.records.iter_from(0);
            let matching = records.filter(|(_, record)| filter.matches(record));
            deletion(state, matching.map(|(_, record)| record.id.clone()).collect())
        })?;
        Ok(written.deleted)
    }

    /// The records with these ids, in the order of the ids; `None` for one that is not there.
    ///
    /// # Errors
    /// `Corrupt` or `Io` where a text cannot be read back from disk.
    pub fn get(&self, ids: &[Id]) -> Result<Vec<Option<Record>>> {
        let (snapshot, slots) = {
            let state = self.store.state()?;
            let slots: Vec<Option<u32>> = ids.iter().map(|id| state.slot(id)).collect();
            (state.snapshot(), slots)
        };
        slots.into_iter().map(|slot| slot.map_or(Ok(None), |slot| snapshot.record(slot))).collect()
    }

    /// Whether there is a record with this id.
    pub fn contains(&self, id: &Id) -> Result<bool> {
        Ok(self.store.state()?.slot(id).is_some())
    }

    /// The records that match a query best, best first. Exact: every record is compared.
    ///
    /// # Errors
    /// `Dimension` and `NonFinite` for an unusable query, `InvalidArgument` for a limit of 0,
    /// `Corrupt` or `Io` where a text cannot be read back from disk.
    pub fn search(&self, query: &[f32], options: &SearchOptions<'_>) -> Result<Vec<Hit>> {
        validate_query(query, self.schema().dimension)?;
        let (snapshot, found) = self.best(query, options)?;
        let metric = self.schema().metric;
        let hits = found
            .into_iter()
            .flatten()
            .map(|(score, slot)| snapshot.hit(slot, visible(score, metric)));
        hits.filter_map(Result::transpose).collect()
    }

    /// As [`Collection::search`] for many queries, one after the other in `queries`, without the
    /// texts: one list a query.
    ///
    /// # Errors
    /// `Dimension` where `queries` is not `count` vectors, `NonFinite` naming the first unusable
    /// query, `InvalidArgument` for a limit of 0.
    pub fn search_batch(
        &self,
        queries: &[f32],
        count: usize,
        options: &SearchOptions<'_>,
    ) -> Result<Vec<Vec<ScoredId>>> {
        validate_queries(queries, count, self.schema().dimension)?;
        let (snapshot, found) = self.best(queries, options)?;
        let metric = self.schema().metric;
        let scored = |(score, slot)| {
            let record = snapshot.records.get(slot)?;
            Some(ScoredId { id: record.id.clone(), score: visible(score, metric) })
        };
        Ok(found.into_iter().map(|best| best.into_iter().filter_map(scored).collect()).collect())
    }

    /// The document registry, by source.
    pub fn documents(&self) -> Result<Vec<(String, Document)>> {
        let state = self.store.state()?;
        let entries = state.documents().iter();
        Ok(entries.map(|(source, document)| (source.clone(), document.clone())).collect())
    }

    /// The registry's entry for a source.
    pub fn document(&self, source: &str) -> Result<Option<Document>> {
        Ok(self.store.state()?.documents().get(source).cloned())
    }

    /// Up to `limit` records, from the first or from where an earlier page ended; with a filter,
    /// only those that match. Going through all pages, every record that is there from the first
    /// page to the last comes exactly once, whatever is written meanwhile.
    ///
    /// # Errors
    /// `InvalidArgument` for a limit of 0, `Corrupt` or `Io` where a text cannot be read back.
    pub fn scan(
        &self,
        after: Option<Cursor>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Page> {
        check_limit(limit)?;
        let snapshot = self.snapshot()?;
        let first = after.map_or(0, |Cursor(slot)| slot);
        let mut slots = snapshot
            .records
            .iter_from(first)
            .filter(|(_, record)| filter.is_none_or(|filter| filter.matches(record)))
            .map(|(slot, _)| slot);
        let page: Vec<u32> = slots.by_ref().take(limit).collect();
        let next = slots.next().map(Cursor);
        let records = page.into_iter().filter_map(|slot| snapshot.record(slot).transpose());
        Ok(Page { records: records.collect::<Result<_>>()?, next })
    }

    /// Rewrites the log without what was deleted or replaced. This also happens by itself; it
    /// takes as much space as the live records until it is done. Writers wait, readers do not.
    ///
    /// # Errors
    /// `Io` where there is no space: then all is as before.
    pub fn compact(&self) -> Result<()> {
        self.store.with_writer(|writer| self.store.compact(writer))
    }

    /// Returns once everything written so far is on the medium.
    ///
    /// # Errors
    /// `Io` or `Poisoned` where the operating system could not write it.
    pub fn flush(&self) -> Result<()> {
        self.store.flush()
    }

    /// What the collection takes.
    pub fn stats(&self) -> Result<CollectionStats> {
        self.store.stats()
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.store.state()?.snapshot())
    }

    fn best(
        &self,
        queries: &[f32],
        options: &SearchOptions<'_>,
    ) -> Result<(Snapshot, Vec<Ranking>)> {
        check_limit(options.limit)?;
        let Schema { dimension, metric, .. } = *self.schema();
        let queries: Vec<Query<'_>> =
            queries.chunks_exact(dimension).map(|query| Query::new(query, metric)).collect();
        let snapshot = self.snapshot()?;
        let found = search(&snapshot, &queries, *options);
        Ok((snapshot, found))
    }
}

/// The transaction that deletes these records. A source that loses some of them is no longer known
/// as it was ingested, so that the next ingestion brings them back; one that loses all is forgotten.
fn deletion(state: &State, deletes: Vec<Id>) -> Transaction {
    let snapshot = state.snapshot();
    // An id may be named twice, but its record goes once.
    let slots: HashSet<u32> = deletes.iter().filter_map(|id| state.slot(id)).collect();
    let mut lost: HashMap<&str, u32> = HashMap::new();
    for slot in slots {
        let record = snapshot.records.get(slot);
        if let Some(place) = record.and_then(|record| record.place.as_ref()) {
            *lost.entry(&place.source).or_default() += 1;
        }
    }
    let changed = |(source, lost): (&str, u32)| {
        let known = state.documents().get(source)?;
        let rest = Document { fingerprint: Default::default(), records: known.records };
        Some((source.to_owned(), (lost < known.records).then_some(rest)))
    };
    let documents = lost.into_iter().filter_map(changed).collect();
    Transaction { deletes, documents, ..Transaction::default() }
}

fn check_limit(limit: usize) -> Result<()> {
    match limit {
        0 => Err(Error::InvalidArgument("the limit must be at least 1".to_owned())),
        _ => Ok(()),
    }
}
