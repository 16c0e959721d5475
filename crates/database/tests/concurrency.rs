//! Many threads at once: writers, readers, compactions, closing.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{collection, copy, open_batch, open_sync};
use database::{
    Batch, Collection, Database, Durability, Error, Filter, Id, Options, SearchOptions, verify,
};
use serde_json::json;
use tempfile::tempdir;

/// Records that a transaction writes together and that no reader may ever see in part.
const GROUP: i64 = 5;

fn group(writer: i64, round: i64) -> Batch {
    Batch {
        ids: (0..GROUP).map(|member| Id::Int(writer * GROUP + member)).collect(),
        vectors: [round as f32, 1.0].repeat(GROUP as usize),
        texts: vec![
            Some(format!("writer {writer} round {round} {}", "x".repeat(200)));
            GROUP as usize
        ],
        metadata: vec![Some(json!({"writer": writer, "round": round})); GROUP as usize],
        ..Batch::default()
    }
}

/// Each writer's group is whole: the same round in vector, text and metadata of every member.
fn check_groups(records: &Collection, writers: i64) {
    let ids: Vec<Id> = (0..writers * GROUP).map(Id::Int).collect();
    let found = records.get(&ids).unwrap();
    for (writer, members) in found.chunks(GROUP as usize).enumerate() {
        let Some(first) = &members[0] else {
            assert!(members.iter().all(Option::is_none), "a part of a group");
            continue;
        };
        let round = first.metadata.as_ref().unwrap()["round"].as_i64().unwrap();
        let expected = group(writer as i64, round);
        for member in members {
            let member = member.as_ref().expect("a part of a group");
            assert_eq!(member.vector, expected.vectors[..2]);
            assert_eq!(member.text, expected.texts[0]);
            assert_eq!(member.metadata.as_deref(), expected.metadata[0].as_ref());
        }
    }
}

#[test]
fn eight_writers_share_flushes_and_everything_they_were_told_is_kept() {
    let folder = tempdir().unwrap();
    let (writers, rounds) = (8, 25);
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    thread::scope(|scope| {
        for writer in 0..writers {
            let records = records.clone();
            scope.spawn(move || {
                for round in 0..rounds {
                    records.upsert(group(writer, round)).unwrap();
                }
            });
        }
    });
    // A kill, not a close.
    let image = folder.path().join("image");
    copy(&folder.path().join("collections"), &image.join("collections"));
    std::fs::copy(folder.path().join("FORMAT"), image.join("FORMAT")).unwrap();
    let records = collection(&open_sync(&image), 2);
    assert_eq!(records.len().unwrap() as i64, writers * GROUP);
    check_groups(&records, writers);
    for record in records.scan(None, 1000, None).unwrap().records {
        assert_eq!(record.vector[0], (rounds - 1) as f32, "the last round of each writer");
    }
}

#[test]
fn readers_see_whole_transactions_while_writers_and_compactions_go_on() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database, 2);
    let writers = 3;
    let done = AtomicBool::new(false);
    let reads = AtomicUsize::new(0);
    thread::scope(|scope| {
        let mut busy = Vec::new();
        for writer in 0..writers {
            let records = &records;
            busy.push(scope.spawn(move || {
                for round in 0..150 {
                    records.upsert(group(writer, round)).unwrap();
                    if round % 40 == 39 {
                        let own = Filter::parse(&json!({ "writer": writer })).unwrap();
                        assert_eq!(records.delete_where(&own).unwrap() as i64, GROUP);
                    }
                }
            }));
        }
        busy.push(scope.spawn(|| {
            // Of nothing written a compaction makes nothing.
            while records.is_empty().unwrap() {
                thread::yield_now();
            }
            (0..40).for_each(|_| records.compact().unwrap());
        }));
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let report = verify(folder.path()).unwrap();
                assert!(report.is_sound(), "verified beside a writer: {report:?}");
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    check_groups(&records, writers);
                    let hits = records.search(&[1.0, 0.0], &SearchOptions::new(100)).unwrap();
                    assert_eq!(hits.len() as i64 % GROUP, 0, "a part of a group");
                    let page = records.scan(None, 100, None).unwrap();
                    assert_eq!(page.records.len() as i64 % GROUP, 0, "a part of a group");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let outcomes: Vec<_> = busy.into_iter().map(|handle| handle.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(outcomes.iter().all(Result::is_ok));
    });
    assert!(reads.load(Ordering::Relaxed) > 0);
    assert!(records.stats().unwrap().generation > 1);
    drop((records, database));
    assert!(verify(folder.path()).unwrap().is_sound());
    check_groups(&collection(&open_sync(folder.path()), 2), writers);
}

/// A worker that waits for its own search may be handed any other work of the pool meanwhile:
/// another search, a write, a compaction. None of them may wait for what that search holds.
#[test]
fn searches_and_writes_may_share_one_thread_pool() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database, 2);
    let count = 50_000;
    let ids = (1000..1000 + count).map(Id::Int).collect();
    records
        .upsert(Batch { ids, vectors: vec![1.0; 2 * count as usize], ..Batch::default() })
        .unwrap();
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    thread::scope(|scope| {
        for caller in 0..4 {
            let (records, pool) = (&records, pool.clone());
            scope.spawn(move || {
                for round in 0..30 {
                    pool.install(|| {
                        records.search(&[1.0, 0.5], &SearchOptions::new(10)).unwrap();
                        records.upsert(group(caller, round)).unwrap();
                        let own = Filter::parse(&json!({ "writer": caller })).unwrap();
                        assert_eq!(records.count(&own).unwrap() as i64, GROUP);
                        if round % 3 == 0 {
                            records.compact().unwrap();
                        }
                    });
                }
            });
        }
    });
    assert_eq!(records.len().unwrap() as i64, count + 4 * GROUP);
}

#[test]
fn closing_under_load_keeps_every_acknowledged_write_and_later_calls_say_closed() {
    let folder = tempdir().unwrap();
    for durability in [Durability::Sync, Durability::Batch] {
        let path = folder.path().join(format!("{durability:?}"));
        let database =
            Database::open(&path, &Options { durability, ..Options::default() }).unwrap();
        let records = collection(&database, 2);
        let acknowledged: Vec<i64> = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let records = &records;
                    scope.spawn(move || {
                        for round in 0.. {
                            match records.upsert(group(writer, round)) {
                                Ok(_) => {}
                                Err(Error::Closed) => return round - 1,
                                Err(error) => panic!("{error}"),
                            }
                        }
                        unreachable!()
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(100));
            database.close().unwrap();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        database.close().unwrap();
        assert!(matches!(records.len(), Err(Error::Closed)));
        assert!(matches!(records.search(&[1.0, 1.0], &SearchOptions::new(1)), Err(Error::Closed)));
        assert!(matches!(records.upsert(Batch::default()), Err(Error::Closed)));
        assert!(matches!(records.delete(&[]), Err(Error::Closed)));
        assert!(matches!(records.flush(), Err(Error::Closed)));
        assert!(matches!(records.compact(), Err(Error::Closed)));
        assert!(matches!(records.stats(), Err(Error::Closed)));
        assert!(matches!(database.collection("c", None), Err(Error::Closed)));
        assert!(matches!(database.collections(), Err(Error::Closed)));
        assert!(matches!(database.flush(), Err(Error::Closed)));
        assert!(matches!(database.drop_collection("c"), Err(Error::Closed)));

        let records = collection(&open_sync(&path), 2);
        for (writer, last) in acknowledged.into_iter().enumerate() {
            let first_member = Id::Int(writer as i64 * GROUP);
            let found = records.get(&[first_member]).unwrap().remove(0);
            let round = found.map_or(-1.0, |record| record.vector[0]);
            assert_eq!(round, last as f32, "writer {writer}");
        }
    }
}

#[test]
fn the_background_flush_comes_by_itself() {
    let folder = tempdir().unwrap();
    let options = Options {
        durability: Durability::Batch,
        flush_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let database = Database::open(folder.path(), &options).unwrap();
    let records = collection(&database, 2);
    // A frame says how much of the log was on the medium when it was written: once that is more
    // than the header, somebody has flushed.
    let log = common::log_file(folder.path());
    let first_frame = records.stats().unwrap().file_bytes;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let frame = records.stats().unwrap().file_bytes as usize;
        records.upsert(group(0, 0)).unwrap();
        let bytes = std::fs::read(&log).unwrap();
        let synced = u64::from_le_bytes(bytes[frame + 24..][..8].try_into().unwrap());
        if synced > first_frame {
            break;
        }
        assert!(Instant::now() < deadline, "nobody flushes");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_dropped_collection_is_gone_for_every_handle_and_its_name_is_free() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let old = collection(&database, 2);
    old.upsert(group(0, 0)).unwrap();
    database.drop_collection("c").unwrap();
    assert!(matches!(old.len(), Err(Error::NotFound { .. })));
    assert!(matches!(old.upsert(group(0, 1)), Err(Error::NotFound { .. })));
    assert!(matches!(database.drop_collection("c"), Err(Error::NotFound { .. })));
    assert!(!folder.path().join("collections/c").exists());
    assert!(collection(&database, 3).is_empty().unwrap(), "created anew");
    assert!(matches!(old.len(), Err(Error::NotFound { .. })));
}
