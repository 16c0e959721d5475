//! From a snapshot to a database of its own.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::copying::{Copying, UnfinishedFolder};
use crate::database_snapshot::{DatabaseSnapshot, FrozenCollection};
use crate::derived_files::{derived_files, verify_derived};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{copy_file, read_exact_at, write_atomically};
use crate::folder::format_file;
use crate::format::{FORMAT_FILE, SEGMENT_BLOCK_BYTES};
use crate::frame::PreparedFrame;
use crate::generations::log_path;
use crate::log::LogFile;
use crate::manifest::Manifest;
use crate::segment::{Segment, segment_path};
use crate::state::State;
use crate::upkeep::Progress;
use crate::writer::{LogEnd, Writer};

impl DatabaseSnapshot {
    /// Writes a database of exactly these records to a folder that does not exist, or is empty.
    /// `progress` is told the bytes copied and checked, and those in all.
    ///
    /// Segments, which nobody ever changes, become hard links where both are on one file system,
    /// and are copied otherwise; logs are copied up to where they ended. The folder appears under
    /// its name after all of it was flushed, and read and checked: what fails or is interrupted
    /// leaves nothing.
    ///
    /// # Errors
    /// `InvalidArgument` for a target that is taken, `Corrupt` naming the damaged file of the
    /// database, `Io`, `Interrupted`, `Closed`.
    pub fn backup(&self, target: impl AsRef<Path>, progress: Progress<'_>) -> Result<()> {
        let target = target.as_ref();
        let mut bytes = 0;
        for frozen in self.frozen_collections() {
            // A copy would be one without these records, and say nothing of them.
            if let Some(aside) = frozen.view().state()?.set_aside().first() {
                return Err(aside.error());
            }
        }
        for name in self.collections() {
            bytes += self.collection(&name)?.stats()?.file_bytes;
        }
        let doing = format!("the backup to {}", target.display());
        let mut copying = Copying::new(doing, bytes, progress);
        let folder = UnfinishedFolder::create(self.disk(), target)?;
        for frozen in self.frozen_collections() {
            let to = folder.create_collection(frozen.view().name())?;
            copy_collection(frozen, folder.disk(), &to, &mut copying)?;
        }
        write_atomically(folder.disk(), &folder.path().join(FORMAT_FILE), &format_file())?;
        copying.check(folder.path(), self.source(), |report| {
            let records = self.collection(&report.name).and_then(|collection| collection.len());
            records.is_ok_and(|records| records as u64 == report.records)
                && report.unfinished_bytes == 0
        })?;
        folder.complete()
    }
}

fn copy_collection(
    frozen: &FrozenCollection,
    disk: &Disk,
    to: &Path,
    copying: &mut Copying<'_>,
) -> Result<()> {
    let state = frozen.view().state()?;
    let manifest = {
        let view = frozen.view();
        Manifest::of(&state, view.schema(), view.index(), frozen.next_segment())
    };
    for live in state.segments().iter() {
        let path = segment_path(to, live.segment.number());
        if link(disk, &live.segment, &path)? {
            copying.advance(live.segment.file_bytes())?;
        } else {
            let bytes = live.segment.bytes();
            copying.write(disk, &path, bytes.len() as u64, |offset, chunk| {
                chunk.copy_from_slice(&bytes[offset as usize..offset as usize + chunk.len()]);
                Ok(())
            })?;
        }
    }
    copy_derived_files(&state, disk, to)?;
    copy_logs(&state, frozen.log_end(), disk, to, copying)?;
    manifest.write(disk, to)
}

/// Makes a hard link to a segment's file; false where that cannot be: on another file system, or
/// because a merge has removed the file, which only its mapping keeps.
fn link(disk: &Disk, segment: &Segment, to: &Path) -> Result<bool> {
    if disk.hard_link(segment.path(), to).is_err() {
        return Ok(false);
    }
    // A collection of the same name, created after ours was dropped, has such a file too. The salt
    // in the header tells them apart.
    let mut header = [0; SEGMENT_BLOCK_BYTES];
    File::open(to)
        .and_then(|file| read_exact_at(&file, &mut header, 0))
        .map_err(Error::io(to, "read"))?;
    if segment.bytes().starts_with(&header) {
        return Ok(true);
    }
    disk.remove_file(to).map_err(Error::io(to, "remove"))?;
    Ok(false)
}

/// Copies the indexes of words and of fields that are there and sound. The others are made anew by
/// whoever searches the copy.
fn copy_derived_files(state: &State, disk: &Disk, to: &Path) -> Result<()> {
    let Some(live) = state.segments().first() else { return Ok(()) };
    let Some(folder) = live.segment.path().parent() else { return Ok(()) };
    // After the collection was dropped there is none any more.
    for (number, path) in derived_files(folder).unwrap_or_default() {
        let (Some(name), true) =
            (path.file_name(), state.segments().iter().any(|live| live.segment.number() == number))
        else {
            continue;
        };
        let to = to.join(name);
        let copied = match disk.hard_link(&path, &to) {
            Ok(()) => Ok(()),
            Err(_) => copy_file(disk, &path, &to),
        };
        if copied.is_err() || verify_derived(&to).is_err() {
            // It may have been removed by a merge before it was there.
            match disk.remove_file(&to) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(&to, "remove")(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Logs are never linked: opening a database may cut its logs off, and appends to the newest.
fn copy_logs(
    state: &State,
    end: LogEnd,
    disk: &Disk,
    to: &Path,
    copying: &mut Copying<'_>,
) -> Result<()> {
    let newest = state.active_head().log();
    for head in state.heads() {
        let log = head.log();
        let bytes = if Arc::ptr_eq(log, newest) { end.offset } else { log.length()? };
        copying.write(disk, &log_path(to, log.generation), bytes, |offset, chunk| {
            chunk.copy_from_slice(&log.read(offset, chunk.len())?);
            Ok(())
        })?;
    }
    match end.sealed {
        true => Ok(()),
        false => seal(disk, &log_path(to, newest.generation), end),
    }
}

/// With a seal, no byte of the copy can change unnoticed.
fn seal(disk: &Disk, path: &Path, end: LogEnd) -> Result<()> {
    let (log, _) = LogFile::open(disk, path, true)?;
    let LogEnd { offset, next_sequence, sealed } = end;
    let mut writer = Writer { log: Arc::new(log), end: offset, next_sequence, sealed };
    writer.append(&mut PreparedFrame::seal(), offset).map_err(Error::io(path, "write to"))?;
    writer.log.flush()
}
