//! One collection: its log, its memory, and the path of a write from one to the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};

use crate::collection::CollectionStats;
use crate::error::{Error, Result};
use crate::files::sync_directory;
use crate::flusher::Flusher;
use crate::frame::PreparedFrame;
use crate::generations::{log_path, newest_generation, remove_older};
use crate::group_commit::GroupCommit;
use crate::log::LogFile;
use crate::record::{Transaction, Written};
use crate::records::Records;
use crate::replay::replay;
use crate::schema::Schema;
use crate::state::State;
use crate::transaction::{self, Changes};
use crate::validate::validate;
use crate::writer::Writer;

/// When a write counts as done, for all collections of a database.
#[derive(Clone)]
pub(crate) enum Commitment {
    /// Once it is on the medium.
    Sync,
    /// Once the operating system has it; the flusher sees to the rest.
    Batch(Arc<Flusher>),
}

/// One collection. Locks are taken in the order `writer`, `state`, group commit; `state` is never
/// held across a flush, a read of the log, or work for other threads.
pub(crate) struct Store {
    name: String,
    schema: Schema,
    folder: PathBuf,
    commitment: Commitment,
    /// Dead bytes beyond those of live records that a log may hold before it is compacted.
    compaction_slack: u64,
    /// `None` once the collection is closed or dropped.
    writer: Mutex<Option<Writer>>,
    state: RwLock<Access>,
    commit: Arc<GroupCommit>,
}

enum Access {
    Open(Box<State>),
    Closed,
    Dropped,
}

impl Store {
    /// Writes the log of an empty collection into a folder that nobody knows yet.
    pub(crate) fn create(folder: &Path, schema: &Schema) -> Result<()> {
        let log = LogFile::create(log_path(folder, 1), 1, schema)?;
        log.flush()?;
        log.publish()?;
        sync_directory(folder)
    }

    /// Reads a collection from its folder; the second value is the torn tail that was cut off, as
    /// offset and length. Older generations and unfinished files are removed.
    pub(crate) fn open(
        name: &str,
        folder: PathBuf,
        commitment: Commitment,
        compaction_slack: u64,
    ) -> Result<(Self, Option<(u64, u64)>)> {
        let Some(generation) = newest_generation(&folder)? else {
            return Err(Error::Corrupt {
                path: folder,
                offset: 0,
                reason: "the collection's folder holds no log".to_owned(),
            });
        };
        let path = log_path(&folder, generation);
        let (log, schema) = LogFile::open(&path, true)?;
        if log.generation != generation {
            return Err(log.corrupt(16, "the header's generation is not the file name's"));
        }
        let log = Arc::new(log);
        let replayed = replay(&log, &schema)?;
        remove_older(&folder, generation)?;
        let torn = (replayed.bytes_cut > 0).then_some((replayed.end, replayed.bytes_cut));
        let store = Self {
            name: name.to_owned(),
            schema,
            folder,
            commitment,
            compaction_slack,
            commit: Arc::new(GroupCommit::new(name, log.clone(), replayed.end)),
            writer: Mutex::new(Some(Writer {
                log,
                end: replayed.end,
                next_sequence: replayed.next_sequence,
                sealed: replayed.sealed,
                compact_from: 0,
            })),
            state: RwLock::new(Access::Open(Box::new(replayed.state))),
        };
        Ok((store, torn))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn commit(&self) -> &GroupCommit {
        &self.commit
    }

    /// The collection in memory. Hold it for lookups only.
    ///
    /// # Errors
    /// `Closed`, or `NotFound` once the collection was dropped.
    pub(crate) fn state(&self) -> Result<MappedRwLockReadGuard<'_, State>> {
        RwLockReadGuard::try_map(self.state.read(), |access| match access {
            Access::Open(state) => Some(&**state),
            Access::Closed | Access::Dropped => None,
        })
        .map_err(|access| self.no_access(&access))
    }

    fn no_access(&self, access: &Access) -> Error {
        match access {
            Access::Dropped => Error::NotFound { name: self.name.clone() },
            Access::Open(_) | Access::Closed => Error::Closed,
        }
    }

    /// Runs `work` where nobody else writes.
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        match &mut *self.writer.lock() {
            Some(writer) => {
                self.commit.check()?;
                work(writer)
            }
            None => Err(self.no_access(&self.state.read())),
        }
    }

    /// Writes a transaction; returns when it is as durable as the database was opened for.
    pub(crate) fn write(&self, transaction: Transaction) -> Result<Written> {
        let transaction = validate(transaction, &self.schema)?;
        // Encoding is most of the work and needs no lock.
        let (frame, changes) = transaction::encode(transaction)?;
        self.commit_with(|writer| self.append(writer, frame, changes).map(Some))
    }

    /// Writes the transaction that `decide` draws up from the present state, which no other
    /// writer can change meanwhile. An empty transaction is not written.
    pub(crate) fn write_decided(
        &self,
        decide: impl FnOnce(&State) -> Transaction,
    ) -> Result<Written> {
        self.commit_with(|writer| {
            let transaction = decide(&*self.state()?);
            if transaction == Transaction::default() {
                return Ok(None);
            }
            let (frame, changes) = transaction::encode(validate(transaction, &self.schema)?)?;
            self.append(writer, frame, changes).map(Some)
        })
    }

    fn commit_with(
        &self,
        append: impl FnOnce(&mut Writer) -> Result<Option<Written>>,
    ) -> Result<Written> {
        let (written, generation, end) = self.with_writer(|writer| {
            let written = append(writer)?;
            let (generation, end) = (writer.log.generation, writer.end);
            if written.is_some() {
                self.compact_where_worthwhile(writer)?;
            }
            Ok((written, generation, end))
        })?;
        let Some(written) = written else {
            return Ok(Written::default());
        };
        match &self.commitment {
            Commitment::Sync => self.commit.sync_through(generation, end)?,
            Commitment::Batch(flusher) => flusher.flush_soon(&self.commit),
        }
        Ok(written)
    }

    fn append(
        &self,
        writer: &mut Writer,
        mut frame: PreparedFrame,
        changes: Changes,
    ) -> Result<Written> {
        if !self.state()?.has_room_for(changes.records.len()) {
            return Err(Error::InvalidArgument(format!(
                "collection '{}' is full: it holds at most {} records",
                self.name,
                u32::MAX
            )));
        }
        let payload_offset = self.append_frame(writer, &mut frame)?;
        writer.sealed = false;
        match &mut *self.state.write() {
            Access::Open(state) => Ok(state.apply(changes, payload_offset)),
            access => Err(self.no_access(access)),
        }
    }

    /// Appends a frame, or leaves the log as it was; returns where the payload starts.
    fn append_frame(&self, writer: &mut Writer, frame: &mut PreparedFrame) -> Result<u64> {
        match writer.append(frame, self.commit.durable()) {
            Ok(payload_offset) => {
                self.commit.appended(writer.end);
                Ok(payload_offset)
            }
            Err(source) => {
                if let Err(error) = writer.log.file.set_len(writer.end) {
                    self.commit.poison(format!(
                        "a write failed ({source}) and what it left could not be cut off ({error})"
                    ));
                }
                Err(Error::Io { path: writer.log.path.clone(), doing: "write to", source })
            }
        }
    }

    fn compact_where_worthwhile(&self, writer: &mut Writer) -> Result<()> {
        let live = self.state()?.live_bytes();
        let dead = writer.dead_bytes(live);
        if dead > live + self.compaction_slack && dead >= writer.compact_from {
            // There may be no room for a second copy now. The write itself is done, so carry on,
            // and try again when it has become worse.
            if self.compact(writer).is_err() {
                writer.compact_from = dead + self.compaction_slack;
            }
        }
        Ok(())
    }

    /// Goes on with a compacted log, whose records have the same slots as before.
    pub(crate) fn replace_log(&self, writer: &mut Writer, compacted: Writer, records: Records) {
        if let Access::Open(state) = &mut *self.state.write() {
            state.replace_log(compacted.log.clone(), records);
        }
        self.commit.replace(compacted.log.clone(), compacted.end);
        *writer = compacted;
    }

    pub(crate) fn stats(&self) -> Result<CollectionStats> {
        self.with_writer(|writer| {
            let state = self.state()?;
            let live_bytes = state.live_bytes();
            Ok(CollectionStats {
                records: state.len(),
                documents: state.documents().len(),
                file_bytes: writer.end,
                live_bytes,
                dead_bytes: writer.dead_bytes(live_bytes),
                generation: writer.log.generation,
                memory_bytes: state.memory_bytes(),
            })
        })
    }

    /// Puts everything written so far onto the medium.
    pub(crate) fn flush(&self) -> Result<()> {
        drop(self.state()?);
        self.commit.sync_all()
    }

    /// Flushes, seals the log, and frees the memory. Later calls say `Closed`; closing again does
    /// nothing.
    pub(crate) fn close(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        let Some(mut open) = writer.take() else {
            return Ok(());
        };
        let outcome = self.commit.sync_all().and_then(|()| self.seal(&mut open));
        *self.state.write() = Access::Closed;
        self.commit.close();
        outcome
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
        let mut writer = self.writer.lock();
        *writer = None;
        *self.state.write() = Access::Dropped;
        self.commit.close();
    }
}
