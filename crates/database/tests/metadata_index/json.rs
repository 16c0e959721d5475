//! Adversarial metadata, and filters that meet them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::rows::{Row, Rows};

/// Zero twice, one twice, and the edges of what integers and floats can hold.
fn number() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(-1),
        json!(1.5),
        json!(0.1),
        json!(2),
        json!(9_007_199_254_740_992i64),
        json!(9_007_199_254_740_993i64),
        json!(9_007_199_254_740_992f64),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(9_223_372_036_854_775_808u64),
        json!(9_223_372_036_854_775_808f64),
        json!(18_446_744_073_709_551_616f64),
        json!(1e300),
        json!(-1e300),
        json!(5e-324),
    ])
}

/// Short, long and just between, dates and what looks like them.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let long = |start: &str, length: usize, end: &str| {
        format!("{start}{}{end}", "x".repeat(length - start.len() - end.len()))
    };
    prop::sample::select(vec![
        String::new(),
        "a".into(),
        "ab".into(),
        "b".into(),
        "x".into(),
        "é".into(),
        "\u{10000}".into(),
        "\u{ffff}".into(),
        "2024".into(),
        "2024-05-01".into(),
        "2024-05-01T00:00Z".into(),
        "2024-05-01T02:00:00+02:00".into(),
        "2024-05-01 23:30-01:00".into(),
        "2024-05-02T00:29:59.999".into(),
        "2024-05-01x".into(),
        "2024-02-30".into(),
        long("", 32, ""),
        long("", 33, "a"),
        long("", 128, "b"),
        long("", 128, "é"),
        long("", 129, "a"),
        long("", 129, "b"),
        long("", 400, "b"),
        long("é", 129, ""),
        long("2024-05-01", 200, ""),
        format!("{}é{}", "x".repeat(31), "x".repeat(200)),
    ])
}

pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => number(),
        3 => text().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    let long_array = scalar().prop_map(|last| {
        let mut items: Vec<Value> = (0..128).map(|number| json!(number % 3)).collect();
        items.push(last);
        Value::Array(items)
    });
    let leaf = prop_oneof![9 => scalar(), 1 => long_array];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            object(inner).prop_map(Value::Object),
        ]
    })
}

/// Keys with dots everywhere, empty ones, reserved ones and one that is too long to be indexed.
fn entry_key() -> impl Strategy<Value = String> {
    let keys = ["a", "b", "a.b", "b.a", "a.b.a", "", ".", "a.", ".a", "..", "$id", "é"];
    let keys = keys.map(str::to_owned).into_iter().chain([long_key()]).collect::<Vec<_>>();
    prop::sample::select(keys)
}

pub(crate) fn key() -> impl Strategy<Value = String> {
    let keys = ["a", "b", "a.b", "b.a", "a.b.a", "a.a.a", "", ".", "a.", ".a", "..", "a..a", "é"];
    let keys = keys.map(str::to_owned).into_iter();
    let others = [long_key(), format!("a.{}", long_key()), "a.$id".to_owned()];
    prop::sample::select(keys.chain(others).collect::<Vec<_>>())
}

/// A key of metadata, or one of the record's own.
pub(crate) fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => key(),
        1 => prop::sample::select(vec!["$id", "$source", "$line"]).prop_map(str::to_owned),
    ]
}

fn long_key() -> String {
    "k".repeat(255)
}

fn object(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((entry_key(), values), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

/// Some distinct rows, most of them several times.
pub(crate) fn rows() -> impl Strategy<Value = Rows> {
    let deep = (1usize..90, scalar()).prop_map(|(depth, leaf)| {
        let inner = (0..depth).fold(leaf, |inner, _| json!({ "a": inner }));
        json!({ "a": inner })
    });
    let metadata = prop_oneof![
        1 => Just(None),
        9 => object(value()).prop_map(|map| Some(Value::Object(map))),
        1 => deep.prop_map(Some),
    ];
    let place = prop::option::of((text(), 0u64..3));
    let distinct = prop::collection::vec((metadata, place), 1..8);
    (distinct, prop::collection::vec(any::<prop::sample::Index>(), 0..80)).prop_map(
        |(distinct, picks)| {
            let row = |(number, pick): (usize, prop::sample::Index)| {
                let (metadata, place) = pick.get(&distinct).clone();
                let id = match number % 3 {
                    0 => format!("{}{number}", "i".repeat(number * 2)).into(),
                    _ => (number as i64).into(),
                };
                Row { id, metadata, place }
            };
            Rows::from(picks.into_iter().enumerate().map(row).collect::<Vec<_>>())
        },
    )
}

fn operators() -> impl Strategy<Value = Value> {
    let comparable =
        prop_oneof![number(), any::<bool>().prop_map(Value::from), text().prop_map(Value::from)];
    let one = prop_oneof![
        (prop::sample::select(vec!["$eq", "$ne"]), value()).boxed(),
        (
            prop::sample::select(vec!["$in", "$nin"]),
            prop::collection::vec(value(), 0..4).prop_map(Value::Array)
        )
            .boxed(),
        (prop::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]), comparable).boxed(),
        (Just("$exists"), any::<bool>().prop_map(Value::from)).boxed(),
        (Just("$contains"), scalar()).boxed(),
    ];
    prop::collection::vec(one, 1..3)
        .prop_map(|tests| {
            Value::Object(tests.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        })
        .prop_recursive(1, 2, 1, |inner| inner.prop_map(|tests| json!({ "$not": tests })))
}

pub(crate) fn filter() -> impl Strategy<Value = Value> {
    let tests = prop_oneof![3 => operators(), 1 => scalar()];
    prop::collection::vec((any_key(), tests), 0..3)
        .prop_map(|entries| Value::Object(entries.into_iter().collect()))
        .prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({ "$and": all })),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|any| json!({ "$or": any })),
                inner.prop_map(|not| json!({ "$not": not })),
            ]
        })
}

/// A filter that is likely to match: it asks for a value that a row has.
pub(crate) fn filter_for(
    rows: &Rows,
    key: &str,
    pick: prop::sample::Index,
    operator: &str,
) -> Value {
    let key = database::Key::parse(key).unwrap();
    let values: Vec<Value> = rows
        .rows
        .iter()
        .filter_map(|row| key.value(&row.fields()).map(|value| value.into_owned()))
        .collect();
    let operand = if values.is_empty() { json!(1) } else { pick.get(&values).clone() };
    let operand = match (operator, operand) {
        ("$contains", Value::Array(items)) => items
            .into_iter()
            .find(|item| !item.is_array() && !item.is_object())
            .unwrap_or(Value::Null),
        ("$in" | "$nin", operand) => json!([operand, operand, 1]),
        (
            "$gt" | "$gte" | "$lt" | "$lte" | "$contains",
            Value::Null | Value::Array(_) | Value::Object(_),
        ) => json!(1),
        (_, operand) => operand,
    };
    json!({ key.name(): { operator: operand } })
}
