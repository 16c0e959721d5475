//! JSON values as keys of sorted maps.

use std::cmp::Ordering;

use serde_json::Value;

use super::compare::total_order;
use super::number::ExactNumber;

/// A value in the order of all values, equal to another exactly if filters say so, and in one
/// form: a number that is an integer is written as one.
#[derive(Clone, Debug)]
pub(crate) struct SortedValue(Value);

impl SortedValue {
    pub(crate) fn new(value: &Value) -> Self {
        Self(canonical(value))
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }
}

impl Ord for SortedValue {
    fn cmp(&self, other: &Self) -> Ordering {
        total_order(&self.0, &other.0)
    }
}

impl PartialOrd for SortedValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortedValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SortedValue {}

/// The one form of all values that equal this one, but for the order of an object's entries.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => ExactNumber::new(number).to_json(),
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), canonical(value))).collect()
        }
        other => other.clone(),
    }
}
