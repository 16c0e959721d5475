//! Reads that go on around damage.
//!
//! A read that meets damage in a segment has the segment examined, and is done again: what is derived
//! in the segment is then not used any more if it is damaged, and rows that cannot be read count as if
//! they were dead. So a read fails for what it asked for itself, never for what stands beside it. What
//! is damaged is known to the segment from then on, to the background, which writes anew what can be,
//! and to whoever asks ([`Collection::damage`]).

use std::path::PathBuf;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::record::Id;
use crate::set_aside::SetAside;
use crate::state::LiveSegment;

/// A file of a collection that is damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// The file.
    pub file: PathBuf,
    /// Offsets in it, and what is wrong there.
    pub problems: Vec<(u64, String)>,
    /// Live records that cannot be read; `None` where nobody knows how many these are. Of a file that
    /// is set aside, those of the last manifest: some may have been deleted since. Without any,
    /// nothing is missing anywhere, and the file is written anew in the background.
    pub lost_records: Option<u64>,
    /// Their ids, as far as they can be told.
    pub lost_ids: Vec<Id>,
    /// Whether nothing of the file can be read.
    pub is_set_aside: bool,
    /// Where the damaged bytes are kept, if another file was written in their place.
    pub kept_as: Option<PathBuf>,
    /// Whether its collection cannot be opened because of it.
    pub keeps_closed: bool,
}

impl DamagedFile {
    /// A file of which nothing is lost.
    pub(crate) fn without_loss(file: PathBuf, problems: Vec<(u64, String)>) -> Self {
        Self {
            file,
            problems,
            lost_records: Some(0),
            lost_ids: Vec::new(),
            is_set_aside: false,
            kept_as: None,
            keeps_closed: false,
        }
    }

    /// A file whose fault was got round.
    ///
    /// # Errors
    /// `fault` itself, where it is none of a file's content.
    pub(crate) fn of_fault(fault: Error) -> Result<Self> {
        let Error::Corrupt { path, offset, reason } = fault else { return Err(fault) };
        Ok(Self::without_loss(path, vec![(offset, reason)]))
    }

    /// Whether records are missing from what is found.
    pub fn is_loss(&self) -> bool {
        self.lost_records != Some(0)
    }
}

impl LiveSegment {
    /// Live rows that cannot be read, as far as is known.
    pub(crate) fn lost(&self) -> RoaringBitmap {
        match self.segment.damage_version() {
            0 => RoaringBitmap::new(),
            _ => self.segment.lost_rows() - &*self.dead,
        }
    }

    /// The same, where rows that cannot be read are dead.
    pub(crate) fn readable(&self) -> Self {
        let lost = self.lost();
        let dead = if lost.is_empty() { self.dead.clone() } else { Arc::new(lost | &*self.dead) };
        Self { segment: self.segment.clone(), dead }
    }

    pub(crate) fn damage(&self) -> Option<DamagedFile> {
        (self.segment.damage_version() > 0).then(|| {
            let lost = self.lost();
            DamagedFile {
                problems: self.segment.known_problems(),
                lost_records: Some(lost.len()),
                lost_ids: self.segment.ids_of_lost(&lost),
                ..DamagedFile::without_loss(self.segment.path().to_owned(), Vec::new())
            }
        })
    }
}

/// How often damage was learned of in these segments.
pub(crate) fn damage_version(segments: &[LiveSegment]) -> u64 {
    segments.iter().map(|live| live.segment.damage_version()).sum()
}

/// The segments for reading: rows that cannot be read are dead.
pub(crate) fn readable(segments: &Arc<Vec<LiveSegment>>) -> Arc<Vec<LiveSegment>> {
    match damage_version(segments) {
        0 => segments.clone(),
        _ => Arc::new(segments.iter().map(LiveSegment::readable).collect()),
    }
}

/// Whether there is less damage to meet for whoever reads again, after a read of these segments that
/// began when their damage had version `before`.
pub(crate) fn learn(segments: &[LiveSegment], before: u64, error: &Error) -> bool {
    if damage_version(segments) != before {
        return true;
    }
    let Error::Corrupt { path, offset, .. } = error else {
        return false;
    };
    let damaged = segments.iter().find(|live| live.segment.path() == path);
    damaged.is_some_and(|live| live.segment.examine(*offset))
}

/// Reads until no damage is met that was not known before.
///
/// # Errors
/// What `read` returns.
pub(crate) fn contain<T>(
    segments: &[LiveSegment],
    mut read: impl FnMut() -> Result<T>,
) -> Result<T> {
    loop {
        let before = damage_version(segments);
        match read() {
            Err(error) if learn(segments, before, &error) => {}
            outcome => return outcome,
        }
    }
}

impl Collection {
    /// As [`contain`], for a read that takes a snapshot of its own each time.
    pub(crate) fn contain<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        let segments = || Ok::<_, Error>(self.view().state()?.segments().clone());
        let begun = damage_version(&segments()?);
        let mut before = begun;
        loop {
            let outcome = read();
            let now = segments()?;
            let is_outdated = match &outcome {
                // A part of it may be from before something was known to be damaged.
                Ok(_) => damage_version(&now) != before,
                Err(error) => learn(&now, before, error),
            };
            if !is_outdated {
                if damage_version(&now) != begun {
                    self.look_after_damage()?;
                }
                return outcome;
            }
            before = damage_version(&now);
        }
    }

    /// Whether anything is known to be damaged.
    pub fn is_damaged(&self) -> bool {
        !self.view().mended().is_empty()
            || self.view().state().is_ok_and(|state| {
                !state.set_aside().is_empty() || damage_version(state.segments()) > 0
            })
    }

    /// What is known to be damaged. Searches and reads find out what they meet;
    /// [`verify`](crate::verify) looks at everything.
    ///
    /// # Errors
    /// `Closed`, `NotFound`, `Io`.
    pub fn damage(&self) -> Result<Vec<DamagedFile>> {
        let state = self.state()?;
        let mended = self.view().mended();
        let aside = state.set_aside().iter().map(SetAside::damage);
        Ok(mended
            .into_iter()
            .chain(aside)
            .chain(state.segments().iter().filter_map(LiveSegment::damage))
            .collect())
    }
}
