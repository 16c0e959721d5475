mod datetimes;
mod naive;

use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Filter, compare};
use crate::record::{Id, Place};
use crate::records::StoredRecord;
use datetimes::datetime;

fn record(id: Id, metadata: Option<Value>, place: Option<(&str, u64)>) -> StoredRecord {
    StoredRecord {
        id,
        metadata: metadata.map(Into::into),
        place: place.map(|(source, line)| Place { source: source.into(), start: 0, end: 0, line }),
        text: None,
        vectors: Default::default(),
        logged_bytes: 0,
    }
}

fn matches(filter: Value, metadata: Value) -> bool {
    Filter::parse(&filter).unwrap().matches(&record(Id::Int(1), Some(metadata), None))
}

#[test]
fn examples_of_every_operator() {
    let book = json!({
        "title": "Éloge", "year": 1990, "tags": ["a", "b", 3], "author": {"name": "Ann"},
        "nothing": null, "draft": false, "dotted.key": 1, "price": 12.5
    });
    for (filter, expected) in [
        (json!({}), true),
        (json!({"title": "Éloge"}), true),
        (json!({"title": "éloge"}), false),
        (json!({"year": 1990.0, "draft": false}), true),
        (json!({"year": {"$gt": 1989, "$lte": 1990}}), true),
        (json!({"year": {"$gt": 1989, "$lt": 1990}}), false),
        (json!({"year": {"$gt": "1989"}}), false),
        (json!({"title": {"$gte": "É", "$lt": "Ê"}}), true),
        (json!({"draft": {"$lt": true}}), true),
        (json!({"draft": 0}), false),
        (json!({"year": {"$in": ["1990", 1990]}}), true),
        (json!({"year": {"$in": []}}), false),
        (json!({"year": {"$nin": []}}), true),
        (json!({"missing": {"$nin": [1]}}), true),
        (json!({"missing": {"$ne": 1}}), true),
        (json!({"missing": null}), false),
        (json!({"nothing": null}), true),
        (json!({"nothing": {"$exists": true}}), true),
        (json!({"missing": {"$exists": false}}), true),
        (json!({"title": {"$contains": "log"}}), true),
        (json!({"tags": {"$contains": "b"}}), true),
        (json!({"tags": {"$contains": 3.0}}), true),
        (json!({"tags": {"$contains": "ab"}}), false),
        (json!({"year": {"$contains": 1}}), false),
        (json!({"author.name": "Ann"}), true),
        (json!({"author.name.first": "Ann"}), false),
        (json!({"dotted.key": 1}), true),
        (json!({"author": {"$eq": {"name": "Ann"}}}), true),
        (json!({"price": {"$not": {"$gt": 12.4}}}), false),
        (json!({"missing": {"$not": {"$gt": 12.4}}}), true),
        (json!({"$not": {"year": 1990}}), false),
        (json!({"$or": [{"year": 1}, {"draft": false}]}), true),
        (json!({"$and": [{"year": 1990}, {"draft": true}]}), false),
    ] {
        assert_eq!(matches(filter.clone(), book.clone()), expected, "{filter}");
    }
}

#[test]
fn numbers_are_compared_without_rounding() {
    let above = 9_007_199_254_740_993i64; // 2^53 + 1, which no f64 holds
    assert!(!matches(json!({"n": 9_007_199_254_740_992f64}), json!({ "n": above })));
    assert!(matches(json!({"n": {"$lt": above}}), json!({"n": 9_007_199_254_740_992f64})));
    assert!(matches(json!({"n": {"$gt": i64::MAX}}), json!({ "n": u64::MAX })));
    assert!(matches(json!({"n": {"$gt": u64::MAX}}), json!({"n": 18_446_744_073_709_551_616f64})));
    assert!(matches(json!({"n": {"$lt": i64::MIN}}), json!({"n": -1e300})));
    assert!(matches(json!({"n": 0}), json!({"n": -0.0})));
    assert!(matches(json!({"n": {"$lt": -2, "$gt": -3}}), json!({"n": -2.5})));
}

#[test]
fn reserved_keys_address_the_record_itself() {
    let check =
        |filter: Value, record: &StoredRecord| Filter::parse(&filter).unwrap().matches(record);
    let placed = record("a#1".into(), None, Some(("docs/a.md", 7)));
    assert!(check(json!({"$id": "a#1", "$source": "docs/a.md", "$line": 7}), &placed));
    assert!(check(json!({"$source": {"$contains": "docs/"}, "$line": {"$gt": 6}}), &placed));
    assert!(!check(json!({"$id": 1}), &placed));
    let bare = record(Id::Int(1), Some(json!({"$source": "trick"})), None);
    assert!(check(json!({"$id": {"$in": [1, 2]}, "$source": {"$exists": false}}), &bare));
    assert!(check(json!({"$line": {"$ne": 7}}), &bare));
}

#[test]
fn errors_name_the_place_and_what_is_allowed() {
    let deep = |depth| (0..depth).fold(json!({"k": 1}), |inner, _| json!({ "$not": inner }));
    for (filter, at, problem) in [
        (json!([1]), "", "not an array"),
        (json!({"k": {"$gtt": 1}}), "k.$gtt", "unknown operator '$gtt': use $eq"),
        (json!({"k": {"sub": 1}}), "k.sub", "written with a dot"),
        (json!({"k": {}}), "k", "expected an operator: $eq"),
        (json!({"$xor": []}), "$xor", "$and, $or or $not"),
        (json!({"$or": []}), "$or", "at least one"),
        (json!({"$and": [{"a": 1}, {"b": {"$in": 5}}]}), "$and[1].b.$in", "an array of values"),
        (json!({"$and": {"a": 1}}), "$and", "an array of filters, not an object"),
        (json!({"k": {"$gt": null}}), "k.$gt", "a number, a string or a boolean"),
        (json!({"k": {"$exists": 1}}), "k.$exists", "true or false, not a number"),
        (json!({"k": {"$contains": [1]}}), "k.$contains", "not an array"),
        (json!({"k": {"$not": 5}}), "k.$not", "an object of operators"),
    ] {
        let error = Filter::parse(&filter).unwrap_err();
        assert_eq!(error.at, at, "{filter}");
        assert!(error.problem.contains(problem), "{filter}: {error}");
        assert!(error.to_string().contains(at), "{error}");
    }
    assert!(Filter::parse(&deep(60)).is_ok());
    let error = Filter::parse(&deep(65)).unwrap_err();
    assert!(error.problem.contains("64 levels"), "{error}");
}

/// Zero twice, one thrice, and the edges of what 64-bit integers and floats can hold.
fn telling_numbers() -> Vec<Value> {
    vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(-1),
        json!(1.5),
        json!(-1.5),
        json!(0.1),
        json!(9_007_199_254_740_992i64),
        json!(9_007_199_254_740_993i64),
        json!(9_007_199_254_740_992f64),
        json!(i64::MAX),
        json!(i64::MAX - 1),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(9_223_372_036_854_775_808u64),
        json!(9_223_372_036_854_775_808f64),
        json!(-9_223_372_036_854_775_808f64),
        json!(18_446_744_073_709_551_616f64),
        json!(1e300),
        json!(-1e300),
        json!(5e-324),
    ]
}

#[test]
fn every_two_telling_numbers_are_ordered_by_their_digits() {
    for a in telling_numbers() {
        for b in telling_numbers() {
            assert_eq!(compare::order(&a, &b), naive::order(&a, &b), "{a} and {b}");
            let equal = naive::order(&a, &b) == Some(Ordering::Equal);
            assert_eq!(compare::equal(&a, &b), equal, "{a} and {b}");
        }
    }
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(telling_numbers()),
        (-4i32..4).prop_map(|number| json!(f64::from(number) / 2.0)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_order_of_all_values_is_one_order_and_knows_equality(
        values in prop::collection::vec(value(), 3..4),
    ) {
        let order = |a: usize, b: usize| compare::total_order(&values[a], &values[b]);
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            prop_assert_eq!(order(a, b).is_eq(), compare::equal(&values[a], &values[b]));
            prop_assert_eq!(order(a, b), order(b, a).reverse());
            if let Some(expected) = compare::order(&values[a], &values[b]).filter(|o| o.is_ne()) {
                prop_assert_eq!(order(a, b), expected);
            }
        }
        if order(0, 1).is_le() && order(1, 2).is_le() {
            prop_assert!(order(0, 2).is_le(), "{:?}", &values);
        }
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        number(),
        datetime().prop_map(Value::from),
        prop::sample::select(vec!["", "a", "ab", "b", "é", "1", "\u{10000}", "\u{ffff}"])
            .prop_map(|text| json!(text)),
        any::<bool>().prop_map(|flag| json!(flag)),
        Just(Value::Null),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            object(inner).prop_map(Value::Object),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.b.a"]).prop_map(str::to_owned)
}

fn object(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((key(), values), 0..3).prop_map(|entries| entries.into_iter().collect())
}

fn operators() -> impl Strategy<Value = Value> {
    let comparable = || {
        prop_oneof![
            number(),
            any::<bool>().prop_map(|flag| json!(flag)),
            prop::sample::select(vec!["", "a", "b", "é"]).prop_map(|text| json!(text))
        ]
    };
    let one = prop_oneof![
        (prop::sample::select(vec!["$eq", "$ne"]), value()).boxed(),
        (
            prop::sample::select(vec!["$in", "$nin"]),
            prop::collection::vec(value(), 0..4).prop_map(Value::Array)
        )
            .boxed(),
        (prop::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]), comparable()).boxed(),
        (Just("$exists"), any::<bool>().prop_map(|flag| json!(flag))).boxed(),
        (Just("$contains"), scalar()).boxed(),
    ];
    prop::collection::vec(one, 1..3)
        .prop_map(|tests| {
            Value::Object(tests.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        })
        .prop_recursive(1, 2, 1, |inner| inner.prop_map(|tests| json!({ "$not": tests })))
}

fn filter() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        4 => key(),
        1 => prop::sample::select(vec!["$id", "$source", "$line"]).prop_map(str::to_owned),
    ];
    let tests = prop_oneof![
        operators(),
        scalar(),
        prop::collection::vec(scalar(), 0..2).prop_map(Value::Array)
    ];
    prop::collection::vec((keys, tests), 0..3)
        .prop_map(|entries| Value::Object(entries.into_iter().collect()))
        .prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({ "$and": all })),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|any| json!({ "$or": any })),
                inner.prop_map(|not| json!({ "$not": not })),
            ]
        })
}

fn stored_record() -> impl Strategy<Value = StoredRecord> {
    let id = prop_oneof![
        (-1i64..3).prop_map(Id::Int),
        prop::sample::select(vec!["", "a", "1"]).prop_map(Id::from)
    ];
    let metadata = prop::option::of(object(value()).prop_map(Value::Object));
    let place = prop::option::of((prop::sample::select(vec!["a", "b"]), 0u64..3));
    (id, metadata, place).prop_map(|(id, metadata, place)| record(id, metadata, place))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn filters_agree_with_a_second_opinion(
        filter in filter(),
        records in prop::collection::vec(stored_record(), 1..5),
    ) {
        let parsed = Filter::parse(&filter).unwrap();
        for record in &records {
            prop_assert_eq!(
                parsed.matches(record), naive::matches(&filter, record),
                "{} on {:?}", filter, record
            );
        }
    }

    #[test]
    fn any_json_parses_or_is_an_error(filter in value()) {
        if let Err(error) = Filter::parse(&filter) {
            prop_assert!(!error.problem.is_empty());
        }
    }
}

#[test]
fn filters_of_one_name_ask_for_the_same() {
    let name = |filter: Value| Filter::parse(&filter).unwrap().name().map(str::to_owned);
    let distinct = [
        json!({}),
        json!({"a": 1}),
        json!({"a": "1"}),
        json!({"a": [1]}),
        json!({"a": {"$ne": 1}}),
        json!({"a": {"$gt": 1}}),
        json!({"a": {"$gte": 1}}),
        json!({"a": {"$lt": 1}}),
        json!({"a": {"$lte": 1}}),
        json!({"a": {"$gte": 1, "$lt": 3}}),
        json!({"a": {"$exists": true}}),
        json!({"a": {"$contains": "1"}}),
        json!({"a": {"$in": [1, 2]}}),
        json!({"a": {"$in": ["1,2"]}}),
        json!({"a": {"$nin": [1, 2]}}),
        json!({"$id": 1}),
        json!({"$or": [{"a": 1}, {"b": 2}]}),
        json!({"$or": [{"a": 1}, {"b": "2"}]}),
        json!({"a": 1, "b": 2}),
        json!({"a\"=1,\"b": 2}),
        json!({"$not": {"a": 1, "b": 2}}),
    ];
    let mut names: Vec<_> = distinct.into_iter().map(name).collect();
    assert!(names.iter().all(Option::is_some));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 21);
    assert_eq!(name(json!({"a": 1, "b": 2})), name(json!({"b": 2, "a": 1})));
    let many: Vec<u32> = (0..1000).collect();
    assert_eq!(name(json!({"a": {"$in": many}})), None);
    let many: Vec<Value> = (0..1000).map(|n| json!({"a": n})).collect();
    assert_eq!(name(json!({"$or": many})), None);
}
