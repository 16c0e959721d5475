//! What a filter looks at.

use std::borrow::Cow;

use serde_json::Value;

use super::FilterError;
use crate::record::Id;
use crate::records::StoredRecord;

/// What a filter can ask of a record.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Its name.
    pub id: &'a Id,
    /// Its metadata: a JSON object.
    pub metadata: Option<&'a Value>,
    /// The source of its place.
    pub source: Option<&'a str>,
    /// The line of its place.
    pub line: Option<u64>,
}

impl<'a> From<&'a StoredRecord> for Fields<'a> {
    fn from(record: &'a StoredRecord) -> Self {
        Self {
            id: &record.id,
            metadata: record.metadata.as_deref(),
            source: record.place.as_ref().map(|place| &*place.source),
            line: record.place.as_ref().map(|place| place.line),
        }
    }
}

/// What a filter's test, an order or a count is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// `$id`: the record's name.
    Id,
    /// `$source`: the source of its place.
    Source,
    /// `$line`: the line of its place.
    Line,
    /// An entry of the metadata. A dot leads into a nested object, unless the whole key is there
    /// literally.
    Metadata(String),
}

impl Key {
    /// The key of this name.
    ///
    /// # Errors
    /// [`FilterError`] for a name that starts with `$` and is not `$id`, `$source` or `$line`.
    pub fn parse(name: &str) -> Result<Self, FilterError> {
        match name {
            "$id" => Ok(Self::Id),
            "$source" => Ok(Self::Source),
            "$line" => Ok(Self::Line),
            unknown if unknown.starts_with('$') => Err(FilterError {
                at: unknown.to_owned(),
                problem: format!(
                    "unknown key '{unknown}': use a metadata key, $id, $source or $line"
                ),
            }),
            name => Ok(Self::Metadata(name.to_owned())),
        }
    }

    /// What [`Key::parse`] reads. Only the reserved names start with `$`.
    pub fn name(&self) -> &str {
        match self {
            Self::Id => "$id",
            Self::Source => "$source",
            Self::Line => "$line",
            Self::Metadata(name) => name,
        }
    }

    /// What the record has under this key.
    pub fn value<'a>(&self, fields: &Fields<'a>) -> Option<Cow<'a, Value>> {
        match self {
            Self::Metadata(key) => find(fields.metadata?, key).map(Cow::Borrowed),
            Self::Id => Some(Cow::Owned(match fields.id {
                Id::Int(number) => Value::from(*number),
                Id::Str(text) => Value::from(&**text),
            })),
            Self::Source => fields.source.map(|source| Cow::Owned(Value::from(source))),
            Self::Line => fields.line.map(|line| Cow::Owned(Value::from(line))),
        }
    }
}

/// The entry of a key: the whole key where it is there, else what follows the first dot inside of
/// what comes before it.
fn find<'a>(mut value: &'a Value, mut key: &str) -> Option<&'a Value> {
    loop {
        let map = value.as_object()?;
        if let Some(found) = map.get(key) {
            return Some(found);
        }
        let (first, rest) = key.split_once('.')?;
        value = map.get(first)?;
        key = rest;
    }
}
