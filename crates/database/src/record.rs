//! The nouns that go in and out of a collection.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::format::DOCUMENT_FINGERPRINT_BYTES;
use crate::vector_fields::{FieldVector, FieldVectors};

/// What names a record inside its collection. The integer 1 and the text "1" are two ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A number.
    Int(i64),
    /// A text.
    Str(Arc<str>),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Int(number) => write!(f, "{number}"),
            Id::Str(text) => f.write_str(text),
        }
    }
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Id::Int(number)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Id::Str(text.into())
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Id::Str(text.into())
    }
}

/// Where a record's text stands in the source it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file or document, as the user knows it.
    pub source: Arc<str>,
    /// First character of the text in the source's text, counted in Unicode scalar values.
    pub start: u64,
    /// One past the last character.
    pub end: u64,
    /// Line of the original source where the text starts, from 1.
    pub line: u64,
}

/// Records to write, one column a property. The three optional columns hold one entry a record,
/// or nothing at all, which means that no record has the property.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The ids; where one comes twice, the last record wins.
    pub ids: Vec<Id>,
    /// The vectors, row by row: `ids.len() * dimension` finite numbers.
    pub vectors: Vec<f32>,
    /// The texts.
    pub texts: Vec<Option<String>>,
    /// The metadata: JSON objects, nested at most 100 levels deep.
    pub metadata: Vec<Option<Value>>,
    /// The places.
    pub places: Vec<Option<Place>>,
    /// The vectors in the collection's fields: any of these, with an entry a record.
    pub fields: FieldColumns,
}

/// What each of some records has in some fields, by the fields' names.
pub type FieldColumns = BTreeMap<String, Vec<Option<FieldVector>>>;

/// What ingestion remembers of a source, to know it again when nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// A hash of the source's bytes and of everything that decides what becomes of them.
    pub fingerprint: [u8; DOCUMENT_FINGERPRINT_BYTES],
    /// How many records the source became.
    pub records: u32,
}

/// One atomic change: all of it is kept, or nothing. Deletes are applied first, then upserts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// Records to remove; ids that are not there are passed over.
    pub deletes: Vec<Id>,
    /// Records to write. An id that exists has its whole record replaced.
    pub upserts: Batch,
    /// Document entries to set, or with `None` to remove, by source.
    pub documents: Vec<(String, Option<Document>)>,
}

/// What a transaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Records added or replaced.
    pub upserted: usize,
    /// Records that were there and were deleted.
    pub deleted: usize,
}

/// A record as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its name.
    pub id: Id,
    /// `dimension` numbers, exactly those that were written.
    pub vector: Vec<f32>,
    /// Its text.
    pub text: Option<String>,
    /// Its metadata, always a JSON object.
    pub metadata: Option<Arc<Value>>,
    /// Where its text stands.
    pub place: Option<Place>,
    /// Its vectors in the collection's fields, their numbers rounded as these say.
    pub vectors: FieldVectors,
}

/// A record that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The record's name.
    pub id: Id,
    /// How well it matches, as the collection's [`Metric`](crate::Metric) counts.
    pub score: f32,
    /// Its text.
    pub text: Option<String>,
    /// Its metadata, always a JSON object.
    pub metadata: Option<Arc<Value>>,
    /// Where its text stands.
    pub place: Option<Place>,
}

/// A record that a batch search found: without its text, which stays on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredId {
    /// The record's name.
    pub id: Id,
    /// How well it matches, as the collection's [`Metric`](crate::Metric) counts.
    pub score: f32,
}
