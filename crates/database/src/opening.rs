//! From the files of a collection to its state.

use std::path::Path;
use std::sync::Arc;

use crate::containment::DamagedFile;
use crate::derived_files::derived_segment;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{file_names, sync_directory};
use crate::format::{SEGMENT_SUFFIX, UNFINISHED_SUFFIX};
use crate::generations::{generation_of, generations, log_path, number_of};
use crate::head::Head;
use crate::index_options::IndexOptions;
use crate::log::LogFile;
use crate::manifest::{self, Known, Manifest, SegmentEntry, manifest_path};
use crate::replay::{Replayed, replay};
use crate::salvage::keep;
use crate::schema::Schema;
use crate::segment::{Segment, segment_path};
use crate::set_aside::{SetAside, reconcile};
use crate::state::{LiveSegment, State};

/// A collection as its files have it.
pub(crate) struct Opened {
    pub(crate) schema: Schema,
    pub(crate) manifest: Manifest,
    /// The log that takes the writes.
    pub(crate) log: Arc<LogFile>,
    pub(crate) replayed: Replayed,
    /// A copy of the manifest that was damaged, and was written anew from the other one.
    pub(crate) mended: Option<DamagedFile>,
}

/// Reads the manifest, maps the segments and replays the logs. Cuts a torn tail off, removes files
/// that an interrupted flush or merge left, and gives a collection of format version 1 a manifest.
///
/// # Errors
/// `Corrupt` for damage, `Version` for a newer release's files, `Io`.
pub(crate) fn open(disk: &Disk, folder: &Path) -> Result<Opened> {
    let corrupt = |reason: String| Error::Corrupt { path: folder.to_owned(), offset: 0, reason };
    let known = manifest::known(folder)?;
    let logs = generations(folder)?;
    let Some(&newest) = logs.last() else {
        return Err(corrupt("the collection's folder holds no log".to_owned()));
    };
    let Known { manifest, mut fault, is_current } = match known {
        Some(known) => known,
        // Of the logs of format version 1 the newest is the collection.
        None if needs_no_manifest(folder, newest)? => {
            let (_, schema) = open_log(disk, folder, newest, false)?;
            let manifest = Manifest::new(newest, IndexOptions::default(), schema);
            Known { manifest, fault: None, is_current: false }
        }
        None => return Err(Error::corrupt(&manifest_path(folder), 0, "the file is missing")),
    };
    if fault.is_some() && needs_no_manifest(folder, newest).is_ok_and(|is_so| is_so) {
        // It was being given its first one.
        fault = None;
    }
    let newest = newest.max(manifest.first_log);
    let mut generation = manifest.first_log;
    let (log, schema) = open_log(disk, folder, generation, true)?;
    let (segments, aside) = open_segments(folder, &manifest, &schema, &[], Some(disk))?;
    let mut log = Arc::new(log);
    let head = Head::new(&schema, log.clone());
    let mut state = State::new(segments, manifest.documents.clone(), head);
    state.set_aside_segments(aside);
    loop {
        let replayed = replay(&log, &schema, state, generation < newest)?;
        if generation == newest {
            // A process that was killed between a rename and the flush of the folder leaves names
            // that are not on the medium yet. What is removed or written from here on relies on them.
            sync_directory(disk, folder)?;
            let mended = fault.map(|fault| keep_damaged(disk, fault)).transpose()?;
            // Before files are removed that only the other copy may need.
            if !is_current {
                manifest.clone().upgraded(&schema).write(disk, folder)?;
            }
            remove_outdated(disk, folder, &manifest)?;
            return Ok(Opened { schema, manifest, log, replayed, mended });
        }
        generation += 1;
        let (next, next_schema) = open_log(disk, folder, generation, true)?;
        if next_schema != schema {
            return Err(next.corrupt(0, "the log belongs to another collection"));
        }
        log = Arc::new(next);
        state = replayed.state;
        state.freeze(&schema, log.clone());
    }
}

/// Whether a collection is of format version 1, which had no manifests.
///
/// # Errors
/// As [`open_log`].
pub(crate) fn needs_no_manifest(folder: &Path, newest: u64) -> Result<bool> {
    let (log, _) = open_log(&Disk::default(), folder, newest, false)?;
    Ok(log.version == 1)
}

/// Keeps a copy of the manifest that is damaged, for whoever wants to know, before another one is
/// written in its place.
fn keep_damaged(disk: &Disk, fault: Error) -> Result<DamagedFile> {
    let damaged = DamagedFile::of_fault(fault)?;
    Ok(DamagedFile { kept_as: keep(disk, &damaged.file)?, ..damaged })
}

/// # Errors
/// `Corrupt` for one that is missing or another one's; as [`LogFile::open`].
pub(crate) fn open_log(
    disk: &Disk,
    folder: &Path,
    generation: u64,
    writable: bool,
) -> Result<(LogFile, Schema)> {
    let path = log_path(folder, generation);
    let (log, schema) =
        LogFile::open(disk, &path, writable).map_err(|error| match error.is_missing_file() {
            true => Error::corrupt(&path, 0, "the file is missing"),
            false => error,
        })?;
    match log.generation == generation {
        true => Ok((log, schema)),
        false => Err(log.corrupt(16, "the header's generation is not the file name's")),
    }
}

/// The manifest's segments, and those that cannot be read; those among `known` are not opened again.
/// Who may write says to what.
pub(crate) fn open_segments(
    folder: &Path,
    manifest: &Manifest,
    schema: &Schema,
    known: &[LiveSegment],
    disk: Option<&Disk>,
) -> Result<(Vec<LiveSegment>, Vec<SetAside>)> {
    let open = |entry: &SegmentEntry| {
        let known = known.iter().find(|live| live.segment.number() == entry.number);
        let segment = match known {
            Some(live) => live.segment.clone(),
            None => {
                let path = segment_path(folder, entry.number);
                let segment = Segment::open(&path, entry.number, schema)?;
                Arc::new(match disk {
                    Some(disk) => segment.writing_to(disk),
                    None => segment,
                })
            }
        };
        if entry.dead.max().is_some_and(|row| row >= segment.rows()) {
            let reason = "the segment has fewer rows than died in it";
            return Err(Error::corrupt(segment.path(), 40, reason));
        }
        Ok(LiveSegment { segment, dead: Arc::new(entry.dead.clone()) })
    };
    let (mut segments, mut aside, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &manifest.segments {
        match open(entry) {
            Ok(live) => {
                segments.push(live);
                back.extend(entry.is_aside.then_some(entry.number));
            }
            Err(error) => aside.push(SetAside::new(entry, folder, error)?),
        }
    }
    reconcile(&mut segments, &back)?;
    Ok((segments, aside))
}

/// Removes what the manifest does not know: logs that became segments, segments that were merged or
/// never published, and unfinished files.
fn remove_outdated(disk: &Disk, folder: &Path, manifest: &Manifest) -> Result<()> {
    for name in file_names(folder)? {
        let is_known = |number| manifest.segments.iter().any(|entry| entry.number == number);
        let outdated = name.ends_with(UNFINISHED_SUFFIX)
            || generation_of(&name).is_some_and(|generation| generation < manifest.first_log)
            || number_of(&name, SEGMENT_SUFFIX).is_some_and(|number| !is_known(number))
            || derived_segment(&name).is_some_and(|number| !is_known(number));
        if outdated {
            let path = folder.join(name);
            disk.remove_file(&path).map_err(Error::io(&path, "remove the outdated file"))?;
        }
    }
    Ok(())
}
