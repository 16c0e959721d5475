//! The handle to one collection.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::MappedRwLockReadGuard;
use roaring::RoaringBitmap;

use crate::containment::contain;
use crate::database::{READ_ONLY_DATABASE, Shared};
use crate::database_snapshot::FrozenCollection;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::follower::Follower;
use crate::index_options::IndexOptions;
use crate::prepared::PreparedSearch;
use crate::reader::Reader;
use crate::record::{Batch, Document, Hit, Id, Record, ScoredId, Transaction, Written};
use crate::schema::Schema;
use crate::search::{Plan, SearchOptions};
use crate::snapshot::Snapshot;
use crate::state::{Address, State};
use crate::stats::CollectionStats;
use crate::store::Store;
use crate::upkeep::Progress;
use crate::view::View;

/// A collection of records. Clones are cheap and all speak to the same collection, from any
/// thread. A read sees the collection as it was at one moment, and neither waits for a write's
/// flush nor holds up writers.
///
/// Every method returns [`Error::Closed`] once the database (or the snapshot that it is of) is
/// closed, [`Error::NotFound`] once the collection is dropped, and [`Error::Forked`] in a child
/// process that inherited it. Where it can only be read, what writes returns [`Error::ReadOnly`].
#[derive(Clone)]
pub struct Collection {
    view: Arc<View>,
    role: Role,
}

/// Where a collection's view comes from.
#[derive(Clone)]
enum Role {
    /// A database that writes, which a handle keeps open.
    Writer { store: Arc<Store>, _database: Arc<Shared> },
    /// A database that is only read, which a handle keeps open.
    Reader { follower: Arc<Follower>, _database: Arc<Reader> },
    /// A snapshot.
    Frozen(Arc<FrozenCollection>),
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

impl Collection {
    pub(crate) fn new(store: Arc<Store>, database: Arc<Shared>) -> Self {
        Self { view: store.view().clone(), role: Role::Writer { store, _database: database } }
    }

    pub(crate) fn frozen(frozen: Arc<FrozenCollection>) -> Self {
        Self { view: frozen.view().clone(), role: Role::Frozen(frozen) }
    }

    pub(crate) fn following(follower: Arc<Follower>, database: Arc<Reader>) -> Self {
        let view = follower.view().clone();
        Self { view, role: Role::Reader { follower, _database: database } }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Has the background do what there is to do about damage that came to light.
    pub(crate) fn look_after_damage(&self) -> Result<()> {
        match &self.role {
            Role::Writer { store, .. } => store.look_after(),
            Role::Reader { .. } | Role::Frozen(_) => Ok(()),
        }
    }

    pub(crate) fn state(&self) -> Result<MappedRwLockReadGuard<'_, State>> {
        if let Role::Reader { follower, .. } = &self.role {
            follower.refresh()?;
        }
        self.view.state()
    }

    pub(crate) fn writer(&self) -> Result<&Arc<Store>> {
        match &self.role {
            Role::Writer { store, .. } => Ok(store),
            Role::Reader { .. } => Err(Error::ReadOnly { what: READ_ONLY_DATABASE }),
            Role::Frozen(_) => Err(Error::ReadOnly { what: "a snapshot" }),
        }
    }

    /// The name it was created with.
    pub fn name(&self) -> &str {
        self.view.name()
    }

    /// What it was created for.
    pub fn schema(&self) -> &Schema {
        self.view.schema()
    }

    /// Fails where a write would: for work that is done before the first one.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`, `NotFound`, `Forked`.
    pub fn check_writable(&self) -> Result<()> {
        self.writer()?;
        self.state().map(drop)
    }

    /// Live records.
    pub fn len(&self) -> Result<usize> {
        Ok(self.state()?.len())
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
        self.contain(|| self.snapshot()?.count(filter))
    }

    /// Applies a transaction, all of it or nothing. Returns when it is as durable as the database
    /// was opened for; readers may see it a moment earlier.
    ///
    /// # Errors
    /// `Dimension`, `NonFinite` and `InvalidArgument` for input that cannot be kept, `Io` where
    /// the log cannot take it: then nothing has changed. After an `Io` error of a flush, and from
    /// then on as `Poisoned`, the fate of the write shows when the database is opened again.
    pub fn write(&self, transaction: Transaction) -> Result<Written> {
        self.writer()?.write(transaction)
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
        let written = self.writer()?.write_decided(|state| {
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
        let written = self.writer()?.write_decided(|state| {
            let ids = contain(state.segments(), || {
                let scan = Scan::new(state.snapshot(), Some(filter))?;
                let ids = scan.addresses(Address::default());
                ids.filter_map(|address| scan.snapshot.id(address).transpose()).collect()
            })?;
            deletion(state, ids)
        })?;
        Ok(written.deleted)
    }

    /// The records with these ids, in the order of the ids; `None` for one that is not there.
    ///
    /// # Errors
    /// `Corrupt` or `Io` where a record cannot be read back from disk.
    pub fn get(&self, ids: &[Id]) -> Result<Vec<Option<Record>>> {
        self.contain(|| {
            let (snapshot, addresses) = {
                let state = self.state()?;
                let addresses: Vec<Option<Address>> =
                    ids.iter().map(|id| state.address(id)).collect::<Result<_>>()?;
                (state.snapshot(), addresses)
            };
            let record = |address: Option<Address>| match address {
                Some(address) => snapshot.record(address),
                None => Ok(None),
            };
            addresses.into_iter().map(record).collect()
        })
    }

    /// Whether there is a record with this id.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub fn contains(&self, id: &Id) -> Result<bool> {
        self.state()?.contains(id)
    }

    /// Makes a search ready, which can then be run, once or often, on the collection as it is now.
    ///
    /// # Errors
    /// `InvalidArgument` for options that make no sense, `Corrupt` where a segment is damaged.
    pub fn prepare<'a>(&'a self, options: &SearchOptions<'a>) -> Result<PreparedSearch<'a>> {
        self.contain(|| PreparedSearch::new(self, self.snapshot()?, options))
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
        let state = self.state()?;
        let entries = state.documents().iter();
        Ok(entries.map(|(source, document)| (source.clone(), document.clone())).collect())
    }

    /// The registry's entry for a source.
    pub fn document(&self, source: &str) -> Result<Option<Document>> {
        Ok(self.state()?.documents().get(source).cloned())
    }

    /// Where a scan begins of the records that match, as they are now.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub fn cursor(&self, filter: Option<&Filter>) -> Result<Cursor> {
        let scan = self.contain(|| Scan::new(self.snapshot()?, filter)).map(Arc::new)?;
        Ok(Cursor { scan, next: Address::default() })
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
            None => self.cursor(filter)?,
        };
        contain(&scan.snapshot.segments, || {
            let mut addresses = scan.addresses(next);
            let page: Vec<Address> = addresses.by_ref().take(limit).collect();
            let next = addresses.next().map(|next| Cursor { scan: scan.clone(), next });
            drop(addresses);
            let records =
                page.into_iter().filter_map(|address| scan.snapshot.record(address).transpose());
            Ok(Page { records: records.collect::<Result<_>>()?, next })
        })
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
        self.writer()?.compact(progress)
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
        self.writer()?.optimize(progress)
    }

    /// How vectors are indexed.
    pub fn index(&self) -> IndexOptions {
        self.view.index()
    }

    /// Changes how segments are indexed from now on; [`Collection::optimize`] brings older ones
    /// into line when it has something to merge.
    ///
    /// # Errors
    /// `InvalidArgument` for options out of range or a graph of packed bits, `Io` where the change
    /// cannot be kept.
    pub fn set_index(&self, index: IndexOptions) -> Result<()> {
        index.validate_for(self.schema())?;
        self.writer()?.set_index(index)
    }

    /// Returns once everything written so far is on the medium.
    ///
    /// # Errors
    /// `Io` or `Poisoned` where the operating system could not write it.
    pub fn flush(&self) -> Result<()> {
        self.writer()?.flush()
    }

    /// What the collection takes.
    pub fn stats(&self) -> Result<CollectionStats> {
        match &self.role {
            Role::Writer { store, .. } => store.stats(),
            Role::Reader { follower, .. } => follower.stats(),
            Role::Frozen(frozen) => {
                CollectionStats::of(self.view(), &*self.state()?, frozen.log_end().offset)
            }
        }
    }

    /// How to search a snapshot.
    pub(crate) fn plan(&self, snapshot: Snapshot, options: &SearchOptions<'_>) -> Result<Plan> {
        self.view.note_search();
        if let Role::Writer { store, .. } = &self.role {
            store.prepare_for_searches(&snapshot);
        }
        self.view.code_graphs(&snapshot);
        let scratches = self.view.scratches().clone();
        Plan::new(snapshot, scratches, options, &self.view.index(), self.schema())
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.state()?.snapshot())
    }
}

/// The kinds of id that records have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdKinds {
    /// Some are numbers.
    pub int: bool,
    /// Some are texts.
    pub str: bool,
}

impl Cursor {
    /// How many records the whole scan has.
    pub fn len(&self) -> u64 {
        self.scan.rows.iter().map(RoaringBitmap::len).sum()
    }

    /// Whether the whole scan has no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which kinds of id the records of the whole scan have. Reads ids until it has met both kinds.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub fn id_kinds(&self) -> Result<IdKinds> {
        let mut kinds = IdKinds::default();
        for address in self.scan.addresses(Address::default()) {
            let id = contain(&self.scan.snapshot.segments, || match self.scan.is_lost(address) {
                true => Ok(None),
                false => self.scan.snapshot.id(address),
            })?;
            match id {
                Some(Id::Int(_)) => kinds.int = true,
                Some(Id::Str(_)) => kinds.str = true,
                None => {}
            }
            if kinds.int && kinds.str {
                break;
            }
        }
        Ok(kinds)
    }
}

impl Scan {
    fn new(snapshot: Snapshot, filter: Option<&Filter>) -> Result<Self> {
        let rows = snapshot.select(filter)?;
        Ok(Self { snapshot, rows })
    }

    fn is_lost(&self, address: Address) -> bool {
        let live = self.snapshot.segments.get(address.part());
        live.is_some_and(|live| live.segment.is_lost(address.row()))
    }

    /// The addresses of the matching records, from one on, without those that have become unreadable.
    fn addresses(&self, first: Address) -> impl Iterator<Item = Address> {
        self.rows.iter().enumerate().skip(first.part()).flat_map(move |(part, rows)| {
            let first_row = if part == first.part() { first.row() } else { 0 };
            let addresses = rows.range(first_row..).map(move |row| Address::new(part, row));
            addresses.filter(|address| !self.is_lost(*address))
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
