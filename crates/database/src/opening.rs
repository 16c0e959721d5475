//! From the files of a collection to its state.

use std::path::Path;
use std::sync::Arc;

use crate::derived_files::derived_segment;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{file_names, sync_directory};
use crate::format::{SEGMENT_SUFFIX, UNFINISHED_SUFFIX};
use crate::generations::{generation_of, generations, log_path, number_of};
use crate::head::Head;
use crate::index_options::IndexOptions;
use crate::log::LogFile;
use crate::manifest::{Manifest, SegmentEntry};
use crate::replay::{Replayed, replay};
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
}

/// Reads the manifest, maps the segments and replays the logs. Cuts a torn tail off, removes files
/// that an interrupted flush or merge left, and gives a collection of format version 1 a manifest.
///
/// # Errors
/// `Corrupt` for damage, `Version` for a newer release's files, `Io`.
pub(crate) fn open(disk: &Disk, folder: &Path) -> Result<Opened> {
    let corrupt = |reason: String| Error::Corrupt { path: folder.to_owned(), offset: 0, reason };
    let known = Manifest::read(folder)?;
    let logs = generations(folder)?;
    let Some(&newest) = logs.last() else {
        return Err(corrupt("the collection's folder holds no log".to_owned()));
    };
    let manifest = match known {
        Some(manifest) => manifest,
        // Of the logs of format version 1 the newest is the collection.
        None => {
            let manifest = Manifest::new(newest, IndexOptions::default());
            manifest.write(disk, folder)?;
            manifest
        }
    };
    if newest < manifest.first_log {
        return Err(corrupt(format!("log {} is missing", manifest.first_log)));
    }
    let mut generation = manifest.first_log;
    let (log, schema) = open_log(disk, folder, generation, true)?;
    let (segments, aside) = open_segments(folder, &manifest, &schema, &[], Some(disk))?;
    let mut log = Arc::new(log);
    let head = Head::new(&schema, log.clone());
    let mut state = State::new(segments, manifest.documents.clone(), head);
    state.set_aside_segments(aside);
    loop {
        let replayed = replay(&log, &schema, state)?;
        if generation == newest {
            // A process that was killed between a rename and the flush of the folder leaves names
            // that are not on the medium yet. What is removed or written from here on relies on them.
            sync_directory(disk, folder)?;
            remove_outdated(disk, folder, &manifest)?;
            return Ok(Opened { schema, manifest, log, replayed });
        }
        // The next log was begun after this one had been sealed and flushed.
        if !replayed.sealed || replayed.bytes_cut > 0 {
            return Err(log.corrupt(replayed.end, "the log ends without a seal, but was continued"));
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

pub(crate) fn open_log(
    disk: &Disk,
    folder: &Path,
    generation: u64,
    writable: bool,
) -> Result<(LogFile, Schema)> {
    let (log, schema) = LogFile::open(disk, &log_path(folder, generation), writable)?;
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
