//! What an index takes beside what it indexes.

use database::format::{LONG_STRING_PREFIX_BYTES, MAX_INDEXED_KEYS, METADATA_INDEX_HEADER_BYTES};
use serde_json::{Map, Value, json};

use crate::rows::{Row, Rows, filter};

/// The bytes that this metadata adds to an index, for each row.
fn bytes_per_row(count: i64, metadata: impl Fn(i64) -> Value) -> f64 {
    let rows = |with: bool| {
        let row = |number| Row::new(number, if with { metadata(number) } else { json!({}) });
        Rows::from((0..count).map(row).collect::<Vec<_>>()).index_bytes().len()
    };
    (rows(true) - rows(false)) as f64 / count as f64
}

#[test]
fn unique_values_take_their_own_bytes_and_seventeen() {
    let strings = bytes_per_row(5000, |number| json!({ "k": format!("{number:020}") }));
    assert!(strings < 20.0 + 17.0, "{strings}");
    let numbers = bytes_per_row(5000, |number| json!({ "k": number as f64 + 0.5 }));
    assert!(numbers < 9.0 + 17.0, "{numbers}");
}

#[test]
fn long_texts_take_a_prefix_and_a_checksum() {
    let texts = bytes_per_row(
        500,
        |number| json!({ "k": format!("{number:05}{}", "lorem ipsum ".repeat(850)) }),
    );
    assert!(texts < (LONG_STRING_PREFIX_BYTES + 4 + 17) as f64, "{texts}");
}

#[test]
fn values_of_many_rows_take_about_two_bytes_a_row_or_less() {
    let flags = bytes_per_row(50_000, |number| json!({ "k": number % 3 == 0 }));
    assert!(flags < 0.5, "{flags}");
    let categories =
        bytes_per_row(50_000, |number| json!({ "k": format!("c{}", number * 7 % 20) }));
    assert!(categories < 2.2, "{categories}");
}

#[test]
fn a_key_of_one_row_takes_its_name_and_a_hundred_bytes() {
    let keys = bytes_per_row(3000, |number| json!({ format!("key{number:05}"): number }));
    assert!(keys < 8.0 + 100.0, "{keys}");
}

#[test]
fn no_rows_take_a_header() {
    assert!(Rows::default().index_bytes().len() <= METADATA_INDEX_HEADER_BYTES + 4);
}

#[test]
fn keys_beyond_the_limit_are_found_by_looking() {
    let keys_in_a_row = 1000;
    let count = (MAX_INDEXED_KEYS / keys_in_a_row) as i64 + 2;
    let row = |number: i64| {
        let own = (0..keys_in_a_row).map(|key| (format!("k{number:03}-{key}"), json!(number)));
        let shared = [("shared".to_owned(), json!(number % 2))];
        Row::new(number, Value::Object(own.chain(shared).collect::<Map<_, _>>()))
    };
    let rows = Rows::from((0..count).map(row).collect::<Vec<_>>());
    let index = rows.index();
    assert_eq!(index.keys().unwrap().len(), MAX_INDEXED_KEYS);
    let last = count - 1;
    for (json, most_looked_at) in [
        (json!({"shared": 1}), 0),
        (json!({"k000-5": 0}), 0),
        (json!({ format!("k{last:03}-7"): last }), 3),
        (json!({ format!("k{last:03}-7"): {"$exists": false} }), 3),
    ] {
        let filter = filter(json.clone());
        let found = index.evaluate(&filter, None, &rows).unwrap();
        assert!(rows.take_looked_at() <= most_looked_at, "{json}");
        assert_eq!(found, rows.accepted(&filter), "{json}");
        assert!(!found.is_empty());
    }
}
