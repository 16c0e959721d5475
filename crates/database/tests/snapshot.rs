//! `Database::snapshot`: reads that agree with one another while everything else goes on.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{one, open_batch};
use database::{
    Batch, Collection, Database, DatabaseSnapshot, Document, Error, Filter, Id, Metric, Options,
    Schema, SearchOptions, Transaction,
};
use serde_json::json;
use tempfile::tempdir;

fn named(database: &Database, name: &str) -> Collection {
    database.collection(name, Some(Schema::new(2, Metric::Cosine))).unwrap()
}

fn tagged(number: i64, tag: &str) -> Batch {
    Batch { metadata: vec![Some(json!({"tag": tag}))], ..one(number) }
}

/// Everything that a collection says of itself.
fn everything(collection: &Collection) -> String {
    let records = collection.scan(None, usize::MAX, None).unwrap().records;
    let ids: Vec<Id> = records.iter().map(|record| record.id.clone()).collect();
    let filter = Filter::parse(&json!({"tag": "old"})).unwrap();
    let query = [1.0, 0.25];
    let options = SearchOptions { exact: true, ..SearchOptions::new(1000) };
    let filtered = SearchOptions { filter: Some(&filter), ..options };
    format!(
        "{:?}",
        (
            &records,
            collection.get(&ids).unwrap(),
            collection.len().unwrap(),
            collection.count(&filter).unwrap(),
            collection.search(&query, &options).unwrap(),
            collection.search_batch(&query, 1, &filtered).unwrap(),
            collection.documents().unwrap(),
            ids.iter().map(|id| collection.contains(id).unwrap()).collect::<Vec<_>>(),
        )
    )
}

#[test]
fn a_snapshot_reads_the_same_whatever_happens_to_the_database() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = named(&database, "c");
    for number in 0..600 {
        records.upsert(tagged(number, "old")).unwrap();
    }
    records.optimize().unwrap();
    records.compact().unwrap();
    for number in 600..900 {
        records.upsert(tagged(number, "old")).unwrap();
    }
    let document = Document { fingerprint: [1; 32], records: 1 };
    let documents = vec![("a.md".to_owned(), Some(document))];
    records.write(Transaction { documents, ..Transaction::default() }).unwrap();

    let snapshot = database.snapshot().unwrap();
    let frozen = snapshot.collection("c").unwrap();
    let before = everything(&frozen);
    assert_eq!(before, everything(&records));
    let stats = frozen.stats().unwrap();
    assert_eq!(stats, records.stats().unwrap());
    assert_eq!(stats.records, 900);
    assert!(stats.segments > 0, "both kinds of storage are in it");

    // In segments and in the head: replaced, deleted, added; then merged away.
    for number in (0..900).step_by(3) {
        records.upsert(tagged(number, "new")).unwrap();
    }
    records.delete(&(1..900).step_by(3).map(Id::Int).collect::<Vec<_>>()).unwrap();
    records.upsert(tagged(5000, "old")).unwrap();
    let documents = vec![
        ("a.md".to_owned(), None),
        ("b.md".to_owned(), Some(Document { fingerprint: [2; 32], records: 7 })),
    ];
    records.write(Transaction { documents, ..Transaction::default() }).unwrap();
    assert_eq!(everything(&frozen), before);
    records.compact().unwrap();
    records.optimize().unwrap();
    assert_eq!(everything(&frozen), before);
    assert_ne!(everything(&records), before);

    named(&database, "later").upsert(one(1)).unwrap();
    assert_eq!(snapshot.collections(), ["c"]);
    assert!(matches!(snapshot.collection("later"), Err(Error::NotFound { .. })));

    database.drop_collection("c").unwrap();
    assert!(matches!(records.len(), Err(Error::NotFound { .. })));
    assert_eq!(everything(&frozen), before);
    database.close().unwrap();
    assert_eq!(everything(&frozen), before);
    assert_eq!(frozen.stats().unwrap(), stats);

    snapshot.clone().close();
    assert!(matches!(frozen.len(), Err(Error::Closed)));
    assert!(matches!(snapshot.collection("c").unwrap().len(), Err(Error::Closed)));
}

#[test]
fn nothing_is_written_through_a_snapshot() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = named(&database, "c");
    records.upsert(one(1)).unwrap();
    let frozen = database.snapshot().unwrap().collection("c").unwrap();
    let refused = [
        frozen.upsert(one(2)).err(),
        frozen.delete(&[1.into()]).err(),
        frozen.delete_where(&Filter::parse(&json!({})).unwrap()).err(),
        frozen.compact().err(),
        frozen.optimize().err(),
        frozen.flush().err(),
        frozen.set_index(Default::default()).err(),
        frozen.check_writable().err(),
    ];
    for error in refused {
        assert_eq!(error.unwrap().to_string(), "a snapshot can only be read");
    }
    records.check_writable().unwrap();
    assert_eq!(common::numbers(&records), [1]);
    assert_eq!(common::numbers(&frozen), [1]);
}

/// Each of the writers writes its number to `first`, then to `second`, then the next number.
#[test]
fn what_one_collection_shows_the_others_show_too() {
    const NUMBERS: i64 = 3000;
    let folder = tempdir().unwrap();
    let options = Options { head_records: 100, ..Options::default() };
    let database = Database::open(
        folder.path(),
        &Options { durability: database::Durability::Batch, ..options },
    )
    .unwrap();
    let (first, second) = (named(&database, "z-first"), named(&database, "a-second"));
    let done = AtomicBool::new(false);
    let mut looks = 0;
    let largest = |snapshot: &DatabaseSnapshot, name: &str| {
        let numbers = common::numbers(&snapshot.collection(name).unwrap());
        let largest = numbers.iter().copied().max().unwrap_or(-1);
        assert_eq!(numbers.len() as i64, largest + 1, "no write is missing");
        largest
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..NUMBERS {
                first.upsert(one(number)).unwrap();
                second.upsert(one(number)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let snapshot = database.snapshot().unwrap();
            let (first, second) = (largest(&snapshot, "z-first"), largest(&snapshot, "a-second"));
            assert!(first == second || first == second + 1, "{first}, then {second}");
            looks += 1;
        }
    });
    assert!(looks > 0);
    assert_eq!(largest(&database.snapshot().unwrap(), "a-second"), NUMBERS - 1);
}

/// The space of what a snapshot holds comes back when it is closed.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_snapshot_holds_no_file() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = named(&database, "c");
    for number in 0..300 {
        records.upsert(one(number)).unwrap();
    }
    records.compact().unwrap();
    records.upsert(one(1000)).unwrap();
    let snapshot = database.snapshot().unwrap();
    let place = folder.path().to_str().unwrap().to_owned();
    let deleted = || {
        let is_ours = |text: &str| text.contains(&place) && text.ends_with(" (deleted)");
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mapped = maps.lines().filter(|line| is_ours(line)).count();
        let open = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        mapped + open.filter(|target| is_ours(&target.to_string_lossy())).count()
    };
    records.delete(&[5.into()]).unwrap();
    records.compact().unwrap();
    assert!(deleted() >= 2, "a segment and a log");
    snapshot.close();
    assert_eq!(deleted(), 0);
}
