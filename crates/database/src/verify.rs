//! Checking a database without changing it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::folder::{collection_names, read_format_file};
use crate::format::{COLLECTIONS_FOLDER, FORMAT_FILE, FRAME_TRANSACTION};
use crate::frames::{Fault, Frames};
use crate::generations::{log_path, newest_generation};
use crate::log::LogFile;
use crate::record::Id;
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
    /// Frames that are whole.
    pub frames: u64,
    /// Live records that they add up to.
    pub records: u64,
    /// Bytes of the log.
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
    let path = path.as_ref();
    let mut report = VerifyReport::default();
    match read_format_file(&path.join(FORMAT_FILE)) {
        Ok(true) => {}
        Ok(false) => {
            return Err(Error::NotADatabase {
                path: path.to_owned(),
                reason: "there is no file FORMAT",
            });
        }
        Err(Error::Corrupt { path, offset, reason }) => {
            report.problems.push(Problem { file: path, offset, what: reason });
        }
        Err(error) => return Err(error),
    }
    let folder = path.join(COLLECTIONS_FOLDER);
    if folder.exists() {
        for name in collection_names(&folder)? {
            report.collections.push(verify_collection(&folder.join(&name), name));
        }
    }
    Ok(report)
}

fn verify_collection(folder: &Path, name: String) -> CollectionReport {
    let mut report = CollectionReport { name, ..CollectionReport::default() };
    if let Err(error) = verify_newest_log(folder, &mut report) {
        report.problems.push(match error {
            Error::Corrupt { path, offset, reason } => Problem { file: path, offset, what: reason },
            other => Problem { file: folder.to_owned(), offset: 0, what: other.to_string() },
        });
    }
    report
}

fn verify_newest_log(folder: &Path, report: &mut CollectionReport) -> Result<()> {
    let Some(generation) = newest_generation(folder)? else {
        report.problems.push(Problem {
            file: folder.to_owned(),
            offset: 0,
            what: "the collection has no log".to_owned(),
        });
        return Ok(());
    };
    let (log, schema) = match LogFile::open(&log_path(folder, generation), false) {
        // A writer has just put a compacted log in its place.
        Err(_) if newest_generation(folder)? != Some(generation) => {
            return verify_newest_log(folder, report);
        }
        outcome => outcome?,
    };
    report.bytes = log.length()?;
    let mut check = Check { log: &log, ids: HashSet::new(), next_sequence: 1, synced: 0, report };
    if log.generation != generation {
        check.problem(16, "the header's generation is not the file name's");
    }
    check.walk(schema.dimension)?;
    check.report.records = check.ids.len() as u64;
    Ok(())
}

struct Check<'a> {
    log: &'a LogFile,
    ids: HashSet<Id>,
    next_sequence: u64,
    /// A frame that was found behind a bad one knew the log up to here to be on the medium.
    synced: u64,
    report: &'a mut CollectionReport,
}

impl Check<'_> {
    fn problem(&mut self, offset: u64, what: impl Into<String>) {
        let file = self.log.path.clone();
        self.report.problems.push(Problem { file, offset, what: what.into() });
    }

    fn walk(&mut self, dimension: usize) -> Result<()> {
        let mut frames = Frames::new(self.log)?;
        loop {
            let offset = frames.offset();
            let fault = match frames.next()? {
                None => return Ok(()),
                Some(Ok(frame)) => {
                    self.report.frames += 1;
                    if frame.header.sequence != self.next_sequence {
                        self.problem(offset, "frames before this one are missing");
                    }
                    self.next_sequence = frame.header.sequence.saturating_add(1);
                    if frame.header.kind == FRAME_TRANSACTION {
                        match transaction::decode(frame.payload, dimension) {
                            Some(changes) => self.apply(changes),
                            None => self.problem(offset, "a frame's content is impossible"),
                        }
                    }
                    continue;
                }
                Some(Err(fault)) => fault,
            };
            if !self.pass(&mut frames, fault)? {
                return Ok(());
            }
        }
    }

    fn apply(&mut self, changes: Changes) {
        for id in &changes.deletes {
            self.ids.remove(id);
        }
        self.ids.extend(changes.records.into_iter().map(|record| record.id));
    }

    /// Finds the frame to go on with behind a bad one; false where the rest is an unfinished
    /// write, which a fault is unless a later frame knew its bytes to be on the medium.
    fn pass(&mut self, frames: &mut Frames<'_>, fault: Fault) -> Result<bool> {
        let bad = frames.offset();
        let next = self.next_sequence;
        if bad >= self.synced {
            let later =
                frames.find_header(bad, |header| header.sequence >= next && header.synced > bad)?;
            let Some((_, header)) = later else {
                self.report.unfinished_bytes = frames.end() - bad;
                return Ok(false);
            };
            self.synced = header.synced;
        }
        self.problem(bad, fault.reason);
        let resume_at = match fault.next_frame {
            Some(offset) => {
                self.next_sequence += 1;
                offset
            }
            None => match frames.find_header(bad, |header| header.sequence >= next)? {
                Some((offset, header)) => {
                    self.next_sequence = header.sequence;
                    offset
                }
                None => frames.end(),
            },
        };
        frames.resume_at(resume_at);
        Ok(true)
    }
}
