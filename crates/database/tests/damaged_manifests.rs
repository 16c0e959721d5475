//! A damaged manifest costs nothing: its second copy says the same. Two of them keep the collection closed,
//! and no file is touched.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{collection, copy, numbers, one, open_sync};
use database::{DamagedFile, Database, Error, restore, verify};
use tempfile::{TempDir, tempdir};

const NAMES: [&str; 2] = ["MANIFEST", "MANIFEST.copy"];

/// A database with dead rows in a segment, a segment that came out of a merge, and a log.
fn sample() -> TempDir {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    for number in 0..40 {
        records.upsert(one(number)).unwrap();
        if number % 10 == 9 {
            records.compact().unwrap();
        }
    }
    records.delete(&[1.into(), 2.into()]).unwrap();
    records.upsert(one(40)).unwrap();
    records.compact().unwrap();
    records.upsert(one(41)).unwrap();
    database.close().unwrap();
    folder
}

fn expected() -> Vec<i64> {
    (0..42).filter(|number| ![1, 2].contains(number)).collect()
}

fn there(database: &Database) -> Vec<i64> {
    let mut numbers = numbers(&database.collection("c", None).unwrap());
    numbers.sort_unstable();
    numbers
}

fn go_on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// All files of the collection but the lock.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths =
        fs::read_dir(path.join("collections/c")).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// Damages a file: a byte, its end, or all of it; returns the damaged bytes.
fn damage(file: &Path, way: usize) -> Option<Vec<u8>> {
    let mut bytes = fs::read(file).unwrap();
    match way {
        0 => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        1 => bytes.truncate(bytes.len() - 3),
        2 => bytes.clear(),
        _ => {
            fs::remove_file(file).unwrap();
            return None;
        }
    }
    fs::write(file, &bytes).unwrap();
    Some(bytes)
}

#[test]
fn one_damaged_copy_of_a_manifest_is_told_and_written_anew_from_the_other() {
    let sample = sample();
    for name in NAMES {
        for way in 0..4 {
            let folder = tempdir().unwrap();
            copy(sample.path(), folder.path());
            let file = folder.path().join("collections/c").join(name);
            let damaged = damage(&file, way);
            let report = verify(folder.path()).unwrap();
            assert_eq!(report.collections[0].problems.len(), 1, "{report:?}");
            assert_eq!(report.collections[0].problems[0].file, file);
            assert_eq!(report.collections[0].records, 40);
            // Whoever only reads goes on, and writes nothing.
            let before = files(folder.path());
            let reader = Database::open_read_only(folder.path()).unwrap();
            assert_eq!(there(&reader), expected());
            let read = reader.collection("c", None).unwrap();
            assert_eq!(read.stats().unwrap().damaged_files, 1);
            let told = read.damage().unwrap();
            assert_eq!((told.len(), &told[0].file, &told[0].kept_as), (1, &file, &None));
            assert_eq!(files(folder.path()), before);

            let database = open_sync(folder.path());
            assert_eq!(there(&database), expected());
            let told: Vec<DamagedFile> = collection(&database, 2).damage().unwrap();
            assert_eq!((told.len(), &told[0].file, told[0].lost_records), (1, &file, Some(0)));
            assert_eq!(collection(&database, 2).stats().unwrap().damaged_files, 1);
            assert_eq!(told[0].kept_as.as_ref().map(|path| fs::read(path).unwrap()), damaged);
            // The reader goes along with what the writer does from here on.
            collection(&database, 2).upsert(one(50)).unwrap();
            collection(&database, 2).compact().unwrap();
            assert_eq!(there(&reader), [expected(), vec![50]].concat());
            assert_eq!(reader.collection("c", None).unwrap().damage().unwrap(), []);
            let repaired = database.repair(false, &go_on).unwrap();
            assert_eq!(repaired[0].1, told);
            assert!(!collection(&database, 2).is_damaged());
            database.close().unwrap();
            assert!(verify(folder.path()).unwrap().is_sound());
            let database = open_sync(folder.path());
            assert!(!collection(&database, 2).is_damaged());
            assert_eq!(there(&database), [expected(), vec![50]].concat());
        }
    }
}

#[test]
fn without_any_manifest_nothing_is_guessed_and_nothing_is_removed() {
    let sample = sample();
    for way in 0..16 {
        let folder = tempdir().unwrap();
        copy(sample.path(), folder.path());
        let paths = NAMES.map(|name| folder.path().join("collections/c").join(name));
        damage(&paths[0], way / 4);
        damage(&paths[1], way % 4);
        let before = files(folder.path());
        assert!(!verify(folder.path()).unwrap().is_sound());
        assert!(Database::open_read_only(folder.path()).unwrap().collection("c", None).is_err());
        let database = open_sync(folder.path());
        let error = database.collection("c", None).err().unwrap();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        for accept_loss in [false, true] {
            let told = database.repair(accept_loss, &go_on).unwrap().remove(0).1;
            assert_eq!((told.len(), told[0].keeps_closed, told[0].lost_records), (1, true, None));
        }
        // Others work.
        let schema = database::Schema::new(2, database::Metric::Dot);
        database.collection("d", Some(schema)).unwrap().upsert(one(1)).unwrap();
        database.close().unwrap();
        assert_eq!(files(folder.path()), before);
        // Once one of them is back, all is there.
        fs::copy(sample.path().join("collections/c").join(NAMES[0]), &paths[way % 2]).unwrap();
        assert_eq!(there(&open_sync(folder.path())), expected());
    }
}

#[test]
fn an_older_copy_never_counts() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let database = open_sync(path);
    let records = collection(&database, 2);
    for number in 0..20 {
        records.upsert(one(number)).unwrap();
    }
    records.compact().unwrap();
    let copy_path = path.join("collections/c/MANIFEST.copy");
    let old = fs::read(&copy_path).unwrap();
    records.delete(&(0..15).map(Into::into).collect::<Vec<_>>()).unwrap();
    records.compact().unwrap();
    database.close().unwrap();
    // As after a crash between the two, but long ago.
    fs::write(&copy_path, &old).unwrap();
    assert!(verify(path).unwrap().is_sound());
    let database = open_sync(path);
    assert_eq!(there(&database), (15..20).collect::<Vec<_>>());
    assert!(!collection(&database, 2).is_damaged());
    database.close().unwrap();
    // Opening made it the same: it may count from here on.
    fs::remove_file(path.join("collections/c/MANIFEST")).unwrap();
    assert_eq!(there(&open_sync(path)), (15..20).collect::<Vec<_>>());
}

#[test]
fn backups_and_what_is_restored_of_them_have_both() {
    let sample = sample();
    let folder = tempdir().unwrap();
    let (backup, restored) = (folder.path().join("backup"), folder.path().join("restored"));
    let database = open_sync(sample.path());
    database.snapshot().unwrap().backup(&backup, &go_on).unwrap();
    restore(&backup, &restored, &go_on).unwrap();
    for path in [backup, restored] {
        fs::remove_file(path.join("collections/c/MANIFEST")).unwrap();
        assert_eq!(there(&open_sync(&path)), expected());
    }
}
