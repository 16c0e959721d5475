//! Ids and records as bytes and back: the same in the frames of a log and in segments.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::bytes::{Reader, put_json, put_text};
use crate::error::Result;
use crate::format::{
    ID_INTEGER, ID_TEXT, RECORD_HAS_METADATA, RECORD_HAS_PLACE, RECORD_HAS_TEXT, RECORD_HAS_VECTORS,
};
use crate::record::{Id, Place};
use crate::vector_fields::{
    FieldVector, FieldVectors, VectorField, decode_vector, decode_vectors, put_vectors,
};

/// A record as its bytes say it: the text may be anything, the metadata are still JSON, and the
/// source is a number in a table that the reader of the bytes has.
pub(crate) struct EncodedRecord<'a> {
    pub(crate) id: Id,
    /// Where the text stands in the reader's bytes.
    pub(crate) text: Option<Range<usize>>,
    metadata: Option<&'a str>,
    place: Option<EncodedPlace>,
    vectors: Option<&'a [u8]>,
}

struct EncodedPlace {
    source: u32,
    start: u64,
    end: u64,
    line: u64,
}

/// Appends a record, its place with the number of its source, its vectors as these fields keep
/// them, and tells where its text stands in
/// `bytes`.
///
/// # Errors
/// `InvalidArgument` for a text that is too long for its length field, or a vector that its field
/// cannot keep.
pub(crate) fn put_record(
    bytes: &mut Vec<u8>,
    id: &Id,
    text: Option<&str>,
    metadata: Option<&Value>,
    place: Option<(&Place, u32)>,
    vectors: (&FieldVectors, &[VectorField]),
) -> Result<Option<Range<usize>>> {
    let flags = if text.is_some() { RECORD_HAS_TEXT } else { 0 }
        | if metadata.is_some() { RECORD_HAS_METADATA } else { 0 }
        | if place.is_some() { RECORD_HAS_PLACE } else { 0 }
        | if vectors.0.is_empty() { 0 } else { RECORD_HAS_VECTORS };
    bytes.push(flags);
    put_id(bytes, id)?;
    let mut text_range = None;
    if let Some(text) = text {
        put_text(bytes, text)?;
        text_range = Some(bytes.len() - text.len()..bytes.len());
    }
    if let Some(metadata) = metadata {
        put_json(bytes, metadata)?;
    }
    if let Some((place, source)) = place {
        bytes.extend_from_slice(&source.to_le_bytes());
        for number in [place.start, place.end, place.line] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    let (vectors, fields) = vectors;
    if !vectors.is_empty() {
        put_vectors(bytes, vectors, fields)?;
    }
    Ok(text_range)
}

/// Reads a record without looking at its text or its vectors. `None` for bytes that no release can have written.
pub(crate) fn take_record<'a>(reader: &mut Reader<'a>) -> Option<EncodedRecord<'a>> {
    let flags = reader.u8()?;
    let known = RECORD_HAS_TEXT | RECORD_HAS_METADATA | RECORD_HAS_PLACE | RECORD_HAS_VECTORS;
    if flags & !known != 0 {
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
    let vectors = if has(RECORD_HAS_VECTORS) {
        let length = reader.u32()? as usize;
        Some(reader.take(length)?)
    } else {
        None
    };
    Some(EncodedRecord { id, text, metadata, place, vectors })
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

    /// The vectors in these fields; `None` for bytes that are none.
    pub(crate) fn vectors(&self, fields: &[VectorField]) -> Option<FieldVectors> {
        match self.vectors {
            Some(bytes) => decode_vectors(bytes, fields),
            None => Some(FieldVectors::default()),
        }
    }

    /// The vector in the field of a number, if there is one; an outer `None` for bytes that are none.
    pub(crate) fn vector(&self, fields: &[VectorField], number: u8) -> Option<Option<FieldVector>> {
        self.vectors.map_or(Some(None), |bytes| decode_vector(bytes, fields, number))
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
