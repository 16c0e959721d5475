//! The rows of a filter, and how many they are said to be.

use database::{Estimate, MetadataIndex};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::json;
use crate::rows::{Row, Rows, filter};

fn check(index: &MetadataIndex<Vec<u8>>, rows: &Rows, json: &Value) -> Result<(), TestCaseError> {
    let filter = filter(json.clone());
    let expected = rows.accepted(&filter);
    rows.take_looked_at();
    let found = index.evaluate(&filter, None, rows).unwrap();
    prop_assert_eq!(&found, &expected, "{}", json);
    let most = rows.looked_at.borrow().values().copied().max();
    prop_assert!(most.is_none_or(|most| most == 1), "{} looks at rows twice", json);

    let among: RoaringBitmap = (0..rows.rows.len() as u32).step_by(3).collect();
    rows.take_looked_at();
    let found = index.evaluate(&filter, Some(&among), rows).unwrap();
    prop_assert_eq!(&found, &(&expected & &among), "{} among", json);
    prop_assert!(rows.looked_at.borrow().keys().all(|row| among.contains(*row)), "{}", json);

    let estimate = index.estimate(&filter).unwrap();
    let bounds = estimate.at_least..=estimate.at_most;
    prop_assert!(bounds.contains(&expected.len()), "{}: {:?}", json, estimate);
    prop_assert!(bounds.contains(&estimate.expected), "{}: {:?}", json, estimate);
    prop_assert!(estimate.at_most <= rows.rows.len() as u64, "{}: {:?}", json, estimate);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_filter_finds_what_looking_at_every_row_finds(
        rows in json::rows(),
        filters in prop::collection::vec(json::filter(), 1..4),
    ) {
        let index = rows.index();
        for filter in &filters {
            check(&index, &rows, filter)?;
        }
    }

    #[test]
    fn every_operator_finds_values_that_rows_have(
        rows in json::rows(),
        key in json::any_key(),
        pick in any::<prop::sample::Index>(),
    ) {
        let index = rows.index();
        for operator in
            ["$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$contains"]
        {
            check(&index, &rows, &json::filter_for(&rows, &key, pick, operator))?;
        }
    }
}

/// Rows enough for bitmaps of several containers, dense, sparse and in runs.
fn many() -> Rows {
    let row = |number: i64| {
        let mut metadata = json!({
            "unique": format!("key-{number:06}"),
            "number": number,
            "mod": number % 7,
            "run": number / 50_000,
            "half": number as f64 / 2.0,
            "tags": [format!("t{}", number % 5), format!("u{}", number % 11), number % 3],
        });
        if number % 1000 == 0 {
            metadata["rare"] = json!(null);
        }
        Row::new(number, metadata)
    };
    Rows::from((0..140_000).map(row).collect::<Vec<_>>())
}

#[test]
fn many_rows_are_found_without_looking_at_one() {
    let rows = many();
    let index = rows.index();
    index.verify().unwrap();
    let keys = ["$id", "half", "mod", "number", "rare", "run", "tags", "unique"];
    assert_eq!(index.keys().unwrap(), keys);
    for json in [
        json!({}),
        json!({"mod": 3}),
        json!({"run": {"$gte": 1}}),
        json!({"number": {"$gt": 5, "$lte": 100_000.5}}),
        json!({"number": {"$lt": 40}}),
        json!({"half": {"$in": [0.5, 1, 70_000, 69_999.5]}}),
        json!({"unique": {"$gte": "key-0999", "$lt": "key-1"}}),
        json!({"unique": {"$contains": "99"}}),
        json!({"unique": "key-139999"}),
        json!({"rare": null}),
        json!({"rare": {"$exists": false}, "mod": {"$ne": 1}}),
        json!({"tags": {"$contains": "t4"}}),
        json!({"tags": {"$contains": 2.0}}),
        json!({"$or": [{"$id": 7}, {"$id": {"$gt": 139_990}}, {"missing": 1}]}),
        json!({"$not": {"mod": {"$in": [1, 2, 3, 1]}}}),
        json!({"mod": {"$in": [1, 1.0, 2]}}),
    ] {
        let filter = filter(json.clone());
        let expected = rows.accepted(&filter);
        let found = index.evaluate(&filter, None, &rows).unwrap();
        assert_eq!(found, expected, "{json}");
        assert_eq!(rows.take_looked_at(), 0, "{json}");
        let estimate = index.estimate(&filter).unwrap();
        assert!((estimate.at_least..=estimate.at_most).contains(&expected.len()), "{json}");
    }
}

#[test]
fn one_test_of_indexed_values_is_counted_exactly() {
    let rows = many();
    let index = rows.index();
    for json in [
        json!({}),
        json!({"mod": 3}),
        json!({"number": {"$lte": 100_000.5}}),
        json!({"unique": {"$gte": "key-0999"}}),
        json!({"mod": {"$in": [1, 1.0, 2]}}),
        json!({"rare": {"$exists": false}}),
        json!({"tags": {"$contains": "t4"}}),
        json!({"missing": 1}),
    ] {
        let filter = filter(json.clone());
        let exact = rows.accepted(&filter).len();
        let estimate = index.estimate(&filter).unwrap();
        assert_eq!(
            estimate,
            Estimate { at_least: exact, at_most: exact, expected: exact },
            "{json}"
        );
    }
    let half = filter(json!({"mod": {"$lt": 3}, "tags": {"$contains": "t1"}}));
    let (exact, estimate) = (rows.accepted(&half).len(), index.estimate(&half).unwrap());
    assert!(estimate.expected.abs_diff(exact) < 100, "{estimate:?} for {exact}");
}

#[test]
fn only_rows_that_the_index_cannot_tell_apart_are_looked_at() {
    let long = |start: &str, end: usize| format!("{start}{}{end}", "-".repeat(200));
    let row = |number: usize| {
        let start = if number.is_multiple_of(2) { "even" } else { "odd" };
        let metadata = json!({
            "text": long(start, number),
            "list": [number, [number % 10]],
            "wide": vec![number; if number < 20 { 200 } else { 2 }],
            "x".repeat(300): number,
        });
        Row::new(number as i64, if number.is_multiple_of(4) { metadata } else { json!({"a": 1}) })
    };
    let rows = Rows::from((0..400).map(row).collect::<Vec<_>>());
    let index = rows.index();
    for (json, looked_at) in [
        (json!({"text": long("even", 8)}), 1),
        (json!({"text": {"$ne": long("even", 8)}}), 1),
        (json!({"text": long("even", 9)}), 0),
        (json!({"text": {"$gte": "f"}}), 0),
        (json!({"text": {"$gte": long("even", 8)}}), 100),
        (json!({"text": {"$contains": "--8"}}), 100),
        (json!({"list": [16, [6.0]]}), 1),
        (json!({"list": {"$contains": 16}}), 0),
        (json!({"wide": {"$contains": 16}}), 5),
        (json!({ "x".repeat(300): 16 }), 100),
        (json!({"$and": [{ "x".repeat(300): 16 }, {"list": {"$contains": 16}}]}), 1),
        (json!({"a": 1, "text": {"$contains": "-"}}), 0),
    ] {
        let filter = filter(json.clone());
        let found = index.evaluate(&filter, None, &rows).unwrap();
        assert_eq!(rows.take_looked_at(), looked_at, "{json}");
        assert_eq!(found, rows.accepted(&filter), "{json}");
    }
}

#[test]
fn a_segment_without_rows_has_an_index() {
    let rows = Rows::default();
    let index = rows.index();
    assert_eq!(index.rows(), 0);
    for json in [json!({}), json!({"a": {"$ne": 1}}), json!({"$id": 1})] {
        assert!(index.evaluate(&filter(json), None, &rows).unwrap().is_empty());
    }
}

#[test]
fn an_operand_nested_too_deeply_to_be_stored_matches_nothing() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let rows = Rows::from(vec![Row::new(1, json!({ "a": nested(99) }))]);
    for depth in [98, 99, 100, 120] {
        let filter = filter(json!({ "a": { "$in": [nested(depth)] } }));
        let found = rows.index().evaluate(&filter, None, &rows).unwrap();
        assert_eq!(found.len(), u64::from(depth == 99), "{depth}");
        assert_eq!(found, rows.accepted(&filter));
    }
}
