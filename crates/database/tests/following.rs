//! `Database::open_read_only`: what a reader makes of a writer's files, step by step.

#![cfg(unix)]

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{collection, log_file, numbers, one, open_batch};
use database::{Collection, Database, Durability, Error, Options};
use tempfile::tempdir;

fn sorted(collection: &Collection) -> Vec<i64> {
    let mut numbers = numbers(collection);
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_half_written_frame_is_not_there_until_it_is_whole() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database, 2);
    records.upsert(one(1)).unwrap();
    let log = log_file(folder.path());
    let before = fs::metadata(&log).unwrap().len();
    records.upsert(one(2)).unwrap();
    drop((records, database));
    let whole = fs::read(&log).unwrap();
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(before).unwrap();

    let reader = Database::open_read_only(folder.path()).unwrap();
    let seen = reader.collection("c", None).unwrap();
    assert_eq!(numbers(&seen), [1]);
    let (first, last) = (before as usize, whole.len());
    let frame_end = last - 40;
    for end in (first..last).step_by(7) {
        file.write_all_at(&whole[first..end], before).unwrap();
        let expected: &[i64] = if end < frame_end { &[1] } else { &[1, 2] };
        assert_eq!(numbers(&seen), expected, "{end} of {frame_end}");
    }
    file.write_all_at(&whole[first..], before).unwrap();
    assert_eq!(numbers(&seen), [1, 2]);
    assert_eq!(fs::read(&log).unwrap(), whole, "the reader wrote nothing");
}

#[test]
fn damage_behind_which_the_log_goes_on_is_an_error_and_not_a_standstill() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database, 2);
    records.upsert(one(1)).unwrap();
    let reader = Database::open_read_only(folder.path()).unwrap();
    let seen = reader.collection("c", None).unwrap();
    assert_eq!(numbers(&seen), [1]);
    let log = log_file(folder.path());
    let damaged = fs::metadata(&log).unwrap().len() + 60;
    records.upsert(one(2)).unwrap();
    records.flush().unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&log).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, damaged).unwrap();
    file.write_all_at(&[byte[0] ^ 1], damaged).unwrap();
    assert_eq!(numbers(&seen), [1], "this could be a write that is not complete");
    records.upsert(one(3)).unwrap();
    match seen.len() {
        Err(Error::Corrupt { path, offset, .. }) => assert_eq!((path, offset), (log, damaged - 60)),
        other => panic!("{other:?}"),
    }
    file.write_all_at(&byte, damaged).unwrap();
    assert_eq!(numbers(&seen), [1, 2, 3], "as it was only read wrong");
}

#[test]
fn a_missing_file_is_a_loss_where_no_writer_removed_it() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database, 2);
    for number in 0..300 {
        records.upsert(one(number)).unwrap();
    }
    records.compact().unwrap();
    database.close().unwrap();
    let reader = Database::open_read_only(folder.path()).unwrap();
    let segment = folder.path().join("collections/c/000001.seg");
    let aside = folder.path().join("aside");
    fs::rename(&segment, &aside).unwrap();
    let damage = reader.collection("c", None).unwrap().damage().unwrap();
    let told: Vec<_> = damage.iter().map(|file| (&file.file, file.lost_records)).collect();
    assert_eq!(told, [(&segment, Some(300))]);
    fs::rename(&aside, &segment).unwrap();
    let reader = Database::open_read_only(folder.path()).unwrap();
    assert_eq!(reader.collection("c", None).unwrap().damage().unwrap(), []);
    assert_eq!(reader.collection("c", None).unwrap().len().unwrap(), 300);
    assert!(matches!(reader.collection("d", None), Err(Error::NotFound { .. })));
    assert!(matches!(
        Database::open_read_only(folder.path().join("no")),
        Err(Error::NotADatabase { .. })
    ));
}

/// Flushes and merges as fast as they can be: files come and go while they are looked for.
#[test]
fn readers_follow_a_writer_whose_files_come_and_go() {
    const NUMBERS: i64 = 6000;
    let folder = tempdir().unwrap();
    let options = Options { durability: Durability::Batch, head_records: 20, ..Options::default() };
    let database = Database::open(folder.path(), &options).unwrap();
    let records = collection(&database, 2);
    let (acknowledged, done) = (std::sync::atomic::AtomicI64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (path, acknowledged, done) = (folder.path(), &acknowledged, &done);
                scope.spawn(move || {
                    let lasting = Database::open_read_only(path).unwrap();
                    let lasting = lasting.collection("c", None).unwrap();
                    let (mut looks, mut seen) = (0, 0);
                    while !done.load(Ordering::Acquire) {
                        let known = acknowledged.load(Ordering::Acquire);
                        let opened;
                        let records = match reader {
                            // One opens anew each time.
                            0 => {
                                let database = Database::open_read_only(path).unwrap();
                                opened = database.collection("c", None).unwrap();
                                &opened
                            }
                            _ => &lasting,
                        };
                        let found = sorted(records);
                        assert_eq!(found, (0..found.len() as i64).collect::<Vec<_>>());
                        let found = found.len() as i64;
                        assert!(found >= known.max(seen), "{found}, {known}, {seen}");
                        seen = found;
                        looks += 1;
                    }
                    looks
                })
            })
            .collect();
        for number in 0..NUMBERS {
            records.upsert(one(number)).unwrap();
            acknowledged.store(number + 1, Ordering::Release);
            if number % 10 == 9 {
                records.upsert(one(number / 2)).unwrap();
            }
            if number % 500 == 499 {
                records.compact().unwrap();
            }
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 5);
        }
    });
    let reader = Database::open_read_only(folder.path()).unwrap();
    let seen = reader.collection("c", None).unwrap();
    assert_eq!(sorted(&seen), (0..NUMBERS).collect::<Vec<_>>());
    assert_eq!(seen.stats().unwrap().records, records.stats().unwrap().records);
    reader.close().unwrap();
    assert!(matches!(seen.len(), Err(Error::Closed)));
}
