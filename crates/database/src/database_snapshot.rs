//! All collections of a database at one moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::collection::Collection;
use crate::database::DatabaseStats;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::process::Owner;
use crate::state::State;
use crate::store::Store;
use crate::view::{Access, View};
use crate::writer::LogEnd;

/// All collections of a database as they were at one moment: reading one twice gives the same, and
/// a write that is seen in one collection means that every write acknowledged before it is seen in
/// the others. Nothing can be written through it.
///
/// It costs little to take: writers wait for some reference counts to change. While it lives it
/// keeps, in memory, those records that were in no segment yet and have been replaced or deleted
/// since (the first write after it also copies the tables of ids and sources), and, on disk, the
/// segments and logs that it needs: their space comes back once it is closed or its last handle is
/// gone. It needs neither the database nor the collection any more: both may be closed or dropped.
/// Clones are cheap and are the same snapshot.
#[derive(Clone)]
pub struct DatabaseSnapshot {
    /// The database's folder.
    source: Arc<Path>,
    /// Where backups of it are written.
    disk: Disk,
    collections: Arc<BTreeMap<String, Arc<FrozenCollection>>>,
    owner: Owner,
}

/// One collection of a snapshot.
pub(crate) struct FrozenCollection {
    view: Arc<View>,
    /// Where the newest log ended.
    log_end: LogEnd,
    /// Numbers below this one were given to segments already.
    next_segment: u64,
}

impl FrozenCollection {
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub(crate) fn log_end(&self) -> LogEnd {
        self.log_end
    }

    pub(crate) fn next_segment(&self) -> u64 {
        self.next_segment
    }

    /// `state` is what the log up to its end adds up to.
    pub(crate) fn new(view: &View, state: &State, log_end: LogEnd, next_segment: u64) -> Arc<Self> {
        let schema = view.schema().clone();
        let view = Arc::new(
            View::new(view.name(), schema, view.index(), state.frozen())
                .with_code_bytes(view.code_bytes()),
        );
        Arc::new(Self { view, log_end, next_segment })
    }
}

impl DatabaseSnapshot {
    /// The stores of a database, sorted by name, now.
    pub(crate) fn of_stores(source: &Path, disk: &Disk, stores: &[Arc<Store>]) -> Result<Self> {
        // Once nobody writes to any of them, the states belong together.
        let writers = stores.iter().map(|store| store.lock_writer()).collect::<Result<Vec<_>>>()?;
        let mut collections = BTreeMap::new();
        for (store, writer) in stores.iter().zip(&writers) {
            let next_segment = store.next_segment.load(Ordering::Relaxed);
            let state = store.state()?;
            let frozen =
                FrozenCollection::new(store.view(), &state, writer.log_end(), next_segment);
            collections.insert(store.view().name().to_owned(), frozen);
        }
        Ok(Self::new(source, disk, collections))
    }

    pub(crate) fn new(
        source: &Path,
        disk: &Disk,
        collections: BTreeMap<String, Arc<FrozenCollection>>,
    ) -> Self {
        let collections = Arc::new(collections);
        Self {
            source: source.into(),
            disk: disk.clone(),
            collections,
            owner: Owner::this_process(),
        }
    }

    /// The folder of the database that it is of.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn frozen_collections(&self) -> impl Iterator<Item = &Arc<FrozenCollection>> {
        self.collections.values()
    }

    /// A collection.
    ///
    /// # Errors
    /// `NotFound` for one that was not there, `Forked`.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        self.owner.check()?;
        match self.collections.get(name) {
            Some(frozen) => Ok(Collection::frozen(frozen.clone())),
            None => Err(Error::NotFound { name: name.to_owned() }),
        }
    }

    /// The names of all collections, sorted.
    pub fn collections(&self) -> Vec<String> {
        self.collections.keys().cloned().collect()
    }

    /// What the collections took.
    ///
    /// # Errors
    /// `Closed`, `Io`.
    pub fn stats(&self) -> Result<DatabaseStats> {
        let stats = |name: &String| Ok((name.clone(), self.collection(name)?.stats()?));
        self.collections.keys().map(stats).collect::<Result<Vec<_>>>().map(DatabaseStats::of)
    }

    /// Lets go of everything: later calls on any handle to it or its collections say `Closed`.
    /// Reads that are going on come to their end first.
    pub fn close(&self) {
        if self.owner.is_this_process() {
            self.collections.values().for_each(|frozen| frozen.view.end(Access::Closed));
        }
    }
}
