//! What reading a collection takes, whoever keeps its state: the writer, a process that follows
//! the writer, or a snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};

use crate::containment::DamagedFile;
use crate::error::{Error, Result};
use crate::index_options::IndexOptions;
use crate::process::Owner;
use crate::schema::Schema;
use crate::search::Scratches;
use crate::snapshot::Snapshot;
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
    /// Manifests and logs that were damaged when it was opened, without which it goes on.
    mended: Mutex<Vec<DamagedFile>>,
    /// Memory that codes of graphs may take.
    code_bytes: u64,
    searched: Attention,
    searched_by_words: Attention,
}

/// When somebody last searched.
struct Attention {
    opened: Instant,
    /// Milliseconds from then to the last search, and one; 0 where there was none.
    last: AtomicU64,
}

/// Somebody is taken to search for so long after a search.
const ATTENTION_SPAN: Duration = Duration::from_secs(1);

pub(crate) enum Access {
    Open(Box<State>),
    Closed,
    Dropped,
}

impl Attention {
    fn new() -> Self {
        Self { opened: Instant::now(), last: AtomicU64::new(0) }
    }

    fn note(&self) {
        let since = self.opened.elapsed().as_millis() as u64;
        self.last.store(since + 1, Ordering::Relaxed);
    }

    fn is_paid(&self) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && self.opened.elapsed() < Duration::from_millis(last - 1) + ATTENTION_SPAN
    }
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
            mended: Mutex::default(),
            code_bytes: u64::MAX,
            searched: Attention::new(),
            searched_by_words: Attention::new(),
        }
    }

    /// The same, whose codes of graphs take no more memory than this.
    pub(crate) fn with_code_bytes(self, code_bytes: u64) -> Self {
        Self { code_bytes, ..self }
    }

    /// What was damaged when it was opened, and costs nothing any more.
    pub(crate) fn mended(&self) -> Vec<DamagedFile> {
        self.mended.lock().clone()
    }

    pub(crate) fn set_mended(&self, mended: Vec<DamagedFile>) {
        *self.mended.lock() = mended;
    }

    pub(crate) fn code_bytes(&self) -> u64 {
        self.code_bytes
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

    /// Has the rows of graphs coded that are searched much, as far as memory may be used for it.
    pub(crate) fn code_graphs(&self, snapshot: &Snapshot) {
        let segments = || snapshot.segments.iter().map(|live| &live.segment);
        let taken: u64 = segments().map(|segment| segment.fine_bytes()).sum();
        let left = self.code_bytes.saturating_sub(taken);
        segments().for_each(|segment| segment.make_fine_rows_soon(left));
    }

    /// What searches of this collection share.
    pub(crate) fn scratches(&self) -> &Arc<Scratches> {
        &self.scratches
    }

    /// A search by vectors has begun.
    pub(crate) fn note_search(&self) {
        self.searched.note();
    }

    /// Whether somebody is searching by vectors, or did a moment ago.
    pub(crate) fn is_searched(&self) -> bool {
        self.searched.is_paid()
    }

    /// A search by words has begun.
    pub(crate) fn note_search_by_words(&self) {
        self.searched_by_words.note();
    }

    /// Whether somebody is searching by words, or did a moment ago.
    pub(crate) fn is_searched_by_words(&self) -> bool {
        self.searched_by_words.is_paid()
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
