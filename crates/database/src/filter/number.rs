//! JSON numbers by value: 1 is 1.0, 0 is -0.0, and no integer is rounded.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde_json::{Number, Value};

/// A JSON number in the one form that its value has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ExactNumber {
    /// Every integer from the smallest `i64` to the largest `u64`, also if it came as a float.
    Integer(i128),
    /// Every other float: finite, and with a fraction or outside of that range.
    Float(f64),
}

/// 2^63 and 2^64, which a float holds exactly.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

impl ExactNumber {
    pub(crate) fn new(number: &Number) -> Self {
        let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        match integer {
            Some(integer) => Self::Integer(integer),
            // Every number that is no integer is a float.
            None => Self::from_float(number.as_f64().unwrap_or(0.0)),
        }
    }

    /// Takes a finite float; JSON has no others.
    pub(crate) fn from_float(float: f64) -> Self {
        if float.fract() == 0.0 && (-TWO_TO_63..TWO_TO_64).contains(&float) {
            Self::Integer(float as i128)
        } else {
            Self::Float(float)
        }
    }

    /// As JSON: an integer where the value is one.
    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::Integer(integer) => match i64::try_from(integer) {
                Ok(signed) => Value::from(signed),
                Err(_) => Value::from(integer as u64),
            },
            Self::Float(float) => Value::from(float),
        }
    }
}

impl Ord for ExactNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            (Self::Integer(a), Self::Float(b)) => order_integer_and_float(a, b),
            (Self::Float(a), Self::Integer(b)) => order_integer_and_float(b, a).reverse(),
            // Neither is a zero or NaN, so this is the order by value.
            (Self::Float(a), Self::Float(b)) => a.total_cmp(&b),
        }
    }
}

impl PartialOrd for ExactNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ExactNumber {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ExactNumber {}

impl Hash for ExactNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Integer(integer) => integer.hash(state),
            Self::Float(float) => float.to_bits().hash(state),
        }
    }
}

fn order_integer_and_float(integer: i128, float: f64) -> Ordering {
    // The cast cuts the fraction off and saturates; what saturates is beyond every JSON integer.
    let whole = float as i128;
    integer.cmp(&whole).then_with(|| 0.0f64.total_cmp(&(float.fract() + 0.0)))
}
