//! The handle to a database: one directory, one writer.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use crate::collection::Collection;
use crate::containment::DamagedFile;
use crate::database_snapshot::DatabaseSnapshot;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{sync_directory, write_atomically};
use crate::flusher::Flusher;
use crate::folder::{
    check_name, collection_names, create_collection, format_file, prepare_folder, remove_folder,
    remove_leftovers, take_lock, written_version,
};
use crate::format::{
    COLLECTIONS_FOLDER, DROPPED_PREFIX, FORMAT_FILE, FORMAT_VERSION, MAX_SEGMENT_ROWS,
};
use crate::index_options::IndexOptions;
use crate::process::Owner;
use crate::reader::Reader;
use crate::salvage::salvage;
use crate::schema::Schema;
use crate::stats::CollectionStats;
use crate::store::{Store, TornTail};
use crate::upkeep::Upkeep;

/// When a write counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on the medium: survives a power failure.
    #[default]
    Sync,
    /// Once the operating system has it: survives the end of the process, by whatever cause. It
    /// reaches the medium within [`Options::flush_interval`].
    Batch,
}

/// How to open a database.
#[derive(Clone, Debug)]
pub struct Options {
    /// When a write counts as done.
    pub durability: Durability,
    /// The longest that a batch-durable write stays off the medium, the flush itself apart.
    pub flush_interval: Duration,
    /// Records that are kept in memory before they become a segment on disk, for each collection.
    pub head_records: usize,
    /// Bytes that a log may hold before its records become a segment.
    pub head_bytes: u64,
    /// Bytes of memory that each collection's heads and merges may take together; `None` for what is
    /// fastest. Mapped segments are not counted: the operating system drops their pages at need.
    pub memory_limit: Option<u64>,
    /// Rows that are merged into one segment at most, and records that one transaction may bring: at
    /// most [`MAX_SEGMENT_ROWS`](crate::format::MAX_SEGMENT_ROWS), which is the default.
    pub segment_rows: u32,
    /// A transaction with so many bytes of vectors has them written first, so that the medium takes them
    /// while the rest is encoded; one of so many bytes goes onto it while its records are made visible.
    pub large_transaction_bytes: usize,
    /// Threads that merge segments and build graphs in the background; 0 for every core.
    pub threads: usize,
    /// Where to write; tests put something between the database and its files.
    pub disk: Disk,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            flush_interval: Duration::from_millis(200),
            head_records: 8192,
            head_bytes: 32 << 20,
            memory_limit: None,
            segment_rows: MAX_SEGMENT_ROWS,
            large_transaction_bytes: 64 << 10,
            threads: 0,
            disk: Disk::default(),
        }
    }
}

/// A torn tail that was cut off: an unfinished write that nobody had been told was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The collection.
    pub collection: String,
    /// Where its log ended well.
    pub offset: u64,
    /// How many bytes behind that were cut off.
    pub bytes_cut: u64,
}

/// What a database takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseStats {
    /// Each collection, by name.
    pub collections: Vec<(String, CollectionStats)>,
    /// Bytes of all logs.
    pub file_bytes: u64,
    /// An estimate of the memory in use.
    pub memory_bytes: u64,
}

/// An open database. Clones are cheap and all speak to the same one; it closes with
/// [`Database::close`] or with the last handle to it or to one of its collections.
///
/// A collection is read into memory when it is first asked for, so a damaged one leaves the
/// others usable.
#[derive(Clone)]
pub struct Database {
    role: Role,
}

#[derive(Clone)]
enum Role {
    Writer(Arc<Shared>),
    Reader(Arc<Reader>),
}

/// What nothing can be written to.
pub(crate) const READ_ONLY_DATABASE: &str = "a database that was opened read-only";

/// What all handles share.
pub(crate) struct Shared {
    path: PathBuf,
    flusher: Arc<Flusher>,
    options: Options,
    upkeep: Arc<Upkeep>,
    /// `None` once closed. Held while a collection is read, created or dropped.
    collections: Mutex<Option<Collections>>,
    recovered: Mutex<Vec<Recovery>>,
    /// Holds the operating system's lock; `None` once closed.
    lock: Mutex<Option<File>>,
    owner: Owner,
}

/// Every collection by name, those in use with their store.
type Collections = BTreeMap<String, Option<Arc<Store>>>;

impl DatabaseStats {
    pub(crate) fn of(collections: Vec<(String, CollectionStats)>) -> Self {
        let figures = || collections.iter().map(|(_, stats)| stats);
        Self {
            file_bytes: figures().map(|stats| stats.file_bytes).sum(),
            memory_bytes: figures().map(|stats| stats.memory_bytes).sum(),
            collections,
        }
    }
}

impl Database {
    /// Opens a database, and creates it where there is nothing, or an empty folder.
    ///
    /// # Errors
    /// `NotADatabase` for a file, or a folder with something else in it, which is left alone;
    /// `Version` for one of a newer release; `Locked` while another handle or process has it
    /// open; `Io` where the operating system refuses.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = path.as_ref();
        // A later change of the working directory must not lead elsewhere.
        let path = &std::path::absolute(path).map_err(Error::io(path, "find"))?;
        let disk = &options.disk;
        prepare_folder(disk, path)?;
        let lock = take_lock(path)?;
        // A process that was killed before it flushed a folder leaves names in it that are not on
        // the medium yet. All that follows relies on them.
        match written_version(path)? {
            Some(FORMAT_VERSION) => sync_directory(disk, path)?,
            // An older release must not take the files that this one writes for its own.
            _ => write_atomically(disk, &path.join(FORMAT_FILE), &format_file())?,
        }
        let folder = path.join(COLLECTIONS_FOLDER);
        if !folder.exists() {
            disk.create_folder(&folder).map_err(Error::io(&folder, "create"))?;
            sync_directory(disk, path)?;
        }
        sync_directory(disk, &folder)?;
        remove_leftovers(disk, &folder)?;
        let names = collection_names(&folder)?;
        let flush_interval = match options.durability {
            Durability::Sync => Duration::ZERO,
            Durability::Batch => options.flush_interval,
        };
        let flusher = Flusher::start(flush_interval)
            .map_err(Error::io(path, "start the flushing thread of"))?;
        Ok(Self {
            role: Role::Writer(Arc::new(Shared {
                path: path.to_owned(),
                flusher: Arc::new(flusher),
                options: options.clone(),
                upkeep: Arc::new(
                    Upkeep::start(options.threads)
                        .map_err(Error::io(path, "start the background threads of"))?,
                ),
                collections: Mutex::new(Some(names.into_iter().map(|n| (n, None)).collect())),
                recovered: Mutex::default(),
                lock: Mutex::new(Some(lock)),
                owner: Owner::this_process(),
            })),
        })
    }

    /// Opens a database for reading, beside a process that writes, as often as wanted. Writes
    /// nothing, not even a lock, so the folder may be read-only. Each read sees every write that
    /// was acknowledged before the read began, each collection in the order of its writes and each
    /// write as a whole. On one machine only: a network file system may show the files in another
    /// order than they were written in.
    ///
    /// # Errors
    /// `NotADatabase` where there is none, `Version` for one of a newer release, `Io`.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { role: Role::Reader(Arc::new(Reader::open(path.as_ref())?)) })
    }

    fn writer(&self) -> Result<&Arc<Shared>> {
        match &self.role {
            Role::Writer(shared) => Ok(shared),
            Role::Reader(_) => Err(Error::ReadOnly { what: READ_ONLY_DATABASE }),
        }
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        match &self.role {
            Role::Writer(shared) => &shared.path,
            Role::Reader(reader) => reader.path(),
        }
    }

    /// A collection. With a schema it is created where it is missing.
    ///
    /// # Errors
    /// `NotFound` for a missing one without a schema, `SchemaMismatch` for one with another
    /// schema, `InvalidName`, `Corrupt` for one that is damaged, `Io`, `Closed`.
    pub fn collection(&self, name: &str, schema: Option<Schema>) -> Result<Collection> {
        self.collection_with_index(name, schema, None)
    }

    /// As [`Database::collection`], with a choice of how its vectors are indexed: a new collection
    /// begins with it, an existing one follows it from now on.
    ///
    /// # Errors
    /// As [`Database::collection`]; `InvalidArgument` for options out of range.
    pub fn collection_with_index(
        &self,
        name: &str,
        schema: Option<Schema>,
        index: Option<IndexOptions>,
    ) -> Result<Collection> {
        if let Some(index) = &index {
            index.validate()?;
        }
        check_name(name)?;
        let schema = schema.map(|mut schema| {
            let fields = std::mem::take(&mut schema.fields);
            schema.with_fields(fields)
        });
        if let Some(schema) = &schema {
            schema.validate()?;
            index.map_or(Ok(()), |index| index.validate_for(schema))?;
        }
        let collection = match &self.role {
            Role::Writer(shared) => {
                Collection::new(shared.store(name, schema.as_ref(), index)?, shared.clone())
            }
            Role::Reader(reader) => Collection::following(reader.follower(name)?, reader.clone()),
        };
        if let Some(requested) = schema
            && requested != *collection.schema()
        {
            return Err(Error::SchemaMismatch {
                name: name.to_owned(),
                existing: Box::new(collection.schema().clone()),
                requested: Box::new(requested),
            });
        }
        if let Some(index) = index {
            collection.set_index(index)?;
        }
        Ok(collection)
    }

    /// The names of all collections, sorted.
    pub fn collections(&self) -> Result<Vec<String>> {
        match &self.role {
            Role::Writer(shared) => Ok(shared.collections()?.keys().cloned().collect()),
            Role::Reader(reader) => reader.collections(),
        }
    }

    /// Deletes a collection and all its records. Handles to it say `NotFound` from then on.
    ///
    /// # Errors
    /// `NotFound`, `Io`, `Closed`.
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.writer()?.drop_collection(name)
    }

    /// Returns once everything written so far, to any collection, is on the medium.
    ///
    /// # Errors
    /// `Io` or `Poisoned` where the operating system could not write it, `Closed`.
    pub fn flush(&self) -> Result<()> {
        let stores: Vec<_> = self.writer()?.collections()?.values().flatten().cloned().collect();
        stores.iter().try_for_each(|store| store.flush())
    }

    /// Flushes and closes. Every later call on any handle says `Closed`; closing again does
    /// nothing, and so does closing in a child process that inherited it. Dropping the last handle
    /// closes too, but has nobody to tell of an error.
    ///
    /// # Errors
    /// `Io` or `Poisoned` where something could not be written; it is closed all the same.
    pub fn close(&self) -> Result<()> {
        match &self.role {
            Role::Writer(shared) => shared.close(),
            Role::Reader(reader) => {
                reader.close();
                Ok(())
            }
        }
    }

    /// The torn tails that were cut off, of the collections in use so far.
    pub fn recovered(&self) -> Vec<Recovery> {
        match &self.role {
            Role::Writer(shared) => shared.recovered.lock().clone(),
            // What a writer left unfinished is its own business.
            Role::Reader(_) => Vec::new(),
        }
    }

    /// Makes the logs of a collection sound that cannot be opened because of them; see [`salvage`].
    pub(crate) fn salvage(&self, name: &str, accept_loss: bool) -> Result<Vec<DamagedFile>> {
        let shared = self.writer()?;
        // Held meanwhile, so that nobody opens it.
        let collections = shared.collections()?;
        if collections.get(name).is_none_or(Option::is_some) {
            return Ok(Vec::new());
        }
        match salvage(&shared.options.disk, &shared.folder().join(name), accept_loss) {
            // Opening it says so too.
            Err(Error::Corrupt { .. }) => Ok(Vec::new()),
            salvaged => salvaged,
        }
    }

    /// What the database takes. Reads every collection into memory.
    ///
    /// # Errors
    /// `Corrupt` for a damaged collection, `Io`, `Closed`.
    pub fn stats(&self) -> Result<DatabaseStats> {
        let stats = |name: String| {
            let stats = self.collection(&name, None)?.stats()?;
            Ok((name, stats))
        };
        let collections = self.collections()?.into_iter().map(stats).collect::<Result<_>>()?;
        Ok(DatabaseStats::of(collections))
    }

    /// All collections as they are now, for reads that agree with one another whatever is written
    /// meanwhile. Reads every collection into memory. Of a database that was opened read-only each
    /// collection is at one moment, but they are looked at one after the other.
    ///
    /// # Errors
    /// `Corrupt` for a damaged collection, `Io`, `Closed`.
    pub fn snapshot(&self) -> Result<DatabaseSnapshot> {
        match &self.role {
            Role::Writer(shared) => shared.snapshot(),
            Role::Reader(reader) => reader.snapshot(),
        }
    }
}

impl Shared {
    fn folder(&self) -> PathBuf {
        self.path.join(COLLECTIONS_FOLDER)
    }

    fn collections(&self) -> Result<MappedMutexGuard<'_, Collections>> {
        self.owner.check()?;
        MutexGuard::try_map(self.collections.lock(), Option::as_mut).map_err(|_| Error::Closed)
    }

    fn store(
        &self,
        name: &str,
        schema: Option<&Schema>,
        index: Option<IndexOptions>,
    ) -> Result<Arc<Store>> {
        self.store_among(&mut *self.collections()?, name, schema, index)
    }

    fn store_among(
        &self,
        collections: &mut Collections,
        name: &str,
        schema: Option<&Schema>,
        index: Option<IndexOptions>,
    ) -> Result<Arc<Store>> {
        if let Some(Some(store)) = collections.get(name) {
            return Ok(store.clone());
        }
        if !collections.contains_key(name) {
            let schema = schema.ok_or_else(|| Error::NotFound { name: name.to_owned() })?;
            let index = index.unwrap_or_else(|| IndexOptions::of(schema));
            let folder = self.folder();
            create_collection(&self.options.disk, &folder, name, schema, index)?;
            collections.insert(name.to_owned(), None);
        }
        let (store, torn) = Store::open(
            name,
            self.folder().join(name),
            self.flusher.clone(),
            &self.options,
            self.upkeep.clone(),
        )?;
        if let Some(TornTail { offset, bytes: bytes_cut }) = torn {
            let collection = name.to_owned();
            self.recovered.lock().push(Recovery { collection, offset, bytes_cut });
        }
        collections.insert(name.to_owned(), Some(store.clone()));
        Ok(store)
    }

    fn snapshot(&self) -> Result<DatabaseSnapshot> {
        // Held until it is taken, so that no collection is dropped meanwhile.
        let mut collections = self.collections()?;
        let names: Vec<String> = collections.keys().cloned().collect();
        let store = |name: &String| self.store_among(&mut collections, name, None, None);
        let stores = names.iter().map(store).collect::<Result<Vec<_>>>()?;
        DatabaseSnapshot::of_stores(&self.path, &self.options.disk, &stores)
    }

    fn drop_collection(&self, name: &str) -> Result<()> {
        let mut collections = self.collections()?;
        let Some(store) = collections.get(name) else {
            return Err(Error::NotFound { name: name.to_owned() });
        };
        let (folder, disk) = (self.folder(), &self.options.disk);
        let (live, dropped) = (folder.join(name), folder.join(format!("{DROPPED_PREFIX}{name}")));
        if dropped.exists() {
            remove_folder(disk, &dropped)?;
        }
        disk.rename(&live, &dropped).map_err(Error::io(&live, "rename"))?;
        if let Some(store) = store {
            store.abandon();
        }
        collections.remove(name);
        // The collection is gone from here on; what an error leaves is removed at the next opening.
        sync_directory(disk, &folder)?;
        remove_folder(disk, &dropped)
    }

    fn close(&self) -> Result<()> {
        if !self.owner.is_this_process() {
            return Ok(());
        }
        let Some(collections) = self.collections.lock().take() else {
            return Ok(());
        };
        let stores: Vec<Arc<Store>> = collections.into_values().flatten().collect();
        stores.iter().for_each(|store| store.stop());
        self.upkeep.stop();
        let mut outcome = Ok(());
        for store in stores {
            outcome = outcome.and(store.close());
        }
        self.flusher.stop();
        // A forked child that inherited the file would go on holding the lock after we dropped it.
        if let Some(lock) = self.lock.lock().take() {
            let unlocked = lock.unlock().map_err(Error::io(&self.path, "unlock"));
            outcome = outcome.and(unlocked);
        }
        outcome
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        match self.owner.is_this_process() {
            true => drop(self.close()),
            // Ending threads that are not here would wait for ever.
            false => {
                std::mem::forget(self.upkeep.clone());
                std::mem::forget(self.flusher.clone());
            }
        }
    }
}
