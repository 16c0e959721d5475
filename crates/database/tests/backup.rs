//! Backups while writing goes on, and restoring them.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{numbers, one, open_batch, open_sync};
use database::{
    Collection, Database, Durability, Error, Id, Metric, Options, Schema, restore, verify,
};
use tempfile::tempdir;

fn on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn named(database: &Database, name: &str) -> Collection {
    database.collection(name, Some(Schema::new(2, Metric::Cosine))).unwrap()
}

fn sorted(collection: &Collection) -> Vec<i64> {
    let mut numbers = numbers(collection);
    numbers.sort_unstable();
    numbers
}

/// Two segments, some dead rows, and a head.
fn fill(records: &Collection) {
    for part in 0..2 {
        for number in part * 100..part * 100 + 100 {
            records.upsert(one(number)).unwrap();
        }
        records.compact().unwrap();
    }
    records.upsert(one(5)).unwrap();
    records.upsert(one(200)).unwrap();
    records.delete(&[7.into(), 107.into()]).unwrap();
}

fn expected() -> Vec<i64> {
    (0..=200).filter(|number| ![7, 107].contains(number)).collect()
}

/// All files below a folder, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[cfg(unix)]
fn links(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().nlink()
}

#[cfg(unix)]
#[test]
fn a_backup_shares_segments_and_nothing_else_and_both_go_their_ways() {
    let folder = tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("backup"));
    let database = open_batch(&source);
    let records = named(&database, "c");
    fill(&records);
    database.collection("empty", Some(Schema::new(3, Metric::Dot))).unwrap();
    let told = Mutex::new(Vec::new());
    let progress = |done, total| {
        told.lock().unwrap().push((done, total));
        ControlFlow::Continue(())
    };
    database.snapshot().unwrap().backup(&target, &progress).unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted());
    assert!(told.last().is_some_and(|(done, total)| done == total && *done > 0));

    assert!(verify(&target).unwrap().is_sound());
    let names = files(&target);
    assert!(
        names.iter().filter(|name| name.extension().is_some_and(|end| end == "seg")).count() > 1
    );
    for name in &names {
        let shared = name.extension().is_some_and(|end| end == "seg");
        assert_eq!(links(&target.join(name)), 1 + u64::from(shared), "{}", name.display());
    }

    // Each is written to, cut, merged and closed, and the other stays what it was.
    let copy = open_sync(&target);
    assert_eq!(copy.collections().unwrap(), ["c", "empty"]);
    assert!(copy.recovered().is_empty());
    assert_eq!(sorted(&named(&copy, "c")), expected());
    assert_eq!(copy.collection("empty", None).unwrap().schema().dimension, 3);
    named(&copy, "c").upsert(one(1000)).unwrap();
    named(&copy, "c").delete(&[50.into()]).unwrap();
    named(&copy, "c").compact().unwrap();
    copy.close().unwrap();
    assert_eq!(sorted(&records), expected());
    assert!(verify(&source).unwrap().is_sound());
    let backed_up = fs::read_dir(&target).unwrap().count();
    records.delete(&(0..100).map(Id::Int).collect::<Vec<_>>()).unwrap();
    records.optimize().unwrap();
    records.compact().unwrap();
    database.close().unwrap();
    assert!(verify(&target).unwrap().is_sound());
    let mut changed = expected();
    changed.retain(|number| *number != 50);
    changed.push(1000);
    assert_eq!(sorted(&named(&open_sync(&target), "c")), changed);
    assert_eq!(fs::read_dir(&target).unwrap().count(), backed_up);
}

#[test]
fn a_backup_holds_what_was_acknowledged_before_it_and_no_half_of_anything() {
    let folder = tempdir().unwrap();
    let options =
        Options { durability: Durability::Batch, head_records: 200, ..Options::default() };
    let database = Database::open(folder.path().join("source"), &options).unwrap();
    let (first, second) = (named(&database, "z"), named(&database, "a"));
    let (done, enough) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !enough.load(Ordering::Acquire) {
                first.upsert(one(number)).unwrap();
                second.upsert(one(number)).unwrap();
                number += 1;
            }
            done.store(true, Ordering::Release);
        });
        for round in 0..8 {
            let before = second.len().unwrap() as i64;
            let target = folder.path().join(format!("backup-{round}"));
            database.snapshot().unwrap().backup(&target, &on).unwrap();
            let copy = open_batch(&target);
            assert!(copy.recovered().is_empty());
            let (first, second) = (sorted(&named(&copy, "z")), sorted(&named(&copy, "a")));
            assert_eq!(first, (0..first.len() as i64).collect::<Vec<_>>());
            assert_eq!(second, (0..second.len() as i64).collect::<Vec<_>>());
            assert!(first.len() - second.len() <= 1);
            assert!(second.len() as i64 >= before);
        }
        enough.store(true, Ordering::Release);
    });
    assert!(done.load(Ordering::Acquire));
    assert!(first.len().unwrap() > 0);
}

#[test]
fn a_snapshot_is_backed_up_though_its_files_are_gone_or_somebody_elses() {
    let folder = tempdir().unwrap();
    let database = open_batch(&folder.path().join("source"));
    let records = named(&database, "c");
    fill(&records);
    let snapshot = database.snapshot().unwrap();
    records.optimize().unwrap();
    snapshot.backup(folder.path().join("merged"), &on).unwrap();
    database.drop_collection("c").unwrap();
    snapshot.backup(folder.path().join("dropped"), &on).unwrap();
    let again = named(&database, "c");
    for number in 3000..3300 {
        again.upsert(one(number)).unwrap();
        if number % 100 == 0 {
            again.compact().unwrap();
        }
    }
    snapshot.backup(folder.path().join("created-again"), &on).unwrap();
    database.close().unwrap();
    snapshot.backup(folder.path().join("closed"), &on).unwrap();
    for name in ["merged", "dropped", "created-again", "closed"] {
        let copy = open_batch(&folder.path().join(name));
        assert_eq!(sorted(&named(&copy, "c")), expected(), "{name}");
    }
}

#[test]
fn what_goes_wrong_leaves_nothing() {
    let folder = tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("backup"));
    let database = open_batch(&source);
    fill(&named(&database, "c"));
    let snapshot = database.snapshot().unwrap();
    let entries = || fs::read_dir(folder.path()).unwrap().count();
    let before = entries();

    for stop_after in 0..4 {
        let calls = Mutex::new(0);
        let progress = |_, _| {
            *calls.lock().unwrap() += 1;
            match *calls.lock().unwrap() > stop_after {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let error = snapshot.backup(&target, &progress).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        assert_eq!(entries(), before);
    }

    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "kept").unwrap();
    for error in [snapshot.backup(&target, &on), restore(&source, &target, &on)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("exists") || error.contains("is open"), "{error}");
    }
    assert_eq!(files(&target), [PathBuf::from("mine")]);
    fs::remove_dir_all(&target).unwrap();
    let nowhere = folder.path().join("no/such/folder");
    assert!(matches!(snapshot.backup(nowhere, &on), Err(Error::Io { .. })));

    fs::create_dir(folder.path().join("backup.tmp")).unwrap();
    let error = snapshot.backup(&target, &on).unwrap_err().to_string();
    assert!(error.contains("backup.tmp") && error.contains("remove it"), "{error}");
    fs::remove_dir(folder.path().join("backup.tmp")).unwrap();

    // A segment rots: the backup would be as damaged, and says so of the database's file.
    database.close().unwrap();
    drop(snapshot);
    let is_segment = |name: &PathBuf| name.extension().is_some_and(|end| end == "seg");
    let segment = source.join(files(&source).into_iter().find(is_segment).unwrap());
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&segment, bytes).unwrap();
    // Replaying the log may meet the damage first.
    let database = open_batch(&source);
    match database.snapshot().and_then(|snapshot| snapshot.backup(&target, &on)) {
        Err(Error::Corrupt { path, .. }) => assert_eq!(path, segment),
        other => panic!("{other:?}"),
    }
    assert_eq!(entries(), before);
}

#[test]
fn a_restored_database_is_the_backup_and_shares_nothing_with_it() {
    let folder = tempdir().unwrap();
    let (source, backup) = (folder.path().join("source"), folder.path().join("backup"));
    let target = folder.path().join("restored");
    let database = open_batch(&source);
    fill(&named(&database, "c"));
    database.snapshot().unwrap().backup(&backup, &on).unwrap();
    drop(database);
    fs::remove_dir_all(&source).unwrap();

    fs::create_dir(&target).unwrap();
    restore(&backup, &target, &on).unwrap();
    assert_eq!(files(&target), files(&backup));
    for name in files(&target) {
        assert_eq!(fs::read(target.join(&name)).unwrap(), fs::read(backup.join(&name)).unwrap());
        #[cfg(unix)]
        assert_eq!(links(&target.join(&name)), 1);
    }
    let restored = open_sync(&target);
    assert_eq!(sorted(&named(&restored, "c")), expected());
    named(&restored, "c").upsert(one(900)).unwrap();
    restored.close().unwrap();
    assert_eq!(sorted(&named(&open_sync(&backup), "c")), expected());

    let other = folder.path().join("other");
    let writing = open_sync(&backup);
    assert!(matches!(restore(&backup, &other, &on), Err(Error::Locked { .. })));
    writing.close().unwrap();
    restore(&backup, &other, &on).unwrap();
    fs::remove_dir_all(&other).unwrap();

    assert!(matches!(restore(folder.path(), &other, &on), Err(Error::NotADatabase { .. })));
    let error = restore(&backup, &other, &|_, _| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }));
    assert!(!other.exists());

    // Any byte that matters: each file, damaged in turn.
    for name in files(&backup) {
        if name.ends_with("LOCK") {
            continue;
        }
        let path = backup.join(&name);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        let middle = whole.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&path, damaged).unwrap();
        match restore(&backup, &other, &on) {
            Err(Error::Corrupt { path: named, .. } | Error::Version { path: named, .. }) => {
                assert_eq!(named, path);
            }
            found => panic!("{}: {found:?}", name.display()),
        }
        assert!(!other.exists());
        fs::write(&path, whole).unwrap();
    }
    restore(&backup, &other, &on).unwrap();
}
