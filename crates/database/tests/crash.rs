//! What is left after a crash: exactly what was acknowledged, or a clear error.
//!
//! A copy of the files of an open database is what a killed process leaves; cutting or spoiling
//! what had not been flushed makes it what a power failure leaves.

mod common;

use std::fs;
use std::path::Path;

use common::{collection, copy, log_file, numbers, one, open_batch, open_sync};
use database::format::FRAME_HEADER_BYTES;
use database::{Database, Error, Options, verify};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::{TempDir, tempdir};

type Opening = fn(&Path) -> Database;

/// A database with the records 1 to `count`, one a frame, as a killed process leaves it, and the
/// length of its log before the first record and after each one.
fn image(count: i64, open: Opening, flush_after: i64) -> (TempDir, Vec<u64>) {
    let folder = tempdir().unwrap();
    let live = folder.path().join("live");
    let database = open(&live);
    let records = collection(&database, 2);
    let mut lengths = vec![records.stats().unwrap().file_bytes];
    for number in 1..=count {
        records.upsert(one(number)).unwrap();
        lengths.push(records.stats().unwrap().file_bytes);
        if number == flush_after {
            records.flush().unwrap();
        }
    }
    copy(&live, &folder.path().join("image"));
    (folder, lengths)
}

fn try_open(path: &Path) -> Result<Vec<i64>, Error> {
    let database = Database::open(path, &Options::default())?;
    Ok(numbers(&database.collection("c", None)?))
}

fn first(count: usize) -> Vec<i64> {
    (1..=count as i64).collect()
}

#[test]
fn a_log_cut_at_any_byte_keeps_the_writes_before_the_cut_and_goes_on() {
    for (open, count) in [(open_batch as Opening, 2), (open_sync, 1)] {
        let (folder, lengths) = image(count as i64, open, 0);
        let image = folder.path().join("image");
        let log = log_file(&image);
        let whole = fs::read(&log).unwrap();
        for length in lengths[0]..=lengths[count] {
            fs::write(&log, &whole[..length as usize]).unwrap();
            let kept = lengths[1..].iter().filter(|end| **end <= length).count();
            {
                let database = open_sync(&image);
                let records = collection(&database, 2);
                assert_eq!(numbers(&records), first(kept), "cut at {length}");
                assert_eq!(fs::metadata(&log).unwrap().len(), lengths[kept], "cut at {length}");
                let cut = length - lengths[kept];
                let recovered = database.recovered();
                assert_eq!(recovered.len(), usize::from(cut > 0), "cut at {length}");
                for recovery in recovered {
                    assert_eq!((recovery.offset, recovery.bytes_cut), (lengths[kept], cut));
                }
                records.upsert(one(kept as i64 + 1)).unwrap();
            }
            assert_eq!(try_open(&image).unwrap(), first(kept + 1), "written after {length}");
        }
    }
}

#[test]
fn a_log_cut_inside_its_header_is_damaged() {
    let (folder, lengths) = image(1, open_sync, 0);
    let image = folder.path().join("image");
    let log = log_file(&image);
    let whole = fs::read(&log).unwrap();
    for length in 0..lengths[0] {
        fs::write(&log, &whole[..length as usize]).unwrap();
        assert!(matches!(try_open(&image), Err(Error::Corrupt { .. })), "cut at {length}");
        assert_eq!(fs::metadata(&log).unwrap().len(), length, "nothing is changed");
    }
}

/// Flips a bit of every byte in turn and hands the path of the log over.
fn flip_each_byte(log: &Path, mut check: impl FnMut(usize)) {
    let whole = fs::read(log).unwrap();
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(log, &flipped).unwrap();
        check(position);
    }
    fs::write(log, &whole).unwrap();
}

#[test]
fn any_flipped_bit_of_a_closed_database_is_an_error() {
    let (folder, lengths) = image(2, open_batch, 0);
    let image = folder.path().join("image");
    // What was not sealed when it was opened is sealed when it is closed.
    drop(collection(&open_sync(&image), 2));
    let log = log_file(&image);
    let sealed = fs::metadata(&log).unwrap().len() as usize;
    assert_eq!(sealed, lengths[2] as usize + FRAME_HEADER_BYTES);
    flip_each_byte(&log, |position| {
        let before = fs::read(&log).unwrap();
        let sound = verify(&image).unwrap().is_sound();
        match try_open(&image) {
            Err(Error::Corrupt { .. } | Error::Version { .. }) => {
                assert!(position < sealed - FRAME_HEADER_BYTES, "flipped at {position}");
                assert!(!sound, "flipped at {position}");
                assert_eq!(fs::read(&log).unwrap(), before, "nothing is changed");
            }
            Err(error) => panic!("flipped at {position}: {error}"),
            // A damaged seal takes nothing with it but itself.
            Ok(found) => {
                assert!(position >= sealed - FRAME_HEADER_BYTES && sound, "flipped at {position}");
                assert_eq!(found, first(2));
            }
        }
    });
}

#[test]
fn a_flipped_bit_of_a_killed_database_is_an_error_or_a_cut_of_what_was_not_flushed() {
    // Records 3 and 4 knew that 1 and 2 were on the medium; nobody vouches for 3 and 4.
    let (folder, lengths) = image(4, open_batch, 2);
    let image = folder.path().join("image");
    let log = log_file(&image);
    flip_each_byte(&log, |position| match try_open(&image) {
        Err(Error::Corrupt { .. } | Error::Version { .. }) => {
            assert!(position < lengths[2] as usize, "flipped at {position}");
        }
        Err(error) => panic!("flipped at {position}: {error}"),
        Ok(found) => {
            let kept = if position < lengths[3] as usize { 2 } else { 3 };
            assert!(position >= lengths[2] as usize, "flipped at {position}");
            assert_eq!(found, first(kept), "flipped at {position}");
        }
    });
}

#[test]
fn damage_to_flushed_writes_is_named_and_verify_finds_every_spot() {
    let (folder, lengths) = image(6, open_sync, 0);
    let image = folder.path().join("image");
    let log = log_file(&image);
    let mut bytes = fs::read(&log).unwrap();
    // The payload of record 2 and the header of record 4.
    bytes[lengths[1] as usize + 50] ^= 1;
    bytes[lengths[3] as usize + 20] ^= 1;
    fs::write(&log, &bytes).unwrap();
    match try_open(&image) {
        Err(error @ Error::Corrupt { .. }) => {
            let text = error.to_string();
            assert!(
                text.contains("000001.log") && text.contains(&lengths[1].to_string()),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    let report = verify(&image).unwrap().collections.remove(0);
    let offsets: Vec<u64> = report.problems.iter().map(|problem| problem.offset).collect();
    assert_eq!(offsets, [lengths[1], lengths[3]]);
    assert!(report.problems.iter().all(|problem| problem.file == log));
    assert_eq!((report.frames, report.records, report.unfinished_bytes), (4, 4, 0));
    assert_eq!(fs::read(&log).unwrap(), bytes, "nothing is changed");
}

#[test]
fn a_newer_format_version_is_named_and_left_alone() {
    let folder = tempdir().unwrap();
    drop(collection(&open_sync(folder.path()), 2));
    let log = log_file(folder.path());
    for file in [log, folder.path().join("FORMAT")] {
        let whole = fs::read(&file).unwrap();
        let mut newer = whole.clone();
        newer[8..12].copy_from_slice(&7u32.to_le_bytes());
        fs::write(&file, &newer).unwrap();
        let error = try_open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Version { found: 7, supported: 5, .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), newer);
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(try_open(folder.path()).unwrap(), first(0));
}

#[test]
fn what_an_interrupted_flush_merge_or_creation_leaves_is_cleaned_up() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let database = open_sync(path);
    let records = collection(&database, 2);
    records.upsert(one(1)).unwrap();
    drop((records, database));
    let collections = path.join("collections");
    // The old log is still there, the segment that it became is complete.
    let first_log = log_file(path);
    let old = fs::read(&first_log).unwrap();
    collection(&open_sync(path), 2).compact().unwrap();
    fs::write(&first_log, old).unwrap();
    fs::write(collections.join("c/000003.log.tmp"), b"half").unwrap();
    fs::write(collections.join("c/000002.seg.tmp"), b"half").unwrap();
    fs::copy(collections.join("c/000001.seg"), collections.join("c/000009.seg")).unwrap();
    fs::create_dir(collections.join(".new-d")).unwrap();
    fs::create_dir(collections.join(".dropped-e")).unwrap();
    fs::write(collections.join(".dropped-e/000001.log"), b"gone").unwrap();
    let database = open_sync(path);
    assert_eq!(database.collections().unwrap(), ["c"]);
    let records = collection(&database, 2);
    assert_eq!(numbers(&records), [1]);
    assert!(log_file(path).ends_with("000002.log"));
    assert_eq!(fs::read_dir(&collections).unwrap().count(), 1);
    let mut files: Vec<_> = fs::read_dir(collections.join("c"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["000001.seg", "000002.log", "MANIFEST", "MANIFEST.copy"]);
}

#[test]
fn a_damaged_collection_leaves_the_others_usable() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    collection(&database, 2).upsert(one(1)).unwrap();
    let schema = database::Schema::new(2, database::Metric::Dot);
    database.collection("other", Some(schema)).unwrap().upsert(one(2)).unwrap();
    drop(database);
    fs::write(log_file(folder.path()), b"nonsense").unwrap();
    let database = open_sync(folder.path());
    assert!(matches!(database.collection("c", None), Err(Error::Corrupt { .. })));
    assert_eq!(numbers(&database.collection("other", None).unwrap()), [2]);
    let report = verify(folder.path()).unwrap();
    assert!(!report.is_sound() && report.collections[1].problems.is_empty());
    database.drop_collection("c").unwrap();
    assert_eq!(database.collections().unwrap(), ["other"]);
}

fn cases(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, source_file: Some(file!()), ..Config::default() })
}

/// A power failure keeps what was flushed, and of the rest any sectors, in any order.
#[test]
fn a_power_failure_costs_only_writes_that_were_not_flushed() {
    let images: Vec<_> = (0..6).map(|flushed| image(6, open_batch, flushed)).collect();
    let contents: Vec<Vec<u8>> = images
        .iter()
        .map(|(folder, _)| fs::read(log_file(&folder.path().join("image"))).unwrap())
        .collect();
    let fates = proptest::collection::vec(0u8..4, 64);
    let histories = (0..images.len(), fates, prop_oneof![Just(8usize), Just(64), Just(512)]);
    let outcome = cases(64).run(&histories, |(flushed, fates, sector_bytes)| {
        let (folder, lengths) = &images[flushed];
        let mut bytes = contents[flushed].clone();
        let unflushed = lengths[flushed] as usize;
        let sectors = bytes[unflushed..].chunks_mut(sector_bytes).zip(fates.iter().cycle());
        let mut first_lost = usize::MAX;
        for (number, (sector, fate)) in sectors.enumerate() {
            match fate {
                0 => sector.fill(0),
                1 => sector.fill(0xa5),
                _ => continue,
            }
            first_lost = first_lost.min(unflushed + number * sector_bytes);
        }
        let image = folder.path().join("image");
        fs::write(log_file(&image), &bytes).unwrap();
        let found = try_open(&image).unwrap();
        prop_assert_eq!(&found, &first(found.len()));
        let whole = lengths[1..].iter().filter(|end| **end as usize <= first_lost).count();
        prop_assert!(found.len() >= whole.max(flushed), "{} of {whole}, {flushed}", found.len());
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn arbitrary_bytes_never_panic() {
    let (folder, _) = image(2, open_sync, 0);
    let image = folder.path().join("image");
    let log = log_file(&image);
    let whole = fs::read(&log).unwrap();
    let tails = proptest::collection::vec(any::<u8>(), 0..300);
    let outcome = cases(128).run(&(0..whole.len(), tails), |(keep, tail)| {
        fs::write(&log, [&whole[..keep], &tail].concat()).unwrap();
        verify(&image).unwrap();
        match try_open(&image) {
            Ok(found) => prop_assert_eq!(&found, &first(found.len())),
            Err(Error::Corrupt { .. } | Error::Version { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        Ok(())
    });
    outcome.unwrap();
}
