//! Equality and order of JSON values, by value: 1 is 1.0, and no integer is rounded.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::datetime::sort_text;
use super::number::ExactNumber;

/// Equal in kind and value, all the way down. Strings are equal if their texts are, also where
/// they name the same moment in two ways.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => ExactNumber::new(a) == ExactNumber::new(b),
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Null, Value::Null) => true,
        _ => false,
    }
}

/// The order of two numbers, two strings or two booleans; `None` for anything else.
pub(crate) fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Some(ExactNumber::new(a).cmp(&ExactNumber::new(b))),
        (Value::String(a), Value::String(b)) => Some(sort_text(a).cmp(&sort_text(b))),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// An order of all values, in which two are equal exactly if [`equal`] says so: null, false,
/// true, numbers, strings, arrays, objects.
///
/// Strings go by what they are ordered by in filters, then by their texts; arrays by their first
/// elements that differ; objects by their entries in the order of their keys.
pub(crate) fn total_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => order_texts(a, b),
        (Value::Array(a), Value::Array(b)) => {
            let differing = a.iter().zip(b).map(|(a, b)| total_order(a, b));
            first_difference(differing).then_with(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let (a, b) = (sorted_entries(a), sorted_entries(b));
            let differing = a
                .iter()
                .zip(&b)
                .map(|((a_key, a), (b_key, b))| a_key.cmp(b_key).then_with(|| total_order(a, b)));
            first_difference(differing).then_with(|| a.len().cmp(&b.len()))
        }
        _ => order(a, b).unwrap_or_else(|| rank(a).cmp(&rank(b))),
    }
}

/// By what strings are ordered by, then by their texts.
pub(crate) fn order_texts(a: &str, b: &str) -> Ordering {
    sort_text(a).cmp(&sort_text(b)).then_with(|| a.cmp(b))
}

pub(crate) fn sorted_entries(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn first_difference(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The place of a kind among the kinds.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}
