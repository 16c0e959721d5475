//! The handle to one collection.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::database::Shared;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::index_options::IndexOptions;
use crate::prepared::PreparedSearch;
use crate::record::{Batch, Document, Hit, Id, Record, ScoredId, Transaction, Written};
use crate::schema::Schema;
use crate::search::{Plan, SearchOptions};
use crate::snapshot::Snapshot;
use crate::state::{Address, State};
use crate::store::Store;
use crate::upkeep::Progress;

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

/// Where a [`Collection::scan`] goes on: in the collection as it was when the scan began.
#[derive(Clone)]
pub struct Cursor {
    scan: Arc<Scan>,
    next: Address,
}

/// A scan: the collection as it was, and its rows that match.
struct Scan {
    snapshot: Snapshot,
    /// Of each part.
    rows: Vec<RoaringBitmap>,
}

/// A part of all records.
#[derive(Clone)]
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
    /// Live records that a graph finds; the others are compared one by one.
    pub indexed_records: usize,
    /// Entries of the document registry.
    pub documents: usize,
    /// Segments, which hold what is no longer in memory.
    pub segments: usize,
    /// Bytes of all logs and segments.
    pub file_bytes: u64,
    /// Of these, bytes of live records.
    pub live_bytes: u64,
    /// Of these, bytes that a compaction would free, a share of each segment's.
    pub dead_bytes: u64,
    /// The number of the log that takes the writes.
    pub generation: u64,
    /// An estimate of the memory in use. Segments are mapped files, which the operating system
    /// keeps in memory as it sees fit, and they are not counted.
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
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub fn count(&self, filter: &Filter) -> Result<usize> {
        self.snapshot()?.count(filter)
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
            let mut known = Vec::new();
            for id in ids {
                if state.contains(id)? {
                    known.push(id.clone());
                }
            }
            deletion(state, known)
        })?;
        Ok(written.deleted)
    }

    /// Deletes the records that match and returns how many. Other writers wait meanwhile.
    ///
    /// # Errors
    /// As [`Collection::write`].
    pub fn delete_where(&self, filter: &Filter) -> Result<usize> {
        let written = self.store.write_decided(|state| {
            let scan = Scan::new(state.snapshot(), Some(filter))?;
            let ids = scan.addresses(Address::default()).map(|address| scan.snapshot.id(address));
            deletion(state, ids.filter_map(Result::transpose).collect::<Result<_>>()?)
        })?;
        Ok(written.deleted)
    }

    /// The records with these ids, in the order of the ids; `None` for one that is not there.
    ///
    /// # Errors
    /// `Corrupt` or `Io` where a record cannot be read back from disk.
    pub fn get(&self, ids: &[Id]) -> Result<Vec<Option<Record>>> {
        let (snapshot, addresses) = {
            let state = self.store.state()?;
            let addresses: Vec<Option<Address>> =
                ids.iter().map(|id| state.address(id)).collect::<Result<_>>()?;
            (state.snapshot(), addresses)
        };
        let record = |address: Option<Address>| match address {
            Some(address) => snapshot.record(address),
            None => Ok(None),
        };
        addresses.into_iter().map(record).collect()
    }

    /// Whether there is a record with this id.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub fn contains(&self, id: &Id) -> Result<bool> {
        self.store.state()?.contains(id)
    }

    /// Makes a search ready, which can then be run, once or often, on the collection as it is now.
    ///
    /// # Errors
    /// `InvalidArgument` for options that make no sense, `Corrupt` where a segment is damaged.
    pub fn prepare<'a>(&self, options: &SearchOptions<'a>) -> Result<PreparedSearch<'a>> {
        Ok(PreparedSearch::new(self.plan(self.snapshot()?, options)?, options, self.schema()))
    }

    /// The records that match a query best, best first. Records in a graph (see
    /// [`Collection::optimize`]) are searched approximately unless `options` say otherwise, all
    /// others exactly.
    ///
    /// # Errors
    /// `Dimension` and `NonFinite` for an unusable query, `InvalidArgument` for options that make
    /// no sense, `Corrupt` or `Io` where a record cannot be read back from disk.
    pub fn search(&self, query: &[f32], options: &SearchOptions<'_>) -> Result<Vec<Hit>> {
        self.prepare(options)?.search(query)
    }

    /// As [`Collection::search`] for many queries, one after the other in `queries`, without the
    /// texts: one list a query.
    ///
    /// # Errors
    /// `Dimension` where `queries` is not `count` vectors, `NonFinite` naming the first unusable
    /// query, `InvalidArgument` for options that make no sense, `Corrupt`.
    pub fn search_batch(
        &self,
        queries: &[f32],
        count: usize,
        options: &SearchOptions<'_>,
    ) -> Result<Vec<Vec<ScoredId>>> {
        self.prepare(options)?.search_batch(queries, count)
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
    /// only those that match. All pages of a scan show the collection as it was at the first one,
    /// whose filter counts for all of them.
    ///
    /// # Errors
    /// `InvalidArgument` for a limit of 0, `Corrupt` or `Io` where a text cannot be read back.
    pub fn scan(
        &self,
        after: Option<Cursor>,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Page> {
        if limit == 0 {
            return Err(Error::InvalidArgument("the limit must be at least 1".to_owned()));
        }
        let Cursor { scan, next } = match after {
            Some(cursor) => cursor,
            None => Cursor {
                scan: Arc::new(Scan::new(self.snapshot()?, filter)?),
                next: Address::default(),
            },
        };
        let mut addresses = scan.addresses(next);
        let page: Vec<Address> = addresses.by_ref().take(limit).collect();
        let next = addresses.next().map(|next| Cursor { scan: scan.clone(), next });
        drop(addresses);
        let records =
            page.into_iter().filter_map(|address| scan.snapshot.record(address).transpose());
        Ok(Page { records: records.collect::<Result<_>>()?, next })
    }

    /// Gives the space of what was deleted or replaced back. This also happens by itself; it takes
    /// as much space as the live records of a segment until that one is done. Nobody waits.
    ///
    /// # Errors
    /// `Io` where there is no space: then all is as before.
    pub fn compact(&self) -> Result<()> {
        self.compact_with(&|_, _| ControlFlow::Continue(()))
    }

    /// [`Collection::compact`], which tells `progress` how far it is, and stops when it says so.
    ///
    /// # Errors
    /// As `compact`; `Interrupted` when it was told to stop: then all is as before.
    pub fn compact_with(&self, progress: Progress<'_>) -> Result<()> {
        self.store.compact(progress)
    }

    /// Brings the collection into the form that is searched fastest: one segment, with a graph
    /// where it is large enough for one. The background comes close to that by itself. Searches
    /// and writes go on meanwhile.
    ///
    /// # Errors
    /// As [`Collection::compact`].
    pub fn optimize(&self) -> Result<()> {
        self.optimize_with(&|_, _| ControlFlow::Continue(()))
    }

    /// [`Collection::optimize`], which tells `progress` how far it is, and stops when it says so.
    ///
    /// # Errors
    /// As [`Collection::compact_with`].
    pub fn optimize_with(&self, progress: Progress<'_>) -> Result<()> {
        self.store.optimize(progress)
    }

    /// How vectors are indexed.
    pub fn index(&self) -> IndexOptions {
        self.store.index()
    }

    /// Changes how segments are indexed from now on; [`Collection::optimize`] brings older ones
    /// into line when it has something to merge.
    ///
    /// # Errors
    /// `InvalidArgument` for options out of range, `Io` where the change cannot be kept.
    pub fn set_index(&self, index: IndexOptions) -> Result<()> {
        index.validate()?;
        self.store.set_index(index)
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

    /// How to search a snapshot.
    pub(crate) fn plan(&self, snapshot: Snapshot, options: &SearchOptions<'_>) -> Result<Plan> {
        let scratches = self.store.scratches().clone();
        Plan::new(snapshot, scratches, options, &self.store.index(), self.schema())
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.store.state()?.snapshot())
    }
}

impl Scan {
    fn new(snapshot: Snapshot, filter: Option<&Filter>) -> Result<Self> {
        let rows = snapshot.select(filter)?;
        Ok(Self { snapshot, rows })
    }

    /// The addresses of the matching records, from one on.
    fn addresses(&self, first: Address) -> impl Iterator<Item = Address> {
        self.rows.iter().enumerate().skip(first.part()).flat_map(move |(part, rows)| {
            let first_row = if part == first.part() { first.row() } else { 0 };
            rows.range(first_row..).map(move |row| Address::new(part, row))
        })
    }
}

/// The transaction that deletes these records. A source that loses some of them is no longer known
/// as it was ingested, so that the next ingestion brings them back; one that loses all is forgotten.
fn deletion(state: &State, deletes: Vec<Id>) -> Result<Transaction> {
    // An id may be named twice, but its record goes once.
    let mut counted = HashSet::new();
    let mut lost: HashMap<Arc<str>, u32> = HashMap::new();
    for id in &deletes {
        if counted.insert(id)
            && let Some(source) = state.source(id)?
        {
            *lost.entry(source).or_default() += 1;
        }
    }
    let changed = |(source, lost): (Arc<str>, u32)| {
        let known = state.documents().get(&*source)?;
        let rest = Document { fingerprint: Default::default(), records: known.records };
        Some((source.to_string(), (lost < known.records).then_some(rest)))
    };
    let documents = lost.into_iter().filter_map(changed).collect();
    Ok(Transaction { deletes, documents, ..Transaction::default() })
}
