//! A damaged log keeps its collection closed, and nothing else; repairing saves every transaction that is
//! whole, keeps the damaged file, and says what is lost.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{collection, copy, numbers, one, open_sync};
use database::disk::{Change, Disk, Interceptor};
use database::{Collection, DamagedFile, Database, Error, Options, verify};
use tempfile::{TempDir, tempdir};

/// What the transactions of the log do, one after the other.
const STEPS: [Step; 6] = [
    Step::Write(10),
    Step::Write(11),
    Step::Delete(10),
    Step::Write(12),
    Step::Delete(3),
    Step::Write(13),
];

/// Records of the segment.
const OLD: Range<i64> = 0..6;

#[derive(Clone, Copy)]
enum Step {
    Write(i64),
    Delete(i64),
}

fn play(collection: &Collection, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Write(number) => assert_eq!(collection.upsert(one(*number)).unwrap().upserted, 1),
            Step::Delete(number) => assert_eq!(collection.delete(&[(*number).into()]).unwrap(), 1),
        }
    }
}

/// The records that there are without the transactions at some places.
fn without(lost: &[usize]) -> BTreeSet<i64> {
    let mut there: BTreeSet<i64> = OLD.collect();
    for (place, step) in STEPS.iter().enumerate().filter(|(place, _)| !lost.contains(place)) {
        match step {
            Step::Write(number) => assert!(there.insert(*number), "{place} is new"),
            Step::Delete(number) => drop(there.remove(number)),
        }
    }
    there
}

/// A closed database with a collection "c" of a segment and a log, and a collection "d".
fn sample() -> TempDir {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    for number in OLD {
        records.upsert(one(number)).unwrap();
    }
    records.compact().unwrap();
    play(&records, &STEPS);
    let schema = records.schema().clone();
    database.collection("d", Some(schema)).unwrap().upsert(one(1)).unwrap();
    database.close().unwrap();
    folder
}

/// Where the frames of a log are.
fn frames(log: &[u8]) -> Vec<Range<usize>> {
    let number = |at: usize, bytes: usize| {
        log[at..at + bytes].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
    };
    let (mut start, mut frames) = (number(12, 4), Vec::new());
    while start < log.len() {
        let end = start + 40 + number(start + 8, 8).next_multiple_of(8);
        frames.push(start..end);
        start = end;
    }
    frames
}

fn go_on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn of(repaired: Vec<(String, Vec<DamagedFile>)>, name: &str) -> Vec<DamagedFile> {
    repaired.into_iter().find(|(other, _)| other == name).unwrap().1
}

/// Checks that a damaged database says so and changes nothing, then repairs it; returns what is there.
fn repaired(path: &Path, damaged: &[&Path]) -> BTreeSet<i64> {
    assert!(!verify(path).unwrap().is_sound());
    let before: Vec<Option<Vec<u8>>> = damaged.iter().map(|file| fs::read(file).ok()).collect();
    let database = open_sync(path);
    assert!(matches!(database.collection("c", None), Err(Error::Corrupt { .. })));
    assert_eq!(numbers(&database.collection("d", None).unwrap()), [1], "others are open");
    let told = database.repair(false, &go_on).unwrap();
    assert_eq!(of(told.clone(), "d"), []);
    let told = of(told, "c");
    assert!(told.iter().any(|file| file.keeps_closed && file.is_loss()), "{told:?}");
    assert!(matches!(database.collection("c", None), Err(Error::Corrupt { .. })), "nobody agreed");
    assert!(damaged.iter().map(|file| fs::read(file).ok()).eq(before.iter().cloned()));

    let told = of(database.repair(true, &go_on).unwrap(), "c");
    for (path, bytes) in damaged.iter().zip(before) {
        let file = told.iter().find(|file| file.file == *path);
        let file = file.unwrap_or_else(|| panic!("{} is told: {told:?}", path.display()));
        assert!(!file.keeps_closed && !file.problems.is_empty());
        assert_eq!(file.kept_as.as_ref().map(|path| fs::read(path).unwrap()), bytes, "it is kept");
    }
    let there: BTreeSet<i64> = numbers(&collection(&database, 2)).into_iter().collect();
    assert!(!collection(&database, 2).is_damaged());
    collection(&database, 2).upsert(one(99)).unwrap();
    database.close().unwrap();
    let report = verify(path).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let database = open_sync(path);
    let mut again: BTreeSet<i64> = numbers(&collection(&database, 2)).into_iter().collect();
    assert!(again.remove(&99) && again == there, "after opening again");
    collection(&database, 2).compact().unwrap();
    assert!(of(database.repair(false, &go_on).unwrap(), "c").is_empty(), "it is sound");
    there
}

/// Repairs what costs nothing, so that nobody has to agree; returns what is there.
fn repaired_without_loss(path: &Path, damaged: &Path) -> BTreeSet<i64> {
    let before = fs::read(damaged).unwrap();
    let database = open_sync(path);
    assert!(matches!(database.collection("c", None), Err(Error::Corrupt { .. })));
    let told = of(database.repair(false, &go_on).unwrap(), "c");
    assert_eq!(
        (told.len(), told[0].is_loss(), told[0].keeps_closed),
        (1, false, false),
        "{told:?}"
    );
    assert_eq!(fs::read(told[0].kept_as.as_ref().unwrap()).unwrap(), before);
    let there = numbers(&collection(&database, 2)).into_iter().collect();
    database.close().unwrap();
    assert!(verify(path).unwrap().is_sound());
    there
}

#[test]
fn a_damaged_byte_anywhere_in_a_log_loses_the_transaction_that_it_is_in() {
    let sample = sample();
    let log = common::log_file(sample.path());
    let sound = fs::read(&log).unwrap();
    let frames = frames(&sound);
    assert_eq!(frames.len(), STEPS.len() + 1);
    let header = frames[0].start;
    let places = (0..header).chain(frames[..STEPS.len()].iter().flat_map(|frame| {
        // Of a header each byte, of a payload some.
        (frame.start..frame.start + 40).step_by(4).chain((frame.start + 40..frame.end).step_by(7))
    }));
    // A newer version is not damage.
    for place in places.filter(|place| !(8..12).contains(place)) {
        let folder = tempdir().unwrap();
        copy(sample.path(), folder.path());
        let log = common::log_file(folder.path());
        let mut bytes = sound.clone();
        bytes[place] ^= 0x10;
        fs::write(&log, bytes).unwrap();
        let lost = frames.iter().position(|frame| frame.contains(&place));
        let there = match lost {
            Some(_) => repaired(folder.path(), &[&log]),
            None => repaired_without_loss(folder.path(), &log),
        };
        let lost: Vec<usize> = lost.into_iter().collect();
        assert_eq!(there, without(&lost), "byte {place}");
    }
}

#[test]
fn garbage_over_several_frames_loses_these() {
    let sample = sample();
    let log = common::log_file(sample.path());
    let sound = fs::read(&log).unwrap();
    let frames = frames(&sound);
    for first in 0..STEPS.len() {
        for last in first..STEPS.len() {
            let folder = tempdir().unwrap();
            copy(sample.path(), folder.path());
            let log = common::log_file(folder.path());
            let mut bytes = sound.clone();
            bytes[frames[first].start + 3..frames[last].end - 5].fill(0xa5);
            fs::write(&log, bytes).unwrap();
            let lost: Vec<usize> = (first..=last).collect();
            assert_eq!(repaired(folder.path(), &[&log]), without(&lost), "{first} to {last}");
        }
    }
}

#[test]
fn a_log_that_is_missing_leaves_what_is_in_segments() {
    let sample = sample();
    let log = common::log_file(sample.path());
    fs::remove_file(&log).unwrap();
    assert_eq!(repaired(sample.path(), &[&log]), OLD.collect());
}

/// No segment can be written: heads keep their logs.
struct NoSegments;

impl Interceptor for NoSegments {
    fn intercept(
        &self,
        change: &Change<'_>,
        perform: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        match change {
            Change::Create { path, .. } if path.to_string_lossy().contains(".seg") => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => perform(),
        }
    }
}

/// A closed database whose collection has three logs, of two transactions each, and no segment; their
/// paths.
fn three_logs() -> (TempDir, Vec<PathBuf>) {
    let folder = tempdir().unwrap();
    let disk = Disk::intercepted(Arc::new(NoSegments));
    let options = Options { disk, threads: 1, ..Options::default() };
    let database = Database::open(folder.path(), &options).unwrap();
    let records = collection(&database, 2);
    database.collection("d", Some(records.schema().clone())).unwrap().upsert(one(1)).unwrap();
    for log in 0..3 {
        play(&records, &[Step::Write(log * 2), Step::Write(log * 2 + 1)]);
        if log < 2 {
            records.compact().unwrap_err();
        }
    }
    database.close().unwrap();
    let logs: Vec<PathBuf> =
        (1..=3).map(|log| folder.path().join(format!("collections/c/{log:06}.log"))).collect();
    assert!(logs.iter().all(|log| log.exists()));
    (folder, logs)
}

#[test]
fn of_several_logs_each_loses_what_is_damaged_in_it() {
    for damaged in 0..3 {
        for way in 0..3 {
            let (folder, logs) = three_logs();
            let mut bytes = fs::read(&logs[damaged]).unwrap();
            let frames = frames(&bytes);
            match way {
                0 => bytes[frames[0].start + 50] ^= 1,
                1 => bytes[20] ^= 1,
                _ => fs::remove_file(&logs[damaged]).unwrap(),
            }
            if way < 2 {
                fs::write(&logs[damaged], bytes).unwrap();
            }
            // The newest one may have been all but begun: nobody can tell.
            if (damaged, way) == (2, 2) {
                continue;
            }
            let own = damaged as i64 * 2;
            let lost = [own..own + 1, own..own, own..own + 2][way].clone();
            let expected: BTreeSet<i64> = (0..6).filter(|number| !lost.contains(number)).collect();
            match way {
                // Nothing is lost, and nobody has to agree.
                1 => {
                    assert_eq!(repaired_without_loss(folder.path(), &logs[damaged]), expected);
                }
                _ => assert_eq!(repaired(folder.path(), &[&logs[damaged]]), expected),
            }
        }
    }
}

#[test]
fn a_log_that_was_cut_off_and_continued_is_not_taken_for_torn() {
    let (_folder, logs) = three_logs();
    let whole = fs::read(&logs[0]).unwrap();
    let frames = frames(&whole);
    for length in (frames[1].start..whole.len()).step_by(3) {
        let (folder, logs) = three_logs();
        let bytes = fs::read(&logs[0]).unwrap();
        fs::write(&logs[0], &bytes[..length]).unwrap();
        let expected = (0..6).filter(|number| *number != 1 || length >= frames[1].end).collect();
        assert_eq!(repaired(folder.path(), &[&logs[0]]), expected, "cut at {length}");
    }
}

#[test]
fn a_damaged_seal_of_a_log_that_was_continued_costs_nothing() {
    let (folder, logs) = three_logs();
    let mut bytes = fs::read(&logs[1]).unwrap();
    let seal = frames(&bytes)[2].clone();
    bytes[seal.start + 9] ^= 4;
    fs::write(&logs[1], &bytes).unwrap();
    assert_eq!(repaired_without_loss(folder.path(), &logs[1]), (0..6).collect());
}
