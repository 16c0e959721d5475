//! Writes down every change that a database makes to its files, in the order in which they happen.

use std::io;
use std::path::PathBuf;

use database::disk::{Change, Interceptor};
use parking_lot::Mutex;

/// A [`Change`] to keep.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create { path: PathBuf, file: u64 },
    Open { path: PathBuf, file: u64 },
    Write { file: u64, offset: u64, bytes: Vec<u8> },
    SetLength { file: u64, length: u64 },
    SyncFile { file: u64 },
    CreateFolder { path: PathBuf },
    SyncFolder { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Link { from: PathBuf, to: PathBuf },
    RemoveFile { path: PathBuf },
    RemoveFolder { path: PathBuf },
}

impl From<&Change<'_>> for Step {
    fn from(change: &Change<'_>) -> Self {
        match *change {
            Change::Create { path, file } => Self::Create { path: path.into(), file },
            Change::Open { path, file } => Self::Open { path: path.into(), file },
            Change::Write { file, offset, bytes } => {
                Self::Write { file, offset, bytes: bytes.into() }
            }
            Change::SetLength { file, length } => Self::SetLength { file, length },
            Change::SyncFile { file } => Self::SyncFile { file },
            Change::CreateFolder { path } => Self::CreateFolder { path: path.into() },
            Change::SyncFolder { path } => Self::SyncFolder { path: path.into() },
            Change::Rename { from, to } => Self::Rename { from: from.into(), to: to.into() },
            Change::Link { from, to } => Self::Link { from: from.into(), to: to.into() },
            Change::RemoveFile { path } => Self::RemoveFile { path: path.into() },
            Change::RemoveFolder { path } => Self::RemoveFolder { path: path.into() },
        }
    }
}

/// Which states of a history a crash may leave, as places in the list of its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// The last one that the database acknowledged as being on the medium.
    pub(crate) promised: usize,
    /// The last one that it was asked for.
    pub(crate) possible: usize,
    /// How many of its backups must be there.
    pub(crate) backups: usize,
}

/// A step, and what was to be found after a crash just before it.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) before: Bounds,
    pub(crate) step: Step,
}

pub(crate) struct Recorder {
    tape: Mutex<(Bounds, Vec<Recorded>)>,
}

impl Recorder {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { tape: Mutex::new((bounds, Vec::new())) }
    }

    /// From now on the database is asked for this state.
    pub(crate) fn asked_for(&self, state: usize) {
        self.tape.lock().0.possible = state;
    }

    /// From now on this state must survive.
    pub(crate) fn promised(&self, state: usize) {
        self.tape.lock().0.promised = state;
    }

    /// From now on so many backups must survive.
    pub(crate) fn promised_backups(&self, backups: usize) {
        self.tape.lock().0.backups = backups;
    }

    /// What happened, and what is to be found at the end of it.
    pub(crate) fn take(&self) -> (Vec<Recorded>, Bounds) {
        let mut tape = self.tape.lock();
        (std::mem::take(&mut tape.1), tape.0)
    }
}

impl Interceptor for Recorder {
    fn intercept(
        &self,
        change: &Change<'_>,
        perform: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        // Held meanwhile, so that the steps happen in the order in which they are written down.
        let mut tape = self.tape.lock();
        perform()?;
        let recorded = Recorded { before: tape.0, step: change.into() };
        tape.1.push(recorded);
        Ok(())
    }
}
