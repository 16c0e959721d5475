//! `docs/limits.md` says what the constants say, and collections do what it says.

mod common;

use std::fs;

use common::open_batch;
use database::format::*;
use database::graph::layout::{MAX_GRAPH_DIMENSION, MAX_GRAPH_ROWS};
use database::{
    Batch, Database, Error, Filter, Id, IndexOptions, Metric, Options, Schema, SearchOptions,
    verify,
};
use serde_json::{Value, json};
use tempfile::tempdir;

#[test]
fn the_document_agrees_with_the_constants() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
    let text = fs::read_to_string(path).unwrap();
    let limit = |what: &str| -> String {
        let row = text.lines().find(|line| line.starts_with(&format!("| {what} |")));
        row.unwrap_or_else(|| panic!("a row about {what}")).split(" | ").nth(1).unwrap().to_owned()
    };
    assert!(limit("collection name").starts_with(&format!("1 to {MAX_NAME_BYTES} bytes")));
    assert_eq!(
        limit("rows that are merged into one segment"),
        format!("{}", MAX_SEGMENT_ROWS.min(MAX_GRAPH_ROWS).min(MAX_INDEXED_ROWS))
    );
    assert_eq!(MAX_SEGMENT_ROWS, MAX_GRAPH_ROWS, "any segment may have a graph");
    assert!(limit("records in one write").starts_with(&MAX_SEGMENT_ROWS.to_string()));
    let dimension = format!("1 to {MAX_DIMENSION}; of packed bits 8 to {}", 8 * MAX_DIMENSION);
    assert!(limit("dimension").starts_with(&dimension));
    assert_eq!(MAX_DIMENSION, MAX_GRAPH_DIMENSION);
    let names = format!("{MAX_FIELDS}, each with a name of 1 to {MAX_FIELD_NAME_BYTES} of");
    assert!(limit("fields of a collection").starts_with(&names));
    let indices = format!("{MAX_SPARSE_NUMBERS}, at indices from 0 to {}", u32::MAX);
    assert_eq!(limit("numbers of a sparse vector"), indices);
    assert!(limit("id").ends_with(&format!("at most {MAX_TEXT_BYTES} bytes")));
    assert_eq!(limit("text"), format!("{MAX_TEXT_BYTES} bytes of UTF-8"));
    assert_eq!(limit("metadata of a record"), format!("{MAX_TEXT_BYTES} bytes of JSON"));
    assert_eq!(limit("nesting of metadata"), format!("{MAX_METADATA_DEPTH} levels"));
    assert!(limit("key of metadata").contains(&format!("{MAX_INDEXED_KEY_BYTES} bytes")));
    assert!(limit("distinct keys of a segment").contains(&format!("{MAX_INDEXED_KEYS} most used")));
    let strings = limit("string in metadata");
    assert!(strings.contains(&format!("{MAX_INDEXED_STRING_BYTES} bytes")));
    assert!(strings.contains(&format!("first {LONG_STRING_PREFIX_BYTES} and")));
    assert!(limit("array in metadata").contains(&format!("{MAX_INDEXED_ELEMENTS} elements")));
    let model = format!("{MAX_MODEL_TEXT_BYTES} bytes each");
    assert_eq!(limit("model name, model fingerprint"), model);
}

fn batch(ids: std::ops::Range<i64>) -> Batch {
    Batch {
        vectors: ids.clone().flat_map(|id| [(id % 97) as f32, (id % 89) as f32]).collect(),
        metadata: ids.clone().map(|id| Some(json!({"seventh": id % 7}))).collect(),
        ids: ids.map(Id::Int).collect(),
        ..Batch::default()
    }
}

/// What happens beyond 2^30 records, at a thousand.
#[test]
fn a_collection_of_more_records_than_a_segment_holds_has_several() {
    const MOST: u32 = 1000;
    // Heads grow to four times their records and one write: no further than a segment, too.
    let options = Options { head_records: 100, segment_rows: MOST, ..Options::default() };
    for minimum_rows in [100, u32::MAX] {
        let folder = tempdir().unwrap();
        let database = Database::open(folder.path(), &options).unwrap();
        let index = IndexOptions { minimum_rows, ..IndexOptions::default() };
        let records = database
            .collection_with_index("c", Some(Schema::new(2, Metric::L2)), Some(index))
            .unwrap();
        let error = records.upsert(batch(0..i64::from(MOST) + 1)).unwrap_err().to_string();
        assert!(error.contains("1001 records are too many") && error.contains("most 1000"));
        assert_eq!(records.len().unwrap(), 0);
        for first in (0..5500).step_by(500) {
            records.upsert(batch(first..first + 500)).unwrap();
        }
        records.delete(&[7.into(), 5000.into()]).unwrap();
        records.optimize().unwrap();
        let stats = records.stats().unwrap();
        assert_eq!(stats.records, 5498);
        assert!((6..=12).contains(&stats.segments), "{stats:?}");
        for database in [None, Some(&database)] {
            let again;
            let records = match database {
                Some(_) => records.clone(),
                None => {
                    again = database::Database::open_read_only(folder.path()).unwrap();
                    again.collection("c", None).unwrap()
                }
            };
            let all = records.scan(None, usize::MAX, None).unwrap().records;
            assert_eq!(all.len(), 5498);
            let found = records.get(&[0.into(), 7.into(), 999.into(), 5499.into()]).unwrap();
            let there: Vec<bool> = found.iter().map(Option::is_some).collect();
            assert_eq!(there, [true, false, true, true]);
            let filter = Filter::parse(&json!({"seventh": 3})).unwrap();
            assert_eq!(records.count(&filter).unwrap(), (0..5500).filter(|id| id % 7 == 3).count());
            let exact = SearchOptions { exact: true, ..SearchOptions::new(5498) };
            assert_eq!(records.search(&[1.0, 1.0], &exact).unwrap().len(), 5498);
        }
        drop((records, database));
        assert!(verify(folder.path()).unwrap().is_sound());
    }
}

#[test]
fn dimensions_end_where_the_document_says() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    for wrong in [0, MAX_DIMENSION + 1, usize::MAX / 16] {
        let error = database.collection("c", Some(Schema::new(wrong, Metric::Dot))).err().unwrap();
        assert!(error.to_string().contains("dimension is 1 to 65536, not"), "{error}");
    }
    let most = database.collection("most", Some(Schema::new(MAX_DIMENSION, Metric::Dot))).unwrap();
    let vectors = vec![1.0; MAX_DIMENSION];
    most.upsert(Batch { ids: vec![1.into()], vectors: vectors.clone(), ..Batch::default() })
        .unwrap();
    assert_eq!(most.search(&vectors, &SearchOptions::new(1)).unwrap()[0].score, 65_536.0);
}

#[test]
fn metadata_of_any_keys_and_lengths_are_found_and_too_deep_ones_refused() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = database.collection("c", Some(Schema::new(1, Metric::Dot))).unwrap();
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "k": inner }));
    let long_key = "k".repeat(MAX_INDEXED_KEY_BYTES + 1);
    let long_string = "s".repeat(100_000);
    let many: Value = (0..70_000).map(|key| (format!("key {key}"), json!(key))).collect();
    let metadata = [
        json!({ &long_key: 1, "text": &long_string }),
        json!({ "list": (0..MAX_INDEXED_ELEMENTS + 5).collect::<Vec<_>>() }),
        many,
        nested(MAX_METADATA_DEPTH),
    ];
    let upsert = |id: &str, metadata: &Value| {
        records.upsert(Batch {
            ids: vec![id.into()],
            vectors: vec![1.0],
            metadata: vec![Some(metadata.clone())],
            ..Batch::default()
        })
    };
    let long_id = "i".repeat(1 << 20);
    for (number, metadata) in metadata.iter().enumerate() {
        upsert(&format!("{long_id}{number}"), metadata).unwrap();
    }
    let error = upsert("deep", &nested(MAX_METADATA_DEPTH + 1)).unwrap_err();
    assert!(matches!(&error, Error::InvalidArgument(_)), "{error}");
    assert!(error.to_string().contains("more than 100 levels"), "{error}");
    let filters = [
        json!({ &long_key: 1 }),
        json!({ "text": &long_string }),
        json!({ "list": { "$contains": MAX_INDEXED_ELEMENTS + 4 } }),
        json!({ "key 69999": 69_999 }),
    ];
    // In the head, then from the segment.
    for _ in 0..2 {
        for filter in &filters {
            let filter = Filter::parse(filter).unwrap();
            assert_eq!(records.count(&filter).unwrap(), 1, "{filter:?}");
        }
        let id = Id::from(format!("{long_id}3"));
        let found = records.get(&[id]).unwrap().remove(0).unwrap();
        assert_eq!(found.metadata.as_deref(), Some(&nested(MAX_METADATA_DEPTH)));
        let index = IndexOptions { minimum_rows: 2, ..IndexOptions::default() };
        records.set_index(index).unwrap();
        records.optimize().unwrap();
    }
}
