//! Checking a database without changing it.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::derived_files::{derived_files, verify_derived};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::folder::{collection_names, read_format_file};
use crate::format::{COLLECTIONS_FOLDER, FORMAT_FILE, FRAME_TRANSACTION};
use crate::generations::{generations, log_path};
use crate::intact_frames::{Found, walk_intact};
use crate::log::LogFile;
use crate::manifest::{self, Manifest, SegmentEntry, manifest_path};
use crate::opening;
use crate::record::Id;
use crate::schema::Schema;
use crate::segment::{Segment, segment_path};
use crate::state::LiveSegment;
use crate::transaction::{self, Changes};

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Each collection, by name.
    pub collections: Vec<CollectionReport>,
    /// What is wrong outside of the collections.
    pub problems: Vec<Problem>,
}

/// What [`verify`] found in one collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionReport {
    /// The collection.
    pub name: String,
    /// Segments.
    pub segments: u64,
    /// Frames of the logs that are whole.
    pub frames: u64,
    /// Live records that segments and frames add up to.
    pub records: u64,
    /// Bytes of all logs and segments.
    pub bytes: u64,
    /// Bytes at the end that belong to an unfinished write, which nobody was told was done. They
    /// are no damage: a writer is at work, or the next opening cuts them off.
    pub unfinished_bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl VerifyReport {
    /// Whether nothing is wrong anywhere.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
            && self.collections.iter().all(|collection| collection.problems.is_empty())
    }
}

/// Reads every byte of a database, checks every checksum and decodes every frame. Takes no lock
/// and writes nothing. Memory grows with the number of ids.
///
/// # Errors
/// `NotADatabase` for anything but a database, `Version` for one of a newer release, `Io` where
/// the folder itself cannot be read. All else is in the report.
pub fn verify(path: impl AsRef<Path>) -> Result<VerifyReport> {
    let mut collections = Vec::new();
    let problems = verify_each(path.as_ref(), |report| {
        collections.push(report);
        Ok(())
    })?;
    Ok(VerifyReport { collections, problems })
}

/// As [`verify`], collection by collection; returns what is wrong outside of them.
pub(crate) fn verify_each(
    path: &Path,
    mut each: impl FnMut(CollectionReport) -> Result<()>,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    match read_format_file(&path.join(FORMAT_FILE)) {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Err(Error::NotADatabase {
                path: path.to_owned(),
                reason: "there is no file FORMAT",
            });
        }
        Err(Error::Corrupt { path, offset, reason }) => {
            problems.push(Problem { file: path, offset, what: reason });
        }
        Err(error) => return Err(error),
    }
    let folder = path.join(COLLECTIONS_FOLDER);
    if folder.exists() {
        for name in collection_names(&folder)? {
            each(verify_collection(&folder.join(&name), name))?;
        }
    }
    Ok(problems)
}

/// How often a collection is begun anew because a writer replaced its files meanwhile.
const ATTEMPTS: usize = 5;

/// What a segment is whose file is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// The end of the attempt: a writer may have removed it meanwhile.
    Error,
    /// A problem like any other.
    Problem,
}

fn verify_collection(folder: &Path, name: String) -> CollectionReport {
    for _ in 1..ATTEMPTS {
        let before = manifest_of(folder);
        let mut report = CollectionReport { name: name.clone(), ..CollectionReport::default() };
        let outcome = verify_files(folder, Missing::Error, &mut report);
        if !outcome.as_ref().is_err_and(Error::is_missing_file) {
            return finish(outcome, report, folder);
        }
        if manifest_of(folder) == before {
            break;
        }
    }
    let mut report = CollectionReport { name, ..CollectionReport::default() };
    let outcome = verify_files(folder, Missing::Problem, &mut report);
    finish(outcome, report, folder)
}

/// What counts in a folder, if anything says so.
fn manifest_of(folder: &Path) -> Option<Manifest> {
    manifest::known(folder).ok().flatten().map(|known| known.manifest)
}

fn finish(outcome: Result<()>, mut report: CollectionReport, folder: &Path) -> CollectionReport {
    if let Err(error) = outcome {
        report.problems.push(problem(error, folder));
    }
    report
}

fn problem(error: Error, folder: &Path) -> Problem {
    match error {
        Error::Corrupt { path, offset, reason } => Problem { file: path, offset, what: reason },
        error if error.is_missing_file() => {
            let what = "the file is missing".to_owned();
            match error {
                Error::Io { path, .. } => Problem { file: path, offset: 0, what },
                _ => Problem { file: folder.to_owned(), offset: 0, what },
            }
        }
        Error::Io { path, .. } if !path.as_os_str().is_empty() => {
            Problem { what: format!("{} cannot be read", path.display()), file: path, offset: 0 }
        }
        other => Problem { file: folder.to_owned(), offset: 0, what: other.to_string() },
    }
}

fn verify_files(folder: &Path, missing: Missing, report: &mut CollectionReport) -> Result<()> {
    let known = manifest::known(folder)?;
    let logs = generations(folder)?;
    let Some(&newest) = logs.last() else {
        report.problems.push(Problem {
            file: folder.to_owned(),
            offset: 0,
            what: "the collection has no log".to_owned(),
        });
        return Ok(());
    };
    let is_missing = known.is_none() && !opening::needs_no_manifest(folder, newest)?;
    let manifest = known.map(|known| {
        report.problems.extend(known.fault.map(|error| problem(error, folder)));
        known.manifest
    });
    if is_missing {
        return Err(Error::corrupt(&manifest_path(folder), 0, "the file is missing"));
    }
    // Of the logs of format version 1 the newest is the collection.
    let first = manifest.as_ref().map_or(newest, |manifest| manifest.first_log);
    let mut segments = Vec::new();
    let mut ids = HashSet::new();
    for generation in first..=newest.max(first) {
        let (log, schema) = LogFile::open(&Disk::default(), &log_path(folder, generation), false)?;
        if generation == first {
            let entries = manifest.iter().flat_map(|manifest| &manifest.segments);
            for entry in entries {
                let path = segment_path(folder, entry.number);
                match verify_segment(&path, entry, &schema, report) {
                    Ok(segment) => segments.push(LiveSegment {
                        segment: segment.into(),
                        dead: entry.dead.clone().into(),
                    }),
                    Err(error)
                        if matches!(error, Error::Io { .. })
                            && !(missing == Missing::Problem && error.is_missing_file()) =>
                    {
                        return Err(error);
                    }
                    Err(error) => report.problems.push(problem(error, folder)),
                }
            }
        }
        if generation == first {
            verify_derived_files(folder, &segments, report)?;
        }
        report.bytes += log.length()?;
        let mut check =
            Check { log: &log, segments: &mut segments, ids: &mut ids, sealed: true, report };
        if log.generation != generation {
            check.problem(16, "the header's generation is not the file name's");
        }
        check.walk(&schema)?;
        if generation < newest && (!check.sealed || check.report.unfinished_bytes > 0) {
            check.problem(log.length()?, "the log ends without a seal, but was continued");
        }
    }
    let in_segments: u64 = segments.iter().map(LiveSegment::live_rows).sum();
    report.records = ids.len() as u64 + in_segments;
    Ok(())
}

fn verify_segment(
    path: &Path,
    entry: &SegmentEntry,
    schema: &Schema,
    report: &mut CollectionReport,
) -> Result<Segment> {
    let segment = Segment::open(path, entry.number, schema)?;
    if entry.dead.max().is_some_and(|row| row >= segment.rows()) {
        return Err(Error::corrupt(path, 40, "the segment has fewer rows than died in it"));
    }
    report.segments += 1;
    report.bytes += segment.file_bytes();
    segment.verify(&mut |offset, what| {
        report.problems.push(Problem { file: path.to_owned(), offset, what });
    });
    Ok(segment)
}

/// Checks the indexes of the segments' words and of their vectors in fields. What is wrong with one
/// costs no record: the next search that needs it makes it anew.
fn verify_derived_files(
    folder: &Path,
    segments: &[LiveSegment],
    report: &mut CollectionReport,
) -> Result<()> {
    for (number, path) in derived_files(folder)? {
        if !segments.iter().any(|live| live.segment.number() == number) {
            continue;
        }
        match verify_derived(&path) {
            // A search or a merge has put another one in its place.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            Err(error) => report.problems.push(problem(error, &path)),
            Ok(()) => {}
        }
    }
    Ok(())
}

struct Check<'a> {
    log: &'a LogFile,
    segments: &'a mut Vec<LiveSegment>,
    /// Live ids that the logs have brought.
    ids: &'a mut HashSet<Id>,
    /// Whether the last frame is a seal, or there is no frame at all.
    sealed: bool,
    report: &'a mut CollectionReport,
}

impl Check<'_> {
    fn problem(&mut self, offset: u64, what: impl Into<String>) {
        let file = self.log.path.clone();
        self.report.problems.push(Problem { file, offset, what: what.into() });
    }

    fn walk(&mut self, schema: &Schema) -> Result<()> {
        let log = self.log;
        walk_intact(log, &mut |found| {
            match found {
                Found::Frame { offset, frame, missing } => {
                    self.report.frames += 1;
                    if missing > 0 {
                        self.problem(offset, "frames before this one are missing");
                    }
                    self.sealed = frame.header.kind != FRAME_TRANSACTION;
                    if !self.sealed {
                        match transaction::decode(frame.payload, schema) {
                            Some(changes) => self.apply(changes),
                            None => self.problem(offset, "a frame's content is impossible"),
                        }
                    }
                }
                Found::Gap(gap) if gap.is_unfinished => {
                    self.report.unfinished_bytes = gap.end - gap.start;
                }
                Found::Gap(gap) => self.problem(gap.start, gap.reason),
            }
            Ok(())
        })
    }

    fn apply(&mut self, changes: Changes) {
        let written = changes.records.into_iter().map(|record| record.id).collect::<Vec<_>>();
        for id in changes.deletes.iter().chain(&written) {
            if self.ids.remove(id) {
                continue;
            }
            for live in self.segments.iter_mut() {
                // A segment that cannot tell has been reported already.
                if let Ok(Some(row)) = live.segment.find(id) {
                    Arc::make_mut(&mut live.dead).insert(row);
                }
            }
        }
        self.ids.extend(written);
    }
}
