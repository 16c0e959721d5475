//! A disk that is full, broken or read-only from any one change to a file on.
//!
//! A history is played again and again; each time another change fails, and some after it, and then
//! the disk is well again. Whatever call meets the fault says so, and what the collection says of
//! itself afterwards, and holds when it is opened again, is what was acknowledged.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use database::disk::{Change, Disk, Interceptor};
use database::{Database, Error, verify};
use parking_lot::Mutex;

use crate::history::{Setting, State, read, weights_below};
use crate::random::Random;
use crate::scratch_folder;

/// How a disk fails.
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// What the operating system says.
    kind: io::ErrorKind,
    /// The first change that fails, and how many do.
    first: usize,
    count: usize,
    /// Whether a write that fails has written its first half.
    leaves_half: bool,
}

struct FailingDisk {
    fault: Fault,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    changes: usize,
    /// Where each open file is.
    paths: HashMap<u64, PathBuf>,
}

impl FailingDisk {
    fn has_failed(&self) -> bool {
        self.seen.lock().changes > self.fault.first
    }
}

impl Interceptor for FailingDisk {
    fn intercept(
        &self,
        change: &Change<'_>,
        perform: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut seen = self.seen.lock();
        let Fault { first, count, kind, leaves_half } = self.fault;
        let fails = (first..first.saturating_add(count)).contains(&seen.changes);
        seen.changes += 1;
        if fails {
            if leaves_half && let Change::Write { file, offset, bytes } = change {
                let mut file = OpenOptions::new().write(true).open(&seen.paths[file])?;
                file.seek(SeekFrom::Start(*offset))?;
                file.write_all(&bytes[..bytes.len() / 2])?;
            }
            return Err(io::Error::new(kind, "the disk of this test is ill"));
        }
        perform()?;
        match change {
            Change::Create { path, file } | Change::Open { path, file } => {
                seen.paths.insert(*file, (*path).to_owned());
            }
            Change::Rename { from, to } => {
                for path in seen.paths.values_mut() {
                    if let Ok(rest) = path.strip_prefix(from) {
                        *path = to.join(rest);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A database on a failing disk, and what it may hold.
struct Patient<'a> {
    setting: &'a Setting,
    path: &'a Path,
    disk: Disk,
    database: Option<Database>,
    /// What was acknowledged, and what was asked for in vain since.
    possible: Vec<State>,
}

/// How often a call that failed is made again: longer than the shorter faults last.
const ATTEMPTS: usize = 8;

impl Patient<'_> {
    /// The database, opened where it is not; `None` where the disk does not get well.
    fn database(&mut self) -> Option<Database> {
        for _ in 0..ATTEMPTS {
            if self.database.is_none() {
                match self.setting.open(self.path, self.disk.clone()) {
                    Ok(database) => self.database = Some(database),
                    Err(error) => {
                        assert!(matches!(error, Error::Io { .. }), "opening: {error}");
                        continue;
                    }
                }
            }
            let database = self.database.clone().expect("it is open");
            match read(&database) {
                Ok(found) => {
                    assert!(self.possible.contains(&found), "{found:?} of {:?}", self.possible);
                    return Some(database);
                }
                Err(error) => assert!(matches!(error, Error::Io { .. }), "reading: {error}"),
            }
        }
        None
    }

    /// Makes the call until it succeeds, with a database opened anew where it asks for that.
    /// Returns whether it succeeded.
    fn attempt(&mut self, after: State, call: impl Fn(&Database) -> Result<(), Error>) -> bool {
        for _ in 0..ATTEMPTS {
            let Some(database) = self.database() else {
                return false;
            };
            match call(&database) {
                Ok(()) => {
                    self.possible = vec![after];
                    let found = read(&database).expect("read");
                    assert_eq!(found, self.possible[0], "what was acknowledged is there");
                    return true;
                }
                Err(Error::Io { .. }) => self.may_hold(&after),
                Err(Error::Poisoned { .. }) => {
                    self.may_hold(&after);
                    // It reads on until it is closed, and closing says that something was not kept.
                    let found = read(&database).expect("read");
                    assert!(self.possible.contains(&found));
                    self.database = None;
                    let _ = database.close();
                }
                Err(error) => panic!("{error}"),
            }
        }
        false
    }

    fn may_hold(&mut self, after: &State) {
        if !self.possible.contains(after) {
            self.possible.push(after.clone());
        }
    }
}

/// Plays a history on a disk that fails; returns whether the fault was met.
fn play(seed: u64, fault: Fault) -> bool {
    let mut random = Random::new(seed);
    let setting = Setting::without_background(&mut random);
    let folder = scratch_folder();
    let path = folder.path().join("db");
    let failing = Arc::new(FailingDisk { fault, seen: Mutex::default() });
    let mut patient = Patient {
        setting: &setting,
        path: &path,
        disk: Disk::intercepted(failing.clone()),
        database: None,
        possible: vec![None],
    };
    let empty = Some(Default::default());
    let mut is_well = patient.attempt(empty, |db| setting.collection(db).map(drop));
    for _ in 0..14 {
        if !is_well {
            break;
        }
        let before = patient.possible[0].clone();
        let mut content = before.clone().expect("there is a collection");
        is_well = match random.below(8) {
            0..4 => {
                let transaction = setting.transaction(&mut random);
                content.apply(&transaction);
                patient.attempt(Some(content), |db| {
                    setting.collection(db)?.write(transaction.clone()).map(drop)
                })
            }
            4 => {
                content.delete_below(3);
                patient.attempt(Some(content), |db| {
                    setting.collection(db)?.delete_where(&weights_below(3)).map(drop)
                })
            }
            5 => patient.attempt(before, |db| setting.collection(db)?.compact()),
            6 => patient.attempt(before, |db| setting.collection(db)?.optimize()),
            _ => patient.attempt(before, Database::flush),
        };
    }
    if let Some(database) = patient.database.take() {
        // What fails here was not acknowledged, or is in the log all the same.
        let _ = database.close();
    }
    // The disk is well again, whatever it was before.
    let database = setting.open(&path, Disk::default()).expect("open on a sound disk");
    let found = read(&database).expect("read on a sound disk");
    assert!(patient.possible.contains(&found), "{found:?} of {:?}", patient.possible);
    let collection = setting.collection(&database).expect("the collection");
    let transaction = setting.transaction(&mut random);
    let mut content = found.unwrap_or_default();
    content.apply(&transaction);
    collection.write(transaction).expect("write");
    assert_eq!(read(&database).expect("read"), Some(content));
    database.close().expect("close");
    let report = verify(&path).expect("verify");
    assert!(report.is_sound(), "{report:?}");
    failing.has_failed()
}

#[test]
fn a_disk_that_fails_at_any_change_loses_nothing_that_was_acknowledged() {
    let mut plays = 0;
    for seed in 1..=6 {
        for first in 0.. {
            let mut random = Random::new(seed << 32 | first as u64);
            let mut is_met = false;
            for count in [1, 3, usize::MAX] {
                let kind = [
                    io::ErrorKind::StorageFull,
                    io::ErrorKind::Other,
                    io::ErrorKind::ReadOnlyFilesystem,
                ][random.below(3)];
                let fault = Fault { kind, first, count, leaves_half: random.one_in(2) };
                let outcome = std::panic::catch_unwind(|| play(seed, fault));
                is_met = outcome.unwrap_or_else(|_| panic!("seed {seed}, {fault:?}"));
                plays += 1;
            }
            if !is_met {
                break;
            }
        }
    }
    println!("{plays} histories on a failing disk");
    assert!(plays >= 900, "{plays}");
}
