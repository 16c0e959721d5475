//! A checksum of an array or object that equal values share.

use serde_json::Value;

use crate::filter::compare::sorted_entries;
use crate::filter::number::ExactNumber;

/// The checksum of a value: equal values have the same, whatever the order of their entries and
/// the spelling of their numbers. Different values may have the same too, so that whoever finds
/// one compares the values.
pub(super) fn value_checksum(value: &Value) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    add(&mut hasher, value);
    hasher.finalize()
}

/// Feeds one unambiguous text for each value: a letter for the kind, then its length or its bytes.
fn add(hasher: &mut crc32fast::Hasher, value: &Value) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(false) => hasher.update(b"f"),
        Value::Bool(true) => hasher.update(b"t"),
        Value::Number(number) => match ExactNumber::new(number) {
            ExactNumber::Integer(integer) => {
                hasher.update(b"i");
                hasher.update(&integer.to_le_bytes());
            }
            ExactNumber::Float(float) => {
                hasher.update(b"d");
                hasher.update(&float.to_bits().to_le_bytes());
            }
        },
        Value::String(text) => add_text(hasher, text),
        Value::Array(items) => {
            hasher.update(b"a");
            hasher.update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| add(hasher, item));
        }
        Value::Object(map) => {
            hasher.update(b"o");
            hasher.update(&(map.len() as u64).to_le_bytes());
            for (key, value) in sorted_entries(map) {
                add_text(hasher, key);
                add(hasher, value);
            }
        }
    }
}

fn add_text(hasher: &mut crc32fast::Hasher, text: &str) {
    hasher.update(b"s");
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
