//! Getting appended bytes onto the medium, one flush for all who wait.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::log::LogFile;

/// How far a collection's log is written and flushed.
pub(crate) struct GroupCommit {
    name: String,
    progress: Mutex<Progress>,
    changed: Condvar,
}

struct Progress {
    /// `None` once the collection is closed.
    log: Option<Arc<LogFile>>,
    generation: u64,
    written: u64,
    durable: u64,
    /// Whether somebody is flushing right now.
    syncing: bool,
    /// Set for good when it is no longer known what the log ends with.
    failure: Option<String>,
}

impl GroupCommit {
    /// For a log that is on the medium up to `end`.
    pub(crate) fn new(name: &str, log: Arc<LogFile>, end: u64) -> Self {
        Self {
            name: name.to_owned(),
            progress: Mutex::new(Progress {
                generation: log.generation,
                log: Some(log),
                written: end,
                durable: end,
                syncing: false,
                failure: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Every byte before this one is on the medium.
    pub(crate) fn durable(&self) -> u64 {
        self.progress.lock().durable
    }

    /// How long the log is.
    pub(crate) fn written(&self) -> u64 {
        self.progress.lock().written
    }

    /// The log now ends here.
    pub(crate) fn appended(&self, end: u64) {
        self.progress.lock().written = end;
    }

    /// Refuses all further writes.
    pub(crate) fn poison(&self, reason: String) {
        self.progress.lock().failure.get_or_insert(reason);
        self.changed.notify_all();
    }

    /// # Errors
    /// `Poisoned` after a failure that left the log's end unknown.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_progress(&self.progress.lock())
    }

    /// Goes on with the next log, which is on the medium up to its `end`, as the one before is as a
    /// whole: everyone who waits for that one is settled.
    pub(crate) fn replace(&self, log: Arc<LogFile>, end: u64) {
        let mut progress = self.progress.lock();
        progress.generation = log.generation;
        progress.log = Some(log);
        progress.written = end;
        progress.durable = end;
        self.changed.notify_all();
    }

    /// Lets go of the log.
    pub(crate) fn close(&self) {
        self.progress.lock().log = None;
        self.changed.notify_all();
    }

    /// Returns once everything appended so far is on the medium.
    pub(crate) fn sync_all(&self) -> Result<()> {
        let (generation, written) = {
            let progress = self.progress.lock();
            (progress.generation, progress.written)
        };
        self.sync_through(generation, written)
    }

    /// Returns once the log of this generation is on the medium up to `offset`, or a later
    /// generation is. Whoever finds nobody flushing flushes for all.
    pub(crate) fn sync_through(&self, generation: u64, offset: u64) -> Result<()> {
        let mut progress = self.progress.lock();
        loop {
            if progress.generation != generation || progress.durable >= offset {
                return Ok(());
            }
            self.check_progress(&progress)?;
            let log = progress.log.clone().ok_or(Error::Closed)?;
            if progress.syncing {
                self.changed.wait(&mut progress);
                continue;
            }
            progress.syncing = true;
            let written = progress.written;
            drop(progress);
            let outcome = log.file.sync_data();
            progress = self.progress.lock();
            progress.syncing = false;
            self.changed.notify_all();
            let current = progress.generation == generation;
            match outcome {
                Ok(()) if current => progress.durable = written,
                // The system may have dropped the pages that it failed to write, so trying again
                // could report success for bytes that are lost.
                Err(source) if current => {
                    let doing = "flush";
                    progress.failure.get_or_insert(format!("a flush failed: {source}"));
                    return Err(Error::Io { path: log.path.clone(), doing, source });
                }
                _ => {}
            }
        }
    }

    fn check_progress(&self, progress: &Progress) -> Result<()> {
        match &progress.failure {
            None => Ok(()),
            Some(reason) => {
                Err(Error::Poisoned { name: self.name.clone(), reason: reason.clone() })
            }
        }
    }
}
