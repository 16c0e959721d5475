//! Segments that the manifest knows and nobody can read.
//!
//! A file that is missing, or whose header is damaged, takes no other with it: the collection is opened
//! without it, says so, and keeps the file as it is for whoever can rescue it. Should it come back, as
//! from a backup, it is read again, but for the records that were written anew meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::containment::{DamagedFile, contain};
use crate::error::{Error, Result};
use crate::manifest::SegmentEntry;
use crate::segment::segment_path;
use crate::state::LiveSegment;

/// A segment that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct SetAside {
    pub(crate) number: u64,
    dead: RoaringBitmap,
    rows: Option<u32>,
    file: PathBuf,
    offset: u64,
    what: String,
}

impl SetAside {
    /// # Errors
    /// The one that was met, where it says that the file may well be sound.
    pub(crate) fn new(entry: &SegmentEntry, folder: &Path, error: Error) -> Result<Self> {
        let file = segment_path(folder, entry.number);
        let (offset, what) = match error {
            Error::Corrupt { offset, reason, .. } => (offset, reason),
            error if error.is_missing_file() => (0, "the file is missing".to_owned()),
            error => return Err(error),
        };
        let SegmentEntry { number, dead, rows, .. } = entry.clone();
        Ok(Self { number, dead, rows, file, offset, what })
    }

    /// Whether it was the file that was not there.
    pub(crate) fn is_missing(&self) -> bool {
        !self.file.exists()
    }

    /// What the next manifest says of it.
    pub(crate) fn entry(&self) -> SegmentEntry {
        let Self { number, ref dead, rows, .. } = *self;
        SegmentEntry { number, dead: dead.clone(), rows, is_aside: true }
    }

    /// The error of whoever cannot do without it.
    pub(crate) fn error(&self) -> Error {
        Error::corrupt(&self.file, self.offset, self.what.clone())
    }

    pub(crate) fn damage(&self) -> DamagedFile {
        let live = |rows: u32| u64::from(rows).saturating_sub(self.dead.len());
        let problems = vec![(self.offset, self.what.clone())];
        DamagedFile {
            lost_records: self.rows.map(live),
            is_set_aside: true,
            ..DamagedFile::without_loss(self.file.clone(), problems)
        }
    }
}

/// Buries the records of segments that are back whose ids are in another segment: those were written
/// while they were away. Of several that are back, the one with the higher number was written later.
///
/// # Errors
/// `Corrupt` where a segment cannot tell.
pub(crate) fn reconcile(segments: &mut [LiveSegment], back: &[u64]) -> Result<()> {
    let mut back = back.to_vec();
    back.sort_unstable();
    for (place, number) in back.iter().enumerate() {
        let later = &back[place..];
        let Some(own) = segments.iter().position(|live| live.segment.number() == *number) else {
            continue;
        };
        let others: Vec<LiveSegment> = segments
            .iter()
            .filter(|live| {
                let number = live.segment.number();
                !back.contains(&number) || (later.contains(&number) && later[0] != number)
            })
            .cloned()
            .collect();
        let returned = segments[own].clone();
        let all: Vec<LiveSegment> = others.iter().cloned().chain([returned.clone()]).collect();
        let mut dead = (*returned.dead).clone();
        for row in (0..returned.segment.rows()).filter(|row| returned.is_live(*row)) {
            let is_elsewhere = contain(&all, || {
                if returned.segment.is_lost(row) {
                    return Ok(false);
                }
                let id = returned.segment.id(row)?;
                for live in &others {
                    if live.find(&id)?.is_some() {
                        return Ok(true);
                    }
                }
                Ok(false)
            })?;
            if is_elsewhere {
                dead.insert(row);
            }
        }
        segments[own].dead = Arc::new(dead);
    }
    Ok(())
}
