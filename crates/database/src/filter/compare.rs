//! Equality and order of JSON values, by value: 1 is 1.0, and no integer is rounded.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Equal in kind and value, all the way down.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (Value::Null, Value::Null) => true,
        _ => order(a, b) == Some(Ordering::Equal),
    }
}

/// The order of two numbers, two strings or two booleans; `None` for anything else.
pub(super) fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Some(order_numbers(a, b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn order_numbers(a: &Number, b: &Number) -> Ordering {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => order_integer_and_float(a, float(b)),
        (None, Some(b)) => order_integer_and_float(b, float(a)).reverse(),
        (None, None) => order_floats(float(a), float(b)),
    }
}

/// `i128` holds every JSON integer, signed or unsigned.
fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// JSON has no NaN; every number that is no integer is a float.
fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

/// 0 and -0 are equal.
fn order_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

fn order_integer_and_float(integer: i128, float: f64) -> Ordering {
    // The cast cuts the fraction off and saturates; what saturates is beyond every JSON integer.
    let whole = float as i128;
    integer.cmp(&whole).then_with(|| order_floats(0.0, float.fract()))
}
