//! The words that a record has for a search.

use serde_json::Value;

use super::index::header::IndexKey;
use crate::error::Result;
use crate::filter::Fields;
use crate::head::HeadSnapshot;
use crate::records::StoredRecord;
use crate::segment::Segment;

/// What a row of a segment has; `None` for one without.
pub(super) fn text_of(segment: &Segment, row: u32, key: &IndexKey) -> Result<Option<String>> {
    match &key.field {
        None => segment.text_of(row),
        Some(_) => Ok(field_text(&segment.stored(row)?, key)),
    }
}

/// What a record of a head has.
pub(super) fn head_text(
    head: &HeadSnapshot,
    record: &StoredRecord,
    key: &IndexKey,
) -> Result<Option<String>> {
    match &key.field {
        None => record.text.map(|text| head.text(text)).transpose(),
        Some(_) => Ok(field_text(record, key)),
    }
}

/// A string, or the strings of an array, one a line.
fn field_text(record: &StoredRecord, key: &IndexKey) -> Option<String> {
    let value = key.field.as_ref()?.value(&Fields::from(record))?;
    match &*value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => None,
    }
}
