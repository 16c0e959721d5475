//! What several test files need.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod vectors;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use database::{Batch, Collection, Database, Durability, Id, Metric, Options, Schema};

/// Opens a database that flushes only when it is told to.
pub(crate) fn open_batch(path: &Path) -> Database {
    let options = Options {
        durability: Durability::Batch,
        flush_interval: std::time::Duration::from_secs(3600),
        ..Options::default()
    };
    Database::open(path, &options).expect("open")
}

pub(crate) fn open_sync(path: &Path) -> Database {
    Database::open(path, &Options::default()).expect("open")
}

pub(crate) fn collection(database: &Database, dimension: usize) -> Collection {
    database.collection("c", Some(Schema::new(dimension, Metric::Cosine))).expect("collection")
}

/// One record of dimension 2 whose text says which it is.
pub(crate) fn one(number: i64) -> Batch {
    Batch {
        ids: vec![Id::Int(number)],
        vectors: vec![number as f32, 1.0],
        texts: vec![Some(format!("text {number}"))],
        ..Batch::default()
    }
}

/// The numbers of the records that [`one`] made, each checked in full, in slot order.
pub(crate) fn numbers(collection: &Collection) -> Vec<i64> {
    let page = collection.scan(None, usize::MAX, None).expect("scan");
    page.records
        .iter()
        .map(|record| {
            let Id::Int(number) = record.id else { panic!("unexpected id {}", record.id) };
            assert_eq!(record.vector, one(number).vectors);
            assert_eq!(record.text, one(number).texts[0]);
            number
        })
        .collect()
}

/// The only log of the collection "c".
pub(crate) fn log_file(database: &Path) -> PathBuf {
    let folder = database.join("collections/c");
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).expect("list").map(|entry| entry.expect("entry").path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    assert_eq!(names.len(), 1, "one log: {names:?}");
    names.remove(0)
}

/// A second database with the same bytes, as a crash would leave it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("create");
    let manifest = || fs::read(from.join("MANIFEST")).ok();
    // Where a merge in the background replaces or removes files while they are copied, the copy is none that
    // a crash could leave.
    loop {
        let before = manifest();
        let outcome = copy_entries(from, to);
        let has_moved = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if manifest() == before && !has_moved {
            return outcome.expect("copy");
        }
        fs::remove_dir_all(to).expect("remove");
        fs::create_dir(to).expect("create");
    }
}

fn copy_entries(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
