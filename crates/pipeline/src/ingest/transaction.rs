//! Builds the transactions that ingestion writes.

use std::collections::HashMap;
use std::sync::Arc;

use database::{Id, Place, Transaction};
use serde_json::{Map, Value};

use super::prepare::Changed;

/// The texts of a wave, each once, and where each chunk's text is among them.
pub(super) struct WaveTexts<'a> {
    pub(super) unique: Vec<&'a str>,
    /// For every chunk of the wave, in order, the index of its text.
    pub(super) index: Vec<usize>,
}

pub(super) fn wave_texts<'a>(changed: impl Iterator<Item = &'a Changed>) -> WaveTexts<'a> {
    let mut texts = WaveTexts { unique: Vec::new(), index: Vec::new() };
    let mut places: HashMap<&str, usize> = HashMap::new();
    for changed in changed {
        for chunk in &changed.chunks {
            let text = &changed.document.text()[chunk.range.clone()];
            let place = *places.entry(text).or_insert_with(|| {
                texts.unique.push(text);
                texts.unique.len() - 1
            });
            texts.index.push(place);
        }
    }
    texts
}

/// Replaces what the collection has of a source by its chunks. `vectors` are theirs, in order.
pub(super) fn replace(
    transaction: &mut Transaction,
    source: &str,
    known: Option<&database::Document>,
    changed: &Changed,
    vectors: impl Iterator<Item = f32>,
    metadata: &Map<String, Value>,
) {
    let records = changed.chunks.len() as u32;
    let name: Arc<str> = source.into();
    let batch = &mut transaction.upserts;
    for (number, chunk) in changed.chunks.iter().enumerate() {
        batch.ids.push(id(source, number as u32));
        batch.texts.push(Some(changed.document.text()[chunk.range.clone()].to_owned()));
        batch.places.push(Some(Place {
            source: name.clone(),
            start: chunk.start as u64,
            end: chunk.end as u64,
            line: chunk.line,
        }));
        let described = describe(changed, chunk.section.as_deref(), metadata);
        batch.metadata.push(Some(Value::Object(described)));
    }
    batch.vectors.extend(vectors);
    let before = known.map_or(0, |known| known.records);
    transaction.deletes.extend((records..before).map(|number| id(source, number)));
    let document = database::Document { fingerprint: changed.fingerprint, records };
    transaction.documents.push((source.to_owned(), Some(document)));
}

/// Takes a source out of the collection.
pub(super) fn remove(transaction: &mut Transaction, source: &str, known: &database::Document) {
    transaction.deletes.extend((0..known.records).map(|number| id(source, number)));
    transaction.documents.push((source.to_owned(), None));
}

fn id(source: &str, number: u32) -> Id {
    Id::Str(format!("{source}#{number}").into())
}

/// The caller's metadata, and what is known of the chunk under keys that the caller left free.
fn describe(
    changed: &Changed,
    section: Option<&str>,
    metadata: &Map<String, Value>,
) -> Map<String, Value> {
    let mut described = metadata.clone();
    let known = [
        ("title", changed.document.title()),
        ("format", Some(changed.document.format().name())),
        ("section", section),
    ];
    for (key, value) in known {
        if let Some(value) = value {
            described.entry(key).or_insert_with(|| value.into());
        }
    }
    described
}
