//! What a collection does, on examples.

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use common::{collection, open_sync};
use database::{
    Batch, Database, Document, Error, Filter, Id, Metric, Model, Options, Place, Schema,
    SearchOptions, Transaction, Written,
};
use serde_json::{Value, json};
use tempfile::tempdir;

fn full_batch() -> Batch {
    Batch {
        ids: vec!["a".into(), 7.into(), "7".into()],
        vectors: vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0],
        texts: vec![Some("alpha".into()), None, Some(String::new())],
        metadata: vec![Some(json!({"n": 0.1, "big": u64::MAX})), Some(json!({})), None],
        places: vec![
            Some(Place { source: "doc.md".into(), start: 3, end: 8, line: 2 }),
            None,
            Some(Place { source: "doc.md".into(), start: 8, end: 8, line: 9 }),
        ],
        ..Batch::default()
    }
}

#[test]
fn records_come_back_whole_before_and_after_reopening() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("deep/notes.rac");
    let ids: Vec<Id> = vec![7.into(), "nobody".into(), "a".into(), "7".into()];
    let check = |database: &Database| {
        let found = collection(database, 2).get(&ids).unwrap();
        let batch = full_batch();
        for (found, row) in [(&found[0], 1), (&found[2], 0), (&found[3], 2)] {
            let found = found.as_ref().unwrap();
            assert_eq!(found.id, batch.ids[row]);
            assert_eq!(found.vector, batch.vectors[row * 2..][..2]);
            assert_eq!(found.text, batch.texts[row]);
            assert_eq!(found.metadata.as_deref(), batch.metadata[row].as_ref());
            assert_eq!(found.place, batch.places[row]);
        }
        assert_eq!(found[1], None);
    };
    let database = open_sync(&path);
    let written = collection(&database, 2).upsert(full_batch()).unwrap();
    assert_eq!(written, Written { upserted: 3, deleted: 0 });
    check(&database);
    collection(&database, 2).compact().unwrap();
    check(&database);
    drop(database);
    let database = open_sync(&path);
    check(&database);
    assert!(database.recovered().is_empty());
}

#[test]
fn an_upsert_replaces_the_whole_record_and_the_last_of_equal_ids_wins() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    records.upsert(full_batch()).unwrap();
    let written = records
        .upsert(Batch {
            ids: vec!["a".into(), "b".into(), "a".into()],
            vectors: vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
            texts: vec![Some("first".into()), None, None],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(written, Written { upserted: 2, deleted: 0 });
    assert_eq!(records.len().unwrap(), 4);
    let found = records.get(&["a".into()]).unwrap().remove(0).unwrap();
    assert_eq!(found.vector, [3.0, 3.0]);
    assert_eq!((found.text, found.metadata, found.place), (None, None, None));
}

#[test]
fn a_transaction_deletes_first_and_keeps_the_document_registry() {
    let folder = tempdir().unwrap();
    let entry = Document { fingerprint: [9; 32], records: 1 };
    {
        let database = open_sync(folder.path());
        let records = collection(&database, 2);
        records.upsert(full_batch()).unwrap();
        let written = records
            .write(Transaction {
                deletes: vec!["a".into(), "7".into(), "nobody".into()],
                upserts: Batch {
                    ids: vec!["a".into()],
                    vectors: vec![0.0, 2.0],
                    ..Batch::default()
                },
                documents: vec![
                    ("x".into(), Some(entry.clone())),
                    ("y".into(), Some(entry.clone())),
                    ("x".into(), None),
                ],
            })
            .unwrap();
        assert_eq!(written, Written { upserted: 1, deleted: 2 });
        records.compact().unwrap();
    }
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    assert_eq!(records.len().unwrap(), 2);
    assert!(records.contains(&"a".into()).unwrap());
    assert_eq!(records.documents().unwrap(), [("y".to_owned(), entry.clone())]);
    assert_eq!(records.document("y").unwrap(), Some(entry));
    assert_eq!(records.document("x").unwrap(), None);
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    records.upsert(full_batch()).unwrap();
    let before = records.stats().unwrap();
    let batch =
        |vectors: Vec<f32>| Batch { ids: vec![1.into(), 2.into()], vectors, ..Batch::default() };

    let error = records.upsert(batch(vec![0.0; 6])).unwrap_err();
    assert!(matches!(error, Error::Dimension { expected: 2, found: 3 }), "{error}");
    let error = records.upsert(batch(vec![0.0; 5])).unwrap_err();
    assert!(matches!(error, Error::Dimension { expected: 4, found: 5 }), "{error}");
    let error = records.upsert(batch(vec![0.0, 0.0, 0.0, f32::NAN])).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 1 }), "{error}");
    let error = records.upsert(batch(vec![f32::INFINITY, 0.0, 0.0, 0.0])).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 0 }), "{error}");

    let uneven = Batch { texts: vec![None], ..batch(vec![0.0; 4]) };
    assert!(records.upsert(uneven).unwrap_err().to_string().contains("2 ids but 1 texts"));
    let with_metadata = |metadata: Value| Batch {
        ids: vec![1.into()],
        vectors: vec![0.0; 2],
        metadata: vec![Some(metadata)],
        ..Batch::default()
    };
    let error = records.upsert(with_metadata(json!([1]))).unwrap_err();
    assert!(error.to_string().contains("must be a JSON object, not an array"), "{error}");
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({ "k": inner }));
    let error = records.upsert(with_metadata(nested(101))).unwrap_err();
    assert!(error.to_string().contains("100 levels"), "{error}");
    let backwards = Batch {
        places: vec![Some(Place { source: "s".into(), start: 2, end: 1, line: 1 })],
        ..with_metadata(json!({}))
    };
    assert!(matches!(records.upsert(backwards), Err(Error::InvalidArgument(_))));

    for query in [&[1.0][..], &[1.0, 2.0, 3.0]] {
        let error = records.search(query, &SearchOptions::new(1)).unwrap_err();
        assert!(matches!(error, Error::Dimension { expected: 2, .. }), "{error}");
    }
    assert!(matches!(
        records.search(&[f32::NAN, 1.0], &SearchOptions::new(1)),
        Err(Error::NonFinite { row: 0 })
    ));
    assert!(matches!(
        records.search_batch(&[0.0; 6], 2, &SearchOptions::new(1)),
        Err(Error::Dimension { expected: 4, found: 6 })
    ));
    let error = records.search(&[1.0, 1.0], &SearchOptions::new(0)).unwrap_err();
    assert!(error.to_string().contains("at least 1"), "{error}");
    assert!(matches!(records.scan(None, 0, None), Err(Error::InvalidArgument(_))));
    assert_eq!(records.stats().unwrap(), before);

    // The deepest that is allowed can also be read again.
    records.upsert(with_metadata(nested(100))).unwrap();
    drop((records, database));
    let records = collection(&open_sync(folder.path()), 2);
    assert_eq!(
        records.get(&[1.into()]).unwrap()[0].as_ref().unwrap().metadata,
        Some(Arc::new(nested(100)))
    );
}

#[test]
fn search_ranks_by_the_metric_best_first() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let expected = [
        (Metric::Cosine, vec![("long", 1.0), ("near", 0.989_949_5), ("zero", 0.0), ("back", -1.0)]),
        (Metric::Dot, vec![("long", 8.0), ("near", 1.4), ("zero", 0.0), ("back", -2.0)]),
        (Metric::L2, vec![("near", 0.2), ("zero", 2.0), ("back", 8.0), ("long", 18.0)]),
    ];
    for (metric, expected) in expected {
        let name = metric.name();
        let records = database.collection(name, Some(Schema::new(2, metric))).unwrap();
        records
            .upsert(Batch {
                ids: ["zero", "back", "long", "near"].map(Id::from).to_vec(),
                vectors: vec![0.0, 0.0, -1.0, -1.0, 4.0, 4.0, 0.8, 0.6],
                texts: vec![None, None, None, Some("hello".into())],
                ..Batch::default()
            })
            .unwrap();
        let hits = records.search(&[1.0, 1.0], &SearchOptions::new(99)).unwrap();
        assert_eq!(hits.len(), 4, "a limit beyond the count gives all");
        for (hit, (id, score)) in hits.iter().zip(&expected) {
            assert_eq!(hit.id, Id::from(*id), "{name}");
            assert!((hit.score - *score).abs() < 1e-5, "{name} {id}: {}", hit.score);
        }
        let near = hits.iter().find(|hit| hit.id == "near".into()).unwrap();
        assert_eq!(near.text.as_deref(), Some("hello"));
        let exact = records.search(&[4.0, 4.0], &SearchOptions::new(1)).unwrap();
        if metric == Metric::L2 {
            assert_eq!(exact[0].score.to_bits(), 0f32.to_bits(), "not -0");
        }
    }
}

#[test]
fn extreme_vectors_are_ranked_and_none_is_lost() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let records = database.collection(metric.name(), Some(Schema::new(2, metric))).unwrap();
        let scales = [1e-44, 1e-30, 1.0, 1e30, 3e38];
        let vectors = scales.iter().flat_map(|scale| [*scale, -*scale]).collect();
        let ids = (0..5).map(Id::Int).collect();
        records.upsert(Batch { ids, vectors, ..Batch::default() }).unwrap();
        for scale in scales {
            let query = [scale, -scale];
            let hits = records.search(&query, &SearchOptions::new(5)).unwrap();
            assert_eq!(hits.len(), 5, "{metric:?} {scale}");
            assert!(hits.iter().all(|hit| !hit.score.is_nan()), "{metric:?} {scale}");
            if metric == Metric::Cosine {
                let ones = hits.iter().all(|hit| (hit.score - 1.0).abs() < 1e-6);
                assert!(ones, "{scale}: {hits:?}");
            }
        }
    }
}

#[test]
fn equal_scores_go_to_the_earlier_record_at_any_number_of_threads() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    let count = 20_000;
    let ids = (0..count).map(Id::Int).collect();
    let vectors = (0..count).flat_map(|n| [(n % 7) as f32, 1.0]).collect();
    records.upsert(Batch { ids, vectors, ..Batch::default() }).unwrap();
    let expected: Vec<Id> = (0..count).filter(|n| n % 7 == 3).take(50).map(Id::Int).collect();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let hits = pool.install(|| records.search(&[3.0, 1.0], &SearchOptions::new(50)).unwrap());
        let found: Vec<Id> = hits.into_iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected, "{threads} threads");
    }
}

#[test]
fn a_batch_search_finds_what_single_searches_find() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 3);
    let ids = (0..5000).map(Id::Int).collect();
    let vectors = (0..15_000).map(|n| ((n * 7919) % 1009) as f32 - 500.0).collect();
    records.upsert(Batch { ids, vectors, ..Batch::default() }).unwrap();
    let filter = Filter::parse(&json!({"$id": {"$gte": 2500}})).unwrap();
    let queries: Vec<f32> = (0..3 * 40).map(|n| ((n * 31) % 17) as f32 - 8.0).collect();
    for filter in [None, Some(&filter)] {
        let options = SearchOptions { filter, ..SearchOptions::new(5) };
        let lists = records.search_batch(&queries, 40, &options).unwrap();
        assert_eq!(lists.len(), 40);
        for (query, list) in queries.chunks_exact(3).zip(lists) {
            let single = records.search(query, &options).unwrap();
            let single: Vec<_> = single.into_iter().map(|hit| (hit.id, hit.score)).collect();
            let list: Vec<_> = list.into_iter().map(|found| (found.id, found.score)).collect();
            assert_eq!(list, single);
        }
    }
    assert!(records.search_batch(&[], 0, &SearchOptions::new(1)).unwrap().is_empty());
}

#[test]
fn deleting_by_id_and_by_filter_counts_what_was_there() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    let ids = (0..10).map(Id::Int).collect();
    let metadata = (0..10).map(|n| Some(json!({"even": n % 2 == 0}))).collect();
    records.upsert(Batch { ids, vectors: vec![1.0; 20], metadata, ..Batch::default() }).unwrap();
    assert_eq!(records.delete(&[3.into(), 4.into(), 77.into(), 4.into()]).unwrap(), 2);
    let before = records.stats().unwrap().file_bytes;
    assert_eq!(records.delete(&[3.into()]).unwrap(), 0);
    assert_eq!(records.stats().unwrap().file_bytes, before, "nothing to say, nothing written");
    let even = Filter::parse(&json!({"even": true})).unwrap();
    assert_eq!(records.count(&even).unwrap(), 4);
    assert_eq!(records.delete_where(&even).unwrap(), 4);
    assert_eq!(records.delete_where(&even).unwrap(), 0);
    assert_eq!(records.len().unwrap(), 4);
}

#[test]
fn pages_give_every_lasting_record_once_whatever_is_written_meanwhile() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    let batch = |range: std::ops::Range<i64>| Batch {
        vectors: vec![1.0; range.clone().count() * 2],
        ids: range.map(Id::Int).collect(),
        ..Batch::default()
    };
    records.upsert(batch(0..1000)).unwrap();
    let mut seen = Vec::new();
    let mut cursor = None;
    let mut extra = 1000;
    loop {
        let page = records.scan(cursor, 64, None).unwrap();
        assert!(page.records.len() <= 64);
        seen.extend(page.records.into_iter().map(|record| record.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        records.delete(&[Id::Int(extra % 500)]).unwrap();
        records.upsert(batch(600..700)).unwrap();
        records.upsert(batch(extra..extra + 5)).unwrap();
        records.compact().unwrap();
        extra += 5;
    }
    for lasting in 500..1000 {
        assert_eq!(seen.iter().filter(|id| **id == Id::Int(lasting)).count(), 1, "{lasting}");
    }
    let filter = Filter::parse(&json!({"$id": {"$lt": 600, "$gte": 500}})).unwrap();
    let page = records.scan(None, 60, Some(&filter)).unwrap();
    let rest = records.scan(page.next, 60, Some(&filter)).unwrap();
    assert_eq!((page.records.len(), rest.records.len()), (60, 40));
    assert!(rest.next.is_none());
}

#[test]
fn a_schema_is_fixed_and_a_missing_collection_is_said_to_be_missing() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let model = |fingerprint: &str| {
        Some(Model { name: "minilm".into(), fingerprint: fingerprint.to_owned() })
    };
    let schema = Schema { model: model("f1"), ..Schema::new(384, Metric::Cosine) };
    assert!(matches!(database.collection("n", None), Err(Error::NotFound { .. })));
    database.collection("n", Some(schema.clone())).unwrap();
    drop(database);
    let database = open_sync(folder.path());
    assert_eq!(*database.collection("n", None).unwrap().schema(), schema);
    database.collection("n", Some(schema.clone())).unwrap();
    for other in [
        Schema { dimension: 385, ..schema.clone() },
        Schema { metric: Metric::Dot, ..schema.clone() },
        Schema { model: model("f2"), ..schema.clone() },
        Schema { model: None, ..schema.clone() },
    ] {
        let error = database.collection("n", Some(other.clone())).err().unwrap();
        assert!(matches!(error, Error::SchemaMismatch { .. }));
        let text = error.to_string();
        assert!(text.contains(&schema.to_string()) && text.contains(&other.to_string()), "{text}");
    }
    for dimension in [0, 65_537] {
        let schema = Schema::new(dimension, Metric::L2);
        assert!(matches!(database.collection("m", Some(schema)), Err(Error::InvalidArgument(_))));
    }
    assert_eq!(database.collections().unwrap(), ["n"]);
}

#[test]
fn files_stay_near_the_live_size_however_often_records_are_replaced() {
    let folder = tempdir().unwrap();
    let options = Options { head_bytes: 10_000, ..Options::default() };
    let database = Database::open(folder.path(), &options).unwrap();
    let records = collection(&database, 2);
    let mut generations = HashSet::new();
    for round in 0..300 {
        records
            .upsert(Batch {
                ids: (0..10).map(Id::Int).collect(),
                vectors: vec![round as f32; 20],
                texts: vec![Some("x".repeat(100)); 10],
                ..Batch::default()
            })
            .unwrap();
        let stats = records.stats().unwrap();
        generations.insert(stats.generation);
        // Heads wait at four times their limit; segments whose rows are all dead go.
        assert!(stats.file_bytes < 20 * 10_000, "{stats:?}");
    }
    assert!(generations.len() > 10, "{generations:?}");
    assert_eq!(records.get(&[3.into()]).unwrap()[0].as_ref().unwrap().vector, [299.0, 299.0]);
    records.compact().unwrap();
    let stats = records.stats().unwrap();
    assert_eq!((stats.records, stats.dead_bytes), (10, 0));
    records.delete_where(&Filter::parse(&json!({})).unwrap()).unwrap();
    records.compact().unwrap();
    let stats = records.stats().unwrap();
    assert_eq!((stats.records, stats.live_bytes, stats.segments), (0, 0, 0));
    assert!(stats.file_bytes < 200, "an emptied log is small: {stats:?}");
}
