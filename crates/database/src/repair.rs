//! Making a collection sound again: what can be is written anew, what is lost is given up if somebody
//! says so.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::collection::Collection;
use crate::containment::DamagedFile;
use crate::database::Database;
use crate::derived_files::{derived_files, verify_derived};
use crate::error::{Error, Result};
use crate::merge_policy::SegmentSize;
use crate::sources::MergeSource;
use crate::state::LiveSegment;
use crate::store::Store;
use crate::upkeep::Progress;

impl Database {
    /// Reads every segment of every collection, writes anew what is damaged and can be derived, and
    /// returns what was damaged, collection by collection. Records that cannot be read stay as they
    /// are, unless `accept_loss` says to do without them: then the files that they were in are
    /// removed, after those that can be read were written elsewhere.
    ///
    /// A collection that a damaged log keeps closed is opened if that loses nothing, or
    /// `accept_loss` says to do without what is lost: the log's transactions that are whole are
    /// written anew, and the damaged file is kept under another name. Records that a lost
    /// transaction replaced or deleted are then back as they were before it.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`, `Io`, `Version`; `Interrupted` where `progress` said so.
    pub fn repair(
        &self,
        accept_loss: bool,
        progress: Progress<'_>,
    ) -> Result<Vec<(String, Vec<DamagedFile>)>> {
        let repaired = |name: String| {
            let mut damage = match self.collection(&name, None) {
                Err(Error::Corrupt { .. }) => self.salvage(&name, accept_loss)?,
                _ => Vec::new(),
            };
            if !damage.iter().any(|file| file.keeps_closed) {
                match self.collection(&name, None) {
                    Err(error @ Error::Corrupt { .. }) => damage.push(keeps_closed(error)?),
                    collection => damage.extend(collection?.repair(accept_loss, progress)?),
                }
            }
            Ok((name, damage))
        };
        self.collections()?.into_iter().map(repaired).collect()
    }
}

/// What is said of a file that keeps its collection closed, whatever else is tried.
fn keeps_closed(error: Error) -> Result<DamagedFile> {
    let damaged = DamagedFile::of_fault(error)?;
    Ok(DamagedFile { lost_records: None, is_set_aside: true, keeps_closed: true, ..damaged })
}

impl Collection {
    /// As [`Database::repair`], of one collection.
    ///
    /// # Errors
    /// As [`Database::repair`].
    pub fn repair(&self, accept_loss: bool, progress: Progress<'_>) -> Result<Vec<DamagedFile>> {
        let store = self.writer()?;
        let segments = store.state()?.segments().clone();
        for (done, live) in (0..).zip(segments.iter()) {
            if progress(done, segments.len() as u64).is_break() {
                return Err(Error::Interrupted { doing: format!("repairing {}", self.name()) });
            }
            live.segment.inspect();
        }
        let mut before = self.damage()?;
        before.extend(store.remove_damaged_indexes()?);
        self.view().set_mended(Vec::new());
        store.rebuild(progress)?;
        if accept_loss {
            store.give_up_lost(progress)?;
        }
        Ok(before)
    }
}

impl Store {
    /// Removes indexes beside segments that are damaged: whoever searches next makes them anew.
    fn remove_damaged_indexes(&self) -> Result<Vec<DamagedFile>> {
        let segments = self.state()?.segments().clone();
        let mut damaged = Vec::new();
        for (number, file) in derived_files(self.folder())? {
            let Err(Error::Corrupt { offset, reason, .. }) = verify_derived(&file) else {
                continue;
            };
            if let Some(live) = segments.iter().find(|live| live.segment.number() == number) {
                let segment = &live.segment;
                // Searches may have it open.
                let _ = segment.texts().discard(segment, &file)
                    || segment.field_indexes().discard(segment, &file);
            }
            match self.disk().remove_file(&file) {
                // A merge may have been sooner.
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(&file, "remove the damaged file")(error));
                }
                _ => {}
            }
            damaged.push(DamagedFile::without_loss(file, vec![(offset, reason)]));
        }
        Ok(damaged)
    }

    /// Writes segments anew of which nothing is lost but what can be derived.
    fn rebuild(self: &Arc<Self>, progress: Progress<'_>) -> Result<()> {
        self.merge_now(
            |segments, _| {
                let damaged =
                    segments.iter().position(|segment: &SegmentSize| segment.is_damaged)?;
                Some(damaged..damaged + 1)
            },
            progress,
        )
    }

    /// Writes segments anew without the rows that are lost, and forgets those that cannot be read.
    fn give_up_lost(self: &Arc<Self>, progress: Progress<'_>) -> Result<()> {
        let _merging = self.merging.lock();
        self.outside_of_pools(|| self.give_up_lost_locked(progress))
    }

    fn give_up_lost_locked(&self, progress: Progress<'_>) -> Result<()> {
        let rules = self.merge_rules();
        loop {
            let damaged = {
                let state = self.state()?;
                let lost = state.segments().iter().find(|live| !live.lost().is_empty());
                lost.map(LiveSegment::readable)
            };
            let Some(damaged) = damaged else { break };
            self.merge_segments(&MergeSource::new(vec![damaged]), &rules, progress)?;
        }
        let numbers: Vec<u64> = self.state()?.set_aside().iter().map(|it| it.number).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        self.with_writer(|_| self.change_state(|state| state.set_aside_segments(Vec::new())))?;
        numbers.into_iter().for_each(|number| self.outdate_segment(number));
        self.publish()
    }
}
