//! Filters from any JSON.

#![no_main]

use database::{Fields, Filter, Id};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(input) else {
        return;
    };
    let Ok(filter) = Filter::parse(&value) else {
        return;
    };
    let metadata = json!({"a": 1, "b": {"c": ["x", 2.5, null]}, "d": "2024-02-29T12:00:00Z"});
    for metadata in [None, Some(&metadata), Some(&value)] {
        let fields = Fields { id: &Id::Int(3), metadata, source: Some("notes.md"), line: Some(7) };
        filter.accepts(&fields);
    }
});
