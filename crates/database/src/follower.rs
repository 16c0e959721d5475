//! A collection that another process writes to.
//!
//! Nothing is written and no lock is taken. What the writer does is seen by three looks, each a
//! system call: whether the manifest is still the one that was read, whether the newest log has
//! grown, and, behind a seal, whether there is a next log. The writer removes a file only after it
//! published a manifest that does not need it, so whoever finds a file missing and then the same
//! manifest has found damage, and otherwise begins anew.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::containment::DamagedFile;
use crate::database_snapshot::FrozenCollection;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::generations::{generations, log_path};
use crate::head::Head;
use crate::held_file::HeldFile;
use crate::log::LogFile;
use crate::manifest::{self, Known, Manifest, manifest_copy_path, manifest_path};
use crate::opening::{open_log, open_segments};
use crate::replay::{read_transactions, refuse_damage};
use crate::schema::Schema;
use crate::set_aside::SetAside;
use crate::state::{LiveSegment, State};
use crate::stats::CollectionStats;
use crate::transaction::Changes;
use crate::view::{Access, View};
use crate::writer::LogEnd;

/// A collection that is read while another process may write to it.
pub(crate) struct Follower {
    view: Arc<View>,
    folder: PathBuf,
    /// Held by whoever looks for news.
    position: Mutex<Position>,
}

/// How far the writer was followed.
struct Position {
    folder: HeldFile,
    /// The manifest, or its second copy where that alone is there.
    manifest: HeldFile,
    /// Numbers below this one were given to segments when the manifest was written.
    next_segment: u64,
    tail: Tail,
}

/// The newest log, as far as it was read.
struct Tail {
    log: Arc<LogFile>,
    end: LogEnd,
}

/// A collection as a manifest and what followed have it.
struct Loaded {
    position: Position,
    schema: Schema,
    manifest: Manifest,
    state: State,
    fault: Option<DamagedFile>,
}

impl Follower {
    /// # Errors
    /// `NotFound`, `Corrupt`, `Version`, `Io`; `InvalidArgument` for a collection of format version 1,
    /// which only opening for writing brings to the present one.
    pub(crate) fn open(name: &str, folder: PathBuf) -> Result<Self> {
        let Loaded { position, schema, manifest, state, fault } = load(name, &folder, &[])?;
        let view = Arc::new(View::new(name, schema, manifest.index, state));
        view.set_mended(fault.into_iter().collect());
        Ok(Self { view, folder, position: Mutex::new(position) })
    }

    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Catches up with the writer: every write that was acknowledged before this was called is in
    /// the view when it returns.
    ///
    /// # Errors
    /// `NotFound` where the collection was dropped, `Corrupt`, `Io`, `Closed`, `Forked`.
    pub(crate) fn refresh(&self) -> Result<()> {
        // Before a lock that a thread which is not here may hold.
        self.view.owner().check()?;
        self.catch_up(&mut self.position.lock())
    }

    fn catch_up(&self, position: &mut Position) -> Result<()> {
        drop(self.view.state()?);
        loop {
            if !self.has_current_manifest(position)? {
                self.reload(position)?;
            }
            let followed = follow(
                &self.folder,
                self.view.schema(),
                &mut position.tail,
                &mut |changes, payload_offset| {
                    let replaced = self.view.state()?.replaced_by(&changes)?;
                    self.view
                        .change_state(|state| state.apply(changes, replaced, payload_offset))?;
                    Ok(())
                },
                &mut |log| self.view.change_state(|state| state.freeze(self.view.schema(), log)),
            );
            // A next log may have come and gone between two looks: then the manifest is another.
            let is_settled = followed.is_ok() && !position.tail.end.sealed;
            if is_settled || self.has_current_manifest(position)? {
                return followed;
            }
        }
    }

    fn has_current_manifest(&self, position: &Position) -> Result<bool> {
        position.manifest.is_current().map_err(Error::io(&manifest_path(&self.folder), "look at"))
    }

    /// Goes over to the manifest that is there now.
    fn reload(&self, position: &mut Position) -> Result<()> {
        let segments = self.view.state()?.segments().clone();
        let loaded = load(self.view.name(), &self.folder, &segments)?;
        let is_ours = position.folder.is_current();
        if !is_ours.map_err(Error::io(&self.folder, "look at"))? {
            // Dropped; another one of the same name is no concern of this handle.
            self.view.end(Access::Dropped);
            return Err(self.view.why_ended());
        }
        *position = loaded.position;
        self.view.set_mended(loaded.fault.into_iter().collect());
        self.view.set_index(loaded.manifest.index);
        let old = self.view.change_state(|state| std::mem::replace(state, loaded.state))?;
        drop(old);
        Ok(())
    }

    /// The collection now, for a snapshot.
    pub(crate) fn freeze(&self) -> Result<Arc<FrozenCollection>> {
        self.with_state(|state, position| {
            let highest = state.segments().iter().map(|live| live.segment.number() + 1).max();
            let next_segment = position.next_segment.max(highest.unwrap_or(0));
            Ok(FrozenCollection::new(&self.view, state, position.tail.end, next_segment))
        })
    }

    pub(crate) fn stats(&self) -> Result<CollectionStats> {
        self.with_state(|state, position| {
            CollectionStats::of(&self.view, state, position.tail.end.offset)
        })
    }

    fn with_state<T>(&self, work: impl FnOnce(&State, &Position) -> Result<T>) -> Result<T> {
        self.view.owner().check()?;
        let mut position = self.position.lock();
        self.catch_up(&mut position)?;
        work(&*self.view.state()?, &position)
    }
}

/// Reads a collection; segments that are open already are taken over, if the folder is the one that
/// they are from.
fn load(name: &str, folder: &Path, known: &[LiveSegment]) -> Result<Loaded> {
    loop {
        let not_found = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Error::NotFound { name: name.to_owned() },
            _ => Error::io(folder, "open")(error),
        };
        let held_folder = HeldFile::open(folder).map_err(not_found)?;
        let path = manifest_path(folder);
        let held = HeldManifest::open(folder)?;
        let read = manifest::known_as_read(folder, |path| held.read(path));
        let (Some(held_manifest), Some(read)) = (held.sign(), read.transpose()) else {
            if !held_folder.is_current().map_err(Error::io(folder, "look at"))? {
                continue;
            }
            return Err(Error::InvalidArgument(format!(
                "{} has no manifest, as in format version 1: open the database for writing once",
                folder.display()
            )));
        };
        let loaded = read.and_then(|Known { manifest, fault, .. }| {
            let fault = fault.map(DamagedFile::of_fault).transpose()?;
            Ok((load_files(folder, &manifest, known)?, manifest, fault))
        });
        let is_current = |held: &HeldFile| held.is_current().map_err(Error::io(&path, "look at"));
        if !is_current(&held_folder)? {
            continue;
        }
        let is_incomplete = |state: &State| state.set_aside().iter().any(SetAside::is_missing);
        match loaded {
            // The writer was faster, and removed what this manifest needs.
            Ok(((_, _, state), ..)) if is_incomplete(&state) && !is_current(&held_manifest)? => {}
            Ok(((tail, schema, state), manifest, fault)) => {
                let position = Position {
                    folder: held_folder,
                    manifest: held_manifest,
                    next_segment: manifest.next_segment,
                    tail,
                };
                return Ok(Loaded { position, schema, manifest, state, fault });
            }
            Err(_) if !is_current(&held_manifest)? => {}
            Err(error) => return Err(error),
        }
    }
}

/// The manifest and its second copy, each as it is now, if it is there.
struct HeldManifest {
    path: PathBuf,
    manifest: Option<HeldFile>,
    copy: Option<HeldFile>,
}

impl HeldManifest {
    fn open(folder: &Path) -> Result<Self> {
        let open = |path: &Path| match HeldFile::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path, "open")(error)),
        };
        let path = manifest_path(folder);
        let manifest = open(&path)?;
        Ok(Self { path, manifest, copy: open(&manifest_copy_path(folder))? })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let held = if path == self.path { &self.manifest } else { &self.copy };
        let mut bytes = Vec::new();
        held.as_ref().ok_or(ErrorKind::NotFound)?.file().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The one that tells of the next publication: each replaces both.
    fn sign(self) -> Option<HeldFile> {
        self.manifest.or(self.copy)
    }
}

fn load_files(
    folder: &Path,
    manifest: &Manifest,
    known: &[LiveSegment],
) -> Result<(Tail, Schema, State)> {
    let newest = generations(folder)?.last().copied();
    let (log, schema) = open_log(&Disk::default(), folder, manifest.first_log, false)?;
    let (segments, aside) = open_segments(folder, manifest, &schema, known, None)?;
    let log = Arc::new(log);
    let head = Head::new(&schema, log.clone());
    let mut state = State::new(segments, manifest.documents.clone(), head);
    state.set_aside_segments(aside);
    let state = Mutex::new(state);
    let mut tail = Tail { end: LogEnd::of_empty(&log), log };
    follow(
        folder,
        &schema,
        &mut tail,
        &mut |changes, payload_offset| {
            let mut state = state.lock();
            let replaced = state.replaced_by(&changes)?;
            state.apply(changes, replaced, payload_offset);
            Ok(())
        },
        &mut |log| {
            state.lock().freeze(&schema, log);
            Ok(())
        },
    )?;
    if newest.is_some_and(|newest| tail.log.generation < newest) {
        let reason = "the log ends without a seal, but was continued";
        return Err(tail.log.corrupt(tail.end.offset, reason));
    }
    Ok((tail, schema, state.into_inner()))
}

/// Reads what came since, from this log and the ones after it.
fn follow(
    folder: &Path,
    schema: &Schema,
    tail: &mut Tail,
    apply: &mut dyn FnMut(Changes, u64) -> Result<()>,
    next_head: &mut dyn FnMut(Arc<LogFile>) -> Result<()>,
) -> Result<()> {
    loop {
        read_tail(tail, schema, apply)?;
        let generation = tail.log.generation + 1;
        if !tail.end.sealed || !exists(&log_path(folder, generation))? {
            return Ok(());
        }
        // A seal also stands where the database was closed once. But a log that is followed by
        // another one does not grow any more, and this is all of it:
        read_tail(tail, schema, apply)?;
        let (log, next_schema) = open_log(&Disk::default(), folder, generation, false)?;
        if next_schema != *schema {
            return Err(log.corrupt(0, "the log belongs to another collection"));
        }
        if !tail.end.sealed {
            let reason = "the log ends without a seal, but was continued";
            return Err(tail.log.corrupt(tail.end.offset, reason));
        }
        let log = Arc::new(log);
        next_head(log.clone())?;
        *tail = Tail { end: LogEnd::of_empty(&log), log };
    }
}

fn exists(path: &Path) -> Result<bool> {
    fs::exists(path).map_err(Error::io(path, "look at"))
}

/// Reads the whole frames that came since; what is behind them is still being written.
fn read_tail(
    Tail { log, end }: &mut Tail,
    schema: &Schema,
    apply: &mut dyn FnMut(Changes, u64) -> Result<()>,
) -> Result<()> {
    match log.length()? {
        length if length == end.offset => return Ok(()),
        length if length < end.offset => {
            return Err(log.corrupt(length, "the log was cut off"));
        }
        _ => {}
    }
    let mut looked_at = None;
    loop {
        let (frames, fault) = read_transactions(log, schema, end, apply)?;
        let Some(fault) = fault else {
            return Ok(());
        };
        match refuse_damage(log, &frames, end.next_sequence, &fault) {
            Ok(()) => return Ok(()),
            Err(error) if looked_at == Some(end.offset) => return Err(error),
            // It was being written when we looked, and had been when the one behind it was: that
            // is no damage if it is whole now.
            Err(_) => looked_at = Some(end.offset),
        }
    }
}
