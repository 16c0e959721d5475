//! All collections of a database at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collection::Collection;
use crate::database::DatabaseStats;
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
    collections: Arc<BTreeMap<String, Arc<FrozenCollection>>>,
    owner: Owner,
}

/// One collection of a snapshot.
pub(crate) struct FrozenCollection {
    view: Arc<View>,
    /// Where the newest log ended.
    log_end: LogEnd,
}

impl FrozenCollection {
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub(crate) fn log_end(&self) -> LogEnd {
        self.log_end
    }

    /// `state` is what the log up to its end adds up to.
    fn new(view: &View, state: &State, log_end: LogEnd) -> Arc<Self> {
        let schema = view.schema().clone();
        let view = Arc::new(View::new(view.name(), schema, view.index(), state.frozen()));
        Arc::new(Self { view, log_end })
    }
}

impl DatabaseSnapshot {
    /// These collections, sorted by name, now.
    pub(crate) fn of_stores(stores: &[Arc<Store>]) -> Result<Self> {
        // Once nobody writes to any of them, the states belong together.
        let writers = stores.iter().map(|store| store.lock_writer()).collect::<Result<Vec<_>>>()?;
        let mut collections = BTreeMap::new();
        for (store, writer) in stores.iter().zip(&writers) {
            let frozen = FrozenCollection::new(store.view(), &*store.state()?, writer.log_end());
            collections.insert(store.view().name().to_owned(), frozen);
        }
        Ok(Self { collections: Arc::new(collections), owner: Owner::this_process() })
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
