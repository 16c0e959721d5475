//! One collection: its files, its memory, and the path of a write from one to the other.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, MappedMutexGuard, MappedRwLockReadGuard, Mutex, MutexGuard};

use crate::database::{Durability, Options};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::sync_directory;
use crate::flusher::Flusher;
use crate::format::MAX_SEGMENT_ROWS;
use crate::frame::PreparedFrame;
use crate::generations::log_path;
use crate::group_commit::GroupCommit;
use crate::head::Head;
use crate::index_options::IndexOptions;
use crate::log::LogFile;
use crate::manifest::Manifest;
use crate::opening::{self, Opened};
use crate::publish::Published;
use crate::record::{Transaction, Written};
use crate::schema::Schema;
use crate::state::State;
use crate::stats::CollectionStats;
use crate::transaction::{self, Changes};
use crate::upkeep::Upkeep;
use crate::validate::validate;
use crate::view::{Access, View};
use crate::writer::Writer;

/// What bounds the memory of a collection.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Records in a head before it becomes a segment.
    pub(crate) head_records: usize,
    /// Bytes of a head's log before it becomes a segment.
    head_bytes: u64,
    /// Records of a transaction at most.
    segment_rows: u32,
    /// Bytes from which on a transaction goes onto the medium while it is worked on.
    large_transaction_bytes: usize,
    /// Rows that are merged into one segment at most.
    pub(crate) merged_rows: u64,
}

impl Limits {
    /// A limit of the whole memory leaves a sixteenth for the active head, of which there may be
    /// several, and half for building a graph.
    fn new(options: &Options, schema: &Schema, index: &IndexOptions) -> Self {
        let Options { head_records, head_bytes, memory_limit, large_transaction_bytes, .. } =
            *options;
        let segment_rows = options.segment_rows.min(MAX_SEGMENT_ROWS);
        let (head_bytes, fitting) = match memory_limit {
            None => (head_bytes, u64::MAX),
            Some(bytes) => {
                (head_bytes.min(bytes / 16), bytes / 2 / index.memory_bytes_a_row_of_all(schema))
            }
        };
        let merged_rows = fitting.min(segment_rows.into());
        Self { head_records, head_bytes, segment_rows, large_transaction_bytes, merged_rows }
    }
}

/// Writers wait once the active head has grown to this many times its limits.
const PATIENCE: usize = 4;

/// Writers who wait look this often whether they still have to.
const LONGEST_MOMENT: Duration = Duration::from_millis(100);

/// One collection. Locks are taken in the order `flushing`, `merging`, `writer`, `published`, the
/// view's state, group commit. Whoever needs the writers of several collections takes them in the
/// order of their names, and states after all writers.
pub(crate) struct Store {
    view: Arc<View>,
    folder: PathBuf,
    disk: Disk,
    durability: Durability,
    /// Flushes batch-durable writes, and begins with large ones that wait for the medium.
    flusher: Arc<Flusher>,
    limits: Limits,
    upkeep: Arc<Upkeep>,
    /// `None` once the collection is closed or dropped.
    writer: Mutex<Option<Writer>>,
    commit: Arc<GroupCommit>,
    /// Held by whoever turns heads into segments.
    pub(crate) flushing: Mutex<()>,
    /// Held by whoever merges segments.
    pub(crate) merging: Mutex<()>,
    pub(crate) published: Mutex<Published>,
    pub(crate) next_segment: AtomicU64,
    /// Set for good when the collection closes: background work ends soon.
    stopping: AtomicBool,
    /// A merge in the background gives way to one that somebody waits for.
    pub(crate) giving_way: AtomicBool,
    /// For writers who wait for the background.
    outcomes: Mutex<Outcomes>,
    outcome_known: Condvar,
}

/// How the last work in the background ended: whether it did what it was to do.
#[derive(Default)]
struct Outcomes {
    flush_failed: bool,
    merge_failed: bool,
}

/// What was cut off at the end of a log.
pub(crate) struct TornTail {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl Store {
    /// Writes the files of an empty collection into a folder that nobody knows yet.
    pub(crate) fn create(
        disk: &Disk,
        folder: &Path,
        schema: &Schema,
        index: IndexOptions,
    ) -> Result<()> {
        let log = LogFile::create(disk, log_path(folder, 1), 1, schema)?;
        log.flush()?;
        log.publish(disk)?;
        Manifest::new(1, index, schema.clone()).write(disk, folder)?;
        sync_directory(disk, folder)
    }

    /// Reads a collection from its folder; the second value is the torn tail that was cut off. Files
    /// that no longer belong to it are removed.
    pub(crate) fn open(
        name: &str,
        folder: PathBuf,
        flusher: Arc<Flusher>,
        options: &Options,
        upkeep: Arc<Upkeep>,
    ) -> Result<(Arc<Self>, Option<TornTail>)> {
        let Opened { schema, manifest, log, replayed, mended } =
            opening::open(&options.disk, &folder)?;
        let torn = TornTail { offset: replayed.end, bytes: replayed.bytes_cut };
        let torn = Some(torn).filter(|torn| torn.bytes > 0);
        let store = Arc::new(Self {
            limits: Limits::new(options, &schema, &manifest.index),
            view: Arc::new(
                View::new(name, schema, manifest.index, replayed.state)
                    .with_code_bytes(options.memory_limit.map_or(u64::MAX, |bytes| bytes / 8)),
            ),
            folder,
            disk: options.disk.clone(),
            durability: options.durability,
            flusher,
            upkeep,
            commit: Arc::new(GroupCommit::new(name, log.clone(), replayed.end)),
            writer: Mutex::new(Some(Writer {
                log,
                end: replayed.end,
                next_sequence: replayed.next_sequence,
                sealed: replayed.sealed,
            })),
            flushing: Mutex::default(),
            merging: Mutex::default(),
            next_segment: AtomicU64::new(manifest.next_segment),
            published: Mutex::default(),
            stopping: AtomicBool::new(false),
            giving_way: AtomicBool::new(false),
            outcomes: Mutex::default(),
            outcome_known: Condvar::new(),
        });
        store.view.set_mended(mended.into_iter().collect());
        store.look_after()?;
        Ok((store, torn))
    }

    /// What readers share with it.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub(crate) fn schema(&self) -> &Schema {
        self.view.schema()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn commit(&self) -> &GroupCommit {
        &self.commit
    }

    pub(crate) fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn index(&self) -> IndexOptions {
        self.view.index()
    }

    /// Changes how segments are indexed from now on.
    ///
    /// # Errors
    /// `Io` or `Poisoned` where the change cannot be kept.
    pub(crate) fn set_index(self: &Arc<Self>, index: IndexOptions) -> Result<()> {
        if self.index() != index {
            self.view.set_index(index);
            self.publish()?;
            self.look_after()?;
        }
        Ok(())
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// See [`View::state`].
    pub(crate) fn state(&self) -> Result<MappedRwLockReadGuard<'_, State>> {
        self.view.state()
    }

    /// Changes the collection in memory; only under the writer's lock.
    pub(crate) fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.view.change_state(change)
    }

    /// Keeps everybody else from writing.
    ///
    /// # Errors
    /// `Closed`; `NotFound` once the collection was dropped; `Forked`.
    pub(crate) fn lock_writer(&self) -> Result<MappedMutexGuard<'_, Writer>> {
        self.view.owner().check()?;
        MutexGuard::try_map(self.writer.lock(), Option::as_mut).map_err(|_| self.view.why_ended())
    }

    /// Runs `work` where nobody else writes.
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        let mut writer = self.lock_writer()?;
        self.commit.check()?;
        work(&mut writer)
    }

    /// Writes a transaction; returns when it is as durable as the database was opened for.
    pub(crate) fn write(self: &Arc<Self>, transaction: Transaction) -> Result<Written> {
        let transaction = validate(transaction, self.schema())?;
        if !self.writer.is_locked() {
            return self.commit_with(|writer| self.append(writer, transaction).map(Some));
        }
        // Where others write, what needs no lock is done without it.
        let (frame, changes) = self.encode(transaction)?;
        self.commit_with(|writer| self.append_encoded(writer, frame, changes).map(Some))
    }

    /// Writes the transaction that `decide` draws up from the present state, which no other
    /// writer can change meanwhile. An empty transaction is not written.
    pub(crate) fn write_decided(
        self: &Arc<Self>,
        decide: impl FnOnce(&State) -> Result<Transaction>,
    ) -> Result<Written> {
        self.commit_with(|writer| {
            let transaction = decide(&*self.state()?)?;
            if transaction == Transaction::default() {
                return Ok(None);
            }
            let transaction = validate(transaction, self.schema())?;
            self.append(writer, transaction).map(Some)
        })
    }

    fn commit_with(
        self: &Arc<Self>,
        append: impl FnOnce(&mut Writer) -> Result<Option<Written>>,
    ) -> Result<Written> {
        let (written, generation, end) = self.with_writer(|writer| {
            let written = append(writer)?;
            Ok((written, writer.log.generation, writer.end))
        })?;
        let Some(written) = written else {
            return Ok(Written::default());
        };
        match self.durability {
            Durability::Sync => self.commit.sync_through(generation, end)?,
            Durability::Batch => self.flusher.flush_soon(&self.commit),
        }
        // The write itself is done, whatever has become of the collection since.
        let _ = self.look_after();
        self.wait_for_room(written.upserted);
        Ok(written)
    }

    fn encode(&self, transaction: Transaction) -> Result<(PreparedFrame, Changes)> {
        transaction::encode(transaction, self.schema(), self.limits.large_transaction_bytes)
    }

    /// Appends a validated transaction, or leaves the log as it was. The medium begins to take vectors
    /// before the records are encoded, if they are many.
    fn append(&self, writer: &mut Writer, transaction: Transaction) -> Result<Written> {
        self.write_vectors(writer, &transaction.upserts.vectors, transaction.upserts.ids.len())?;
        let appended = self
            .encode(transaction)
            .and_then(|(frame, changes)| self.append_behind_vectors(writer, frame, changes));
        self.cut_off_if_failed(writer, appended)
    }

    /// As [`Store::append`], of a transaction that is encoded already.
    fn append_encoded(
        &self,
        writer: &mut Writer,
        frame: PreparedFrame,
        changes: Changes,
    ) -> Result<Written> {
        self.write_vectors(writer, &changes.vectors, changes.records.len())?;
        let appended = self.append_behind_vectors(writer, frame, changes);
        self.cut_off_if_failed(writer, appended)
    }

    /// Writes the vectors of so many records where they stand in the next frame, if they are not written
    /// with all the rest. Without its header that is no frame.
    fn write_vectors(&self, writer: &Writer, vectors: &[f32], records: usize) -> Result<()> {
        let most = self.limits.segment_rows;
        if records > most as usize || !self.state()?.active_head().has_room_for(records) {
            return Err(Error::InvalidArgument(format!(
                "{records} records are too many for one transaction: write them in parts of at most \
                 {most}",
            )));
        }
        let Some(vectors) =
            transaction::large_vectors(vectors, self.schema(), self.limits.large_transaction_bytes)
        else {
            return Ok(());
        };
        match writer.write_middle(&vectors, transaction::BYTES_BEFORE_VECTORS) {
            Ok(offset) => {
                if self.durability == Durability::Sync {
                    writer.log.file.begin_sync(offset, vectors.len());
                }
                Ok(())
            }
            Err(source) => Err(self.write_failed(writer, source)),
        }
    }

    fn append_behind_vectors(
        &self,
        writer: &mut Writer,
        mut frame: PreparedFrame,
        changes: Changes,
    ) -> Result<Written> {
        let replaced = self.state()?.replaced_by(&changes)?;
        let payload_offset = self.append_frame(writer, &mut frame)?;
        writer.sealed = false;
        self.change_state(|state| state.apply(changes, replaced, payload_offset))
    }

    /// Cuts off what a transaction left that was not appended after all.
    fn cut_off_if_failed<T>(&self, writer: &Writer, appended: Result<T>) -> Result<T> {
        if let Err(failure) = &appended {
            self.cut_off(writer, failure);
        }
        appended
    }

    /// Appends a frame, whose vectors are written already if they stand apart, or leaves the log as it
    /// was; returns where the payload starts.
    fn append_frame(&self, writer: &mut Writer, frame: &mut PreparedFrame) -> Result<u64> {
        match writer.append(frame, self.commit.durable()) {
            Ok(payload_offset) => {
                self.commit.appended(writer.end);
                if self.durability == Durability::Sync
                    && frame.bytes() >= self.limits.large_transaction_bytes as u64
                {
                    self.flusher.flush_soon(&self.commit);
                }
                Ok(payload_offset)
            }
            Err(source) => Err(self.write_failed(writer, source)),
        }
    }

    fn write_failed(&self, writer: &Writer, source: io::Error) -> Error {
        self.cut_off(writer, &source);
        Error::Io { path: writer.log.path.clone(), doing: "write to", source }
    }

    /// Cuts off what a failed write left behind the last frame.
    fn cut_off(&self, writer: &Writer, failure: &dyn Display) {
        if let Err(error) = writer.log.file.set_length(writer.end) {
            self.commit.poison(format!(
                "a write failed ({failure}) and what it left could not be cut off ({error})"
            ));
        }
    }

    /// Whether the active head has grown to `times` its limits.
    pub(crate) fn is_over_limits(&self, state: &State, times: usize) -> bool {
        let head = state.active_head();
        head.len() >= self.head_records() * times
            || self.commit.written() >= self.limits.head_bytes * times as u64
    }

    /// Whether heads have grown so much that writers are to wait.
    fn has_full_heads(&self, state: &State) -> bool {
        let records: usize = state.heads().iter().map(Head::len).sum();
        self.is_over_limits(state, PATIENCE) || records >= self.head_records() * (PATIENCE + 1)
    }

    /// Holds a writer up while heads fill faster than segments are written, so that memory stays
    /// bounded, and for its rows' share of the time that searches need. Where segments cannot be
    /// written at all, it is better to go on than to hang.
    fn wait_for_room(&self, rows: usize) {
        let mut outcomes = self.outcomes.lock();
        let begun = Instant::now();
        let rest = |outcomes: &Outcomes| {
            let Ok(state) = self.state() else { return Duration::ZERO };
            if !outcomes.flush_failed && self.has_full_heads(&state) {
                return LONGEST_MOMENT;
            }
            match outcomes.merge_failed {
                true => Duration::ZERO,
                false => self.delay_for_merges(rows, &state).saturating_sub(begun.elapsed()),
            }
        };
        while !self.is_stopping() {
            let rest = rest(&outcomes);
            if rest.is_zero() {
                break;
            }
            self.outcome_known.wait_for(&mut outcomes, rest.min(LONGEST_MOMENT));
        }
    }

    /// Whether no segment could be made of a head when it was last tried.
    pub(crate) fn has_failed_to_flush(&self) -> bool {
        self.outcomes.lock().flush_failed
    }

    /// Tells the writers who wait how a flush of a head went.
    pub(crate) fn flush_ended(&self, is_done: bool) {
        self.outcomes.lock().flush_failed = !is_done;
        self.outcome_known.notify_all();
    }

    /// Tells the writers who wait how merges went.
    pub(crate) fn merge_ended(&self, is_done: bool) {
        self.outcomes.lock().merge_failed = !is_done;
        self.outcome_known.notify_all();
    }

    /// Freezes the active head and goes on with the next log.
    pub(crate) fn rotate(&self) -> Result<()> {
        self.with_writer(|writer| {
            self.commit.sync_all()?;
            self.seal(writer)?;
            let generation = writer.log.generation + 1;
            let path = log_path(&self.folder, generation);
            let log = LogFile::create(&self.disk, path, generation, self.schema())?;
            let published = log.flush().and_then(|()| log.publish(&self.disk));
            if let Err(error) = published {
                log.discard(&self.disk);
                return Err(error);
            }
            if let Err(error) = sync_directory(&self.disk, &self.folder) {
                // After a power failure the next log could be missing.
                self.commit.poison(format!("a new log could not be completed: {error}"));
                return Err(error);
            }
            let next = Writer::new(log);
            self.change_state(|state| state.freeze(self.schema(), next.log.clone()))?;
            self.commit.replace(next.log.clone(), next.end);
            *writer = next;
            Ok(())
        })
    }

    pub(crate) fn stats(&self) -> Result<CollectionStats> {
        self.with_writer(|writer| CollectionStats::of(self.view(), &*self.state()?, writer.end))
    }

    /// Puts everything written so far onto the medium.
    pub(crate) fn flush(&self) -> Result<()> {
        drop(self.state()?);
        self.commit.sync_all()
    }

    /// Flushes, seals the log, and frees the memory. Later calls say `Closed`; closing again does
    /// nothing.
    pub(crate) fn close(&self) -> Result<()> {
        self.stop();
        let (_flushing, _merging) = (self.flushing.lock(), self.merging.lock());
        let mut writer = self.writer.lock();
        let Some(mut open) = writer.take() else {
            return Ok(());
        };
        let outcome = self.commit.sync_all().and_then(|()| self.seal(&mut open));
        self.view.end(Access::Closed);
        self.commit.close();
        outcome
    }

    /// Tells background work and waiting writers to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.outcome_known.notify_all();
    }

    /// A seal makes damage to the last frames as plain as damage to all the others.
    fn seal(&self, writer: &mut Writer) -> Result<()> {
        if writer.sealed {
            return Ok(());
        }
        self.append_frame(writer, &mut PreparedFrame::seal())?;
        writer.sealed = true;
        self.commit.sync_all()
    }

    /// Lets go of the files, which the caller deletes. Later calls say `NotFound`.
    pub(crate) fn abandon(&self) {
        self.stop();
        let (_flushing, _merging) = (self.flushing.lock(), self.merging.lock());
        let mut writer = self.writer.lock();
        *writer = None;
        self.view.end(Access::Dropped);
        self.commit.close();
    }
}
