//! Ids and records as bytes and back: the same in the frames of a log and in segments.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::bytes::{Reader, put_text};
use crate::error::Result;
use crate::format::{ID_INTEGER, ID_TEXT, RECORD_HAS_METADATA, RECORD_HAS_PLACE, RECORD_HAS_TEXT};
use crate::record::{Id, Place};

/// A record as its bytes say it: the text may be anything, the metadata are still JSON, and the
/// source is a number in a table that the reader of the bytes has.
pub(crate) struct EncodedRecord<'a> {
    pub(crate) id: Id,
    /// Where the text stands in the reader's bytes.
    pub(crate) text: Option<Range<usize>>,
    metadata: Option<&'a str>,
    place: Option<EncodedPlace>,
}

struct EncodedPlace {
    source: u32,
    start: u64,
    end: u64,
    line: u64,
}

/// Appends a record, its place with the number of its source, and tells where its text stands in
/// `bytes`.
///
/// # Errors
/// `InvalidArgument` for a text that is too long for its length field.
pub(crate) fn put_record(
    bytes: &mut Vec<u8>,
    id: &Id,
    text: Option<&str>,
    metadata: Option<&Value>,
    place: Option<(&Place, u32)>,
) -> Result<Option<Range<usize>>> {
    let flags = if text.is_some() { RECORD_HAS_TEXT } else { 0 }
        | if metadata.is_some() { RECORD_HAS_METADATA } else { 0 }
        | if place.is_some() { RECORD_HAS_PLACE } else { 0 };
    bytes.push(flags);
    put_id(bytes, id)?;
    let mut text_range = None;
    if let Some(text) = text {
        put_text(bytes, text)?;
        text_range = Some(bytes.len() - text.len()..bytes.len());
    }
    if let Some(metadata) = metadata {
        put_text(bytes, &metadata.to_string())?;
    }
    if let Some((place, source)) = place {
        bytes.extend_from_slice(&source.to_le_bytes());
        for number in [place.start, place.end, place.line] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    Ok(text_range)
}

/// Reads a record without looking at its text. `None` for bytes that no release can have written.
pub(crate) fn take_record<'a>(reader: &mut Reader<'a>) -> Option<EncodedRecord<'a>> {
    let flags = reader.u8()?;
    if flags & !(RECORD_HAS_TEXT | RECORD_HAS_METADATA | RECORD_HAS_PLACE) != 0 {
        return None;
    }
    let has = |flag| flags & flag != 0;
    let id = take_id(reader)?;
    let text = if has(RECORD_HAS_TEXT) {
        let length = reader.u32()? as usize;
        reader.take(length)?;
        Some(reader.position() - length..reader.position())
    } else {
        None
    };
    let metadata = if has(RECORD_HAS_METADATA) { Some(reader.text()?) } else { None };
    let place = if has(RECORD_HAS_PLACE) {
        Some(EncodedPlace {
            source: reader.u32()?,
            start: reader.u64()?,
            end: reader.u64()?,
            line: reader.u64()?,
        })
    } else {
        None
    };
    Some(EncodedRecord { id, text, metadata, place })
}

impl EncodedRecord<'_> {
    /// The metadata; an outer `None` for a text that is no JSON object.
    pub(crate) fn metadata(&self) -> Option<Option<Arc<Value>>> {
        let Some(json) = self.metadata else {
            return Some(None);
        };
        let value: Value = serde_json::from_str(json).ok()?;
        value.is_object().then(|| Some(Arc::new(value)))
    }

    /// The place, its source by way of `source_of`, which knows the numbers.
    pub(crate) fn place<E>(
        &self,
        source_of: impl FnOnce(u32) -> std::result::Result<Arc<str>, E>,
    ) -> std::result::Result<Option<Place>, E> {
        let Some(place) = &self.place else {
            return Ok(None);
        };
        let &EncodedPlace { source, start, end, line } = place;
        Ok(Some(Place { source: source_of(source)?, start, end, line }))
    }
}

pub(crate) fn put_id(bytes: &mut Vec<u8>, id: &Id) -> Result<()> {
    match id {
        Id::Int(number) => {
            bytes.push(ID_INTEGER);
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        Id::Str(text) => {
            bytes.push(ID_TEXT);
            put_text(bytes, text)?;
        }
    }
    Ok(())
}

pub(crate) fn take_id(reader: &mut Reader<'_>) -> Option<Id> {
    match reader.u8()? {
        ID_INTEGER => reader.i64().map(Id::Int),
        ID_TEXT => reader.text().map(Id::from),
        _ => None,
    }
}
