//! What reading a collection takes, whoever keeps its state: the writer, a process that follows
//! the writer, or a snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};

use crate::error::{Error, Result};
use crate::index_options::IndexOptions;
use crate::process::Owner;
use crate::schema::Schema;
use crate::search::Scratches;
use crate::state::State;

/// A collection as its readers see it.
pub(crate) struct View {
    name: String,
    schema: Schema,
    owner: Owner,
    /// Never held across a flush, a read of the log, or work for other threads.
    state: RwLock<Access>,
    /// Held for a moment only, whatever else is held.
    index: Mutex<IndexOptions>,
    scratches: Arc<Scratches>,
    opened: Instant,
    /// Milliseconds from then to the last search, and one; 0 where there was none.
    searched: AtomicU64,
}

/// Somebody is taken to search for so long after a search.
const ATTENTION: Duration = Duration::from_secs(1);

pub(crate) enum Access {
    Open(Box<State>),
    Closed,
    Dropped,
}

impl View {
    pub(crate) fn new(name: &str, schema: Schema, index: IndexOptions, state: State) -> Self {
        Self {
            name: name.to_owned(),
            schema,
            owner: Owner::this_process(),
            state: RwLock::new(Access::Open(Box::new(state))),
            index: Mutex::new(index),
            scratches: Arc::default(),
            opened: Instant::now(),
            searched: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The process that may use it.
    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// What searches of this collection share.
    pub(crate) fn scratches(&self) -> &Arc<Scratches> {
        &self.scratches
    }

    /// A search has begun.
    pub(crate) fn note_search(&self) {
        let since = self.opened.elapsed().as_millis() as u64;
        self.searched.store(since + 1, Ordering::Relaxed);
    }

    /// Whether somebody is searching, or did a moment ago.
    pub(crate) fn is_searched(&self) -> bool {
        let last = self.searched.load(Ordering::Relaxed);
        last > 0 && self.opened.elapsed() < Duration::from_millis(last - 1) + ATTENTION
    }

    /// How vectors are indexed, now and when the collection is next opened.
    pub(crate) fn index(&self) -> IndexOptions {
        *self.index.lock()
    }

    pub(crate) fn set_index(&self, index: IndexOptions) {
        *self.index.lock() = index;
    }

    /// The collection in memory. Hold it for lookups only.
    ///
    /// # Errors
    /// `Closed`; `NotFound` once the collection was dropped; `Forked`.
    pub(crate) fn state(&self) -> Result<MappedRwLockReadGuard<'_, State>> {
        self.owner.check()?;
        RwLockReadGuard::try_map(self.state.read(), |access| match access {
            Access::Open(state) => Some(&**state),
            Access::Closed | Access::Dropped => None,
        })
        .map_err(|access| self.no_access(&access))
    }

    /// Changes the collection in memory; only one thread at a time may decide to.
    ///
    /// # Errors
    /// As [`View::state`].
    pub(crate) fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        match &mut *self.state.write() {
            Access::Open(state) => Ok(change(state)),
            access => Err(self.no_access(access)),
        }
    }

    /// Lets go of the state: every later call says why.
    pub(crate) fn end(&self, access: Access) {
        *self.state.write() = access;
    }

    /// Why there is no state.
    pub(crate) fn why_ended(&self) -> Error {
        self.no_access(&self.state.read())
    }

    fn no_access(&self, access: &Access) -> Error {
        match access {
            Access::Dropped => Error::NotFound { name: self.name.clone() },
            Access::Open(_) | Access::Closed => Error::Closed,
        }
    }
}
