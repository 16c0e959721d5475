//! Opening what a damaged log keeps closed: its frames that are whole are written anew, the file is
//! kept, and what is lost is told.
//!
//! A frame that is lost may have replaced records, or deleted some: these are back then, as they were
//! before it. So this is never done unless somebody says so, but where nothing is lost.

use std::path::{Path, PathBuf};

use crate::containment::DamagedFile;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{copy_file, sync_directory};
use crate::format::{DAMAGED_SUFFIX, FRAME_HEADER_BYTES, FRAME_TRANSACTION};
use crate::frame::PreparedFrame;
use crate::generations::{generations, log_path};
use crate::intact_frames::{Found, Gap, walk_intact};
use crate::log::LogFile;
use crate::manifest::{self, manifest_path};
use crate::schema::Schema;
use crate::transaction;
use crate::writer::Writer;

/// Looks for what is damaged in the logs of a collection that is not open, and makes them sound if
/// nothing is lost, or `accept_loss` says so. Returns what was found; nothing where other things keep
/// the collection closed.
///
/// # Errors
/// `Corrupt` where nothing says which logs count, or what is in them, or a log is another
/// collection's; `Version`, `Io`.
pub(crate) fn salvage(disk: &Disk, folder: &Path, accept_loss: bool) -> Result<Vec<DamagedFile>> {
    let Some(known) = manifest::known(folder)? else {
        return Err(Error::corrupt(&manifest_path(folder), 0, "the file is missing"));
    };
    let first = known.manifest.first_log;
    let newest = generations(folder)?.last().map_or(first, |newest| first.max(*newest));
    let schema = known.manifest.schema.map_or_else(|| any_schema(folder, first, newest), Ok)?;
    let mut damaged = Vec::new();
    for generation in first..=newest {
        let path = log_path(folder, generation);
        let Some(LogDamage { log, mut file }) =
            examine(&path, generation, generation < newest, &schema)?
        else {
            continue;
        };
        if accept_loss || !file.is_loss() {
            file.kept_as = keep(disk, &path)?;
            write_anew(disk, &path, generation, &schema, log.as_ref())?;
        } else {
            file.keeps_closed = true;
        }
        damaged.push(file);
    }
    Ok(damaged)
}

/// What a sound log says, where the manifest is of a version that does not say it.
fn any_schema(folder: &Path, first: u64, newest: u64) -> Result<Schema> {
    let mut outcome = Err(Error::corrupt(&log_path(folder, first), 0, "the file is missing"));
    for generation in first..=newest {
        match LogFile::open(&Disk::default(), &log_path(folder, generation), false) {
            Ok((_, schema)) => return Ok(schema),
            Err(error) if error.is_missing_file() => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

struct LogDamage {
    /// The log to read its frames from; `None` where it cannot have any.
    log: Option<LogFile>,
    file: DamagedFile,
}

/// What is damaged in a log; `None` if it is sound. One that `is_continued` by another log must end
/// with a seal.
fn examine(
    path: &Path,
    generation: u64,
    is_continued: bool,
    schema: &Schema,
) -> Result<Option<LogDamage>> {
    let mut problems = Vec::new();
    let log = match LogFile::open(&Disk::default(), path, false) {
        Ok((log, found)) if log.generation == generation && found == *schema => Some(log),
        Ok((log, _)) => return Err(log.corrupt(16, "the log belongs to another place")),
        Err(Error::Corrupt { offset, reason, .. }) => {
            problems.push((offset, reason));
            LogFile::open_without_header(path, generation, schema)?
        }
        Err(error) if error.is_missing_file() => {
            problems.push((0, "the file is missing".to_owned()));
            None
        }
        Err(error) => return Err(error),
    };
    let is_headless = !problems.is_empty();
    let mut is_loss = log.is_none();
    if let Some(log) = &log {
        let (mut is_sealed, mut frames) = (true, 0_u64);
        walk_intact(log, &mut |found| {
            let gap = match found {
                Found::Frame { offset, frame, missing } => {
                    frames += 1;
                    is_sealed = frame.header.kind != FRAME_TRANSACTION;
                    let is_decoded =
                        is_sealed || transaction::decode(frame.payload, schema).is_some();
                    let end = offset + frame.header.frame_bytes().unwrap_or_default();
                    let gap = |start, end, reason, frames| Gap {
                        start,
                        end,
                        reason,
                        frames: Some(frames),
                        is_unfinished: false,
                    };
                    match (missing, is_decoded) {
                        (0, true) => return Ok(()),
                        (0, false) => gap(offset, end, "a frame's content is impossible", 1),
                        _ => gap(offset, offset, "frames before this one are missing", missing),
                    }
                }
                Found::Gap(gap) => gap,
            };
            // Behind a damaged header, what is no frame was never shown to be unfinished.
            if gap.is_unfinished && !is_continued && !(is_headless && frames == 0) {
                return Ok(());
            }
            // A seal is the only frame without a payload, and holds nothing.
            let is_seal = is_continued
                && gap.end == log.length()?
                && gap.end - gap.start == FRAME_HEADER_BYTES as u64;
            is_sealed |= is_seal;
            is_loss |= !is_seal;
            problems.push((gap.start, words(&gap, is_seal)));
            Ok(())
        })?;
        if is_continued && !is_sealed {
            let reason = "the log ends without a seal, but was continued; how much is lost behind \
                          it is not known";
            problems.push((log.length()?, reason.to_owned()));
            is_loss = true;
        }
    }
    let file = DamagedFile {
        file: path.to_owned(),
        lost_records: if is_loss { None } else { Some(0) },
        lost_ids: Vec::new(),
        is_set_aside: false,
        kept_as: None,
        keeps_closed: false,
        problems,
    };
    Ok((!file.problems.is_empty()).then_some(LogDamage { log, file }))
}

fn words(gap: &Gap, is_seal: bool) -> String {
    let (reason, bytes) = (gap.reason, gap.end - gap.start);
    match gap.frames {
        _ if is_seal => format!("{reason}; it was the log's seal, and nothing is lost with it"),
        Some(1) => format!("{reason}; one transaction of {bytes} bytes is lost"),
        Some(frames) => format!("{reason}; {frames} transactions of {bytes} bytes are lost"),
        None => format!("{reason}; {bytes} bytes are lost, of an unknown number of transactions"),
    }
}

/// Copies a damaged file to a name where nobody touches it, and returns that; `None` where the file
/// itself is missing. The file stays: no crash leaves the collection without it.
pub(crate) fn keep(disk: &Disk, path: &Path) -> Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(DAMAGED_SUFFIX);
        if number > 1 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    let to = (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0));
    copy_file(disk, path, &to)?;
    if let Some(folder) = path.parent() {
        sync_directory(disk, folder)?;
    }
    Ok(Some(to))
}

/// Puts a log of the frames that are whole, in their order, in the place of a damaged one.
fn write_anew(
    disk: &Disk,
    path: &Path,
    generation: u64,
    schema: &Schema,
    damaged: Option<&LogFile>,
) -> Result<()> {
    let mut writer = Writer::new(LogFile::create(disk, path.to_owned(), generation, schema)?);
    let synced = writer.end;
    if let Some(damaged) = damaged {
        walk_intact(damaged, &mut |found| {
            let Found::Frame { frame, .. } = found else { return Ok(()) };
            let is_whole = frame.header.kind == FRAME_TRANSACTION
                && transaction::decode(frame.payload, schema).is_some();
            if is_whole {
                let mut bytes = vec![0; FRAME_HEADER_BYTES];
                bytes.extend_from_slice(frame.payload);
                let mut frame = PreparedFrame::new(FRAME_TRANSACTION, bytes);
                writer.append(&mut frame, synced).map_err(Error::io(path, "write to"))?;
            }
            Ok(())
        })?;
    }
    writer.log.flush()?;
    let synced = writer.end;
    writer.append(&mut PreparedFrame::seal(), synced).map_err(Error::io(path, "write to"))?;
    writer.log.flush()?;
    writer.log.publish(disk)?;
    path.parent().map_or(Ok(()), |folder| sync_directory(disk, folder))
}
