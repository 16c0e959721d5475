//! Counts by value and groups, against looking at every row.

use database::{FacetCounts, Groups, Id, Key, RankedGroups};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::json;
use crate::rows::{Row, Rows};

/// Counts by a text for each value, with nothing of the crate's order.
fn counted(rows: &Rows, key: &Key, among: &RoaringBitmap) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = Vec::new();
    for row in among {
        let fields = rows.rows[row as usize].fields();
        let values = match key.value(&fields).map(|value| value.into_owned()) {
            Some(Value::Array(items)) => items,
            Some(value) => vec![value],
            None => vec![],
        };
        let mut texts: Vec<String> = values.iter().map(spelled).collect();
        texts.sort();
        texts.dedup();
        for text in texts {
            match counts.iter_mut().find(|(counted, _)| *counted == text) {
                Some((_, count)) => *count += 1,
                None => counts.push((text, 1)),
            }
        }
    }
    counts.sort();
    counts
}

/// One spelling for each value.
fn spelled(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap();
            // A float that is an integer of 64 bits is written as one, -0 as 0.
            match float as i128 {
                integer if integer as f64 == float && integer.unsigned_abs() < 1 << 64 => {
                    integer.to_string()
                }
                _ => format!("{float:?}"),
            }
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(spelled).collect::<Vec<_>>().join(","))
        }
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{key:?}:{}", spelled(value)));
            let mut entries: Vec<String> = entries.collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        other => other.to_string(),
    }
}

fn some_of(rows: &Rows, step: usize) -> RoaringBitmap {
    (0..rows.rows.len() as u32).step_by(step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn values_are_counted_as_looking_at_every_row_counts_them(
        rows in json::rows(), name in json::any_key(), step in 1usize..4
    ) {
        let key = Key::parse(&name).unwrap();
        let among = some_of(&rows, step);
        let expected = counted(&rows, &key, &among);
        let index = rows.index();
        let mut counts = FacetCounts::default();
        let restriction = (step > 1).then_some(&among);
        index.facet(&key, restriction, &rows, &mut counts).unwrap();
        let mut by_record = FacetCounts::default();
        for row in &among {
            by_record.add_record(&key, &rows.rows[row as usize].fields());
        }
        let counts = counts.into_sorted();
        prop_assert_eq!(&counts, &by_record.into_sorted());
        prop_assert!(counts.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{:?}", counts);
        let mut spelled_counts: Vec<(String, u64)> =
            counts.iter().map(|(value, count)| (spelled(value), *count)).collect();
        spelled_counts.sort();
        prop_assert_eq!(spelled_counts, expected);
    }

    #[test]
    fn groups_hold_the_rows_with_each_value(
        rows in json::rows(), name in json::any_key(), step in 1usize..4
    ) {
        let key = Key::parse(&name).unwrap();
        let among = some_of(&rows, step);
        let restriction = (step > 1).then_some(&among);
        let groups = rows.index().groups(&key, restriction, &rows).unwrap().into_sorted();
        let mut by_record = Groups::default();
        for row in &among {
            by_record.add_record(&key, &rows.rows[row as usize].fields(), row);
        }
        prop_assert_eq!(&groups, &by_record.into_sorted());
        let mut seen = RoaringBitmap::new();
        for (value, group) in &groups {
            prop_assert!(!group.is_empty() && seen.is_disjoint(group));
            seen |= group;
            for row in group {
                let found = key.value(&rows.rows[row as usize].fields()).map(|v| spelled(&v));
                prop_assert_eq!(found, value.as_ref().map(spelled));
            }
        }
        prop_assert_eq!(seen, among);
        let mut values: Vec<_> =
            groups.iter().map(|(value, _)| value.as_ref().map(spelled)).collect();
        values.sort();
        values.dedup();
        prop_assert_eq!(values.len(), groups.len());
    }

    #[test]
    fn ranked_groups_keep_the_best_hits_of_the_best_groups(
        values in prop::collection::vec(prop::option::of(0i64..5), 0..40),
        limit in 0usize..4,
        size in 0usize..4,
    ) {
        let mut groups = RankedGroups::new(limit, size);
        for (hit, value) in values.iter().enumerate() {
            let before = groups.is_full().then(|| groups.clone().into_groups());
            groups.push(value.map(Value::from).as_ref(), hit);
            if let Some(before) = before {
                prop_assert_eq!(before, groups.clone().into_groups());
            }
        }
        let mut order = Vec::new();
        for value in &values {
            if !order.contains(value) {
                order.push(*value);
            }
        }
        let hits_of = |wanted: &Option<i64>| -> Vec<usize> {
            let hits = values.iter().enumerate().filter(|(_, value)| *value == wanted);
            hits.map(|(hit, _)| hit).take(size).collect()
        };
        let expected: Vec<(Option<Value>, Vec<usize>)> = order
            .iter()
            .take(if size == 0 { 0 } else { limit })
            .map(|value| (value.map(Value::from), hits_of(value)))
            .collect();
        prop_assert_eq!(groups.into_groups(), expected);
    }
}

#[test]
fn common_values_are_counted_without_looking_at_a_row() {
    let row = |number: i64| {
        let tags = [json!("all"), json!(number % 2), json!(1)];
        Row::new(number, json!({ "tags": tags, "lang": if number < 60 { "en" } else { "de" } }))
    };
    let rows = Rows::from((0..100).map(row).collect::<Vec<_>>());
    let facet = |name: &str| {
        let mut counts = FacetCounts::default();
        rows.index().facet(&Key::parse(name).unwrap(), None, &rows, &mut counts).unwrap();
        counts.into_sorted()
    };
    assert_eq!(facet("lang"), [(json!("en"), 60), (json!("de"), 40)]);
    assert_eq!(facet("tags"), [(json!(1), 100), (json!("all"), 100), (json!(0), 50)]);
    assert_eq!(facet("missing"), []);
    assert_eq!(rows.take_looked_at(), 0);
    assert_eq!(rows.rows[0].id, Id::Int(0));
}
