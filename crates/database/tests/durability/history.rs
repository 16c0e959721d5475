//! Random histories of a collection, and the states that it goes through.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use database::disk::Disk;
use database::{
    Batch, Collection, Database, DenseField, Document, Durability, ElementType, Error, FieldKind,
    FieldQuery, FieldVector, FieldVectors, Filter, Id, IndexOptions, Language, Metric, Options,
    Record, Schema, SearchOptions, SparseVector, TextQuery, Transaction, VectorField,
};
use serde_json::json;

use crate::random::Random;

const COLLECTION: &str = "c";
const DIMENSION: usize = 3;

/// All that a collection holds; `None` where there is no collection.
pub(crate) type State = Option<Content>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) records: BTreeMap<Id, Record>,
    pub(crate) documents: BTreeMap<String, Document>,
}

/// How a database is opened in one history.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) durability: Durability,
    head_records: usize,
    large_transaction_bytes: usize,
    schema: Schema,
}

impl Setting {
    pub(crate) fn new(random: &mut Random) -> Self {
        let metric = Metric::ALL[random.below(Metric::ALL.len())];
        let element = if random.one_in(3) { ElementType::Int8 } else { ElementType::Float32 };
        let schema = match metric {
            Metric::Hamming => Schema::bits(DIMENSION),
            _ => Schema { element, ..Schema::new(DIMENSION, metric) },
        };
        let schema = match random.one_in(3) {
            true => schema,
            false => schema.with_fields(fields(metric, element)),
        };
        Self {
            durability: if random.one_in(3) { Durability::Batch } else { Durability::Sync },
            // With small heads, segments are written in the background while writes go on.
            head_records: if random.one_in(3) { 12 } else { 8192 },
            // Vectors of several records, of one, or of none are written before the rest.
            large_transaction_bytes: [usize::MAX, 1, 40][random.below(3)],
            schema,
        }
    }

    /// As [`Setting::new`], with no work in the background: the same changes to files each time.
    pub(crate) fn without_background(random: &mut Random) -> Self {
        Self { head_records: 8192, ..Self::new(random) }
    }

    pub(crate) fn open(&self, path: &Path, disk: Disk) -> Result<Database, Error> {
        let options = Options {
            durability: self.durability,
            // Only when it is told to, so that it is known what was flushed.
            flush_interval: Duration::from_secs(3600),
            head_records: self.head_records,
            large_transaction_bytes: self.large_transaction_bytes,
            threads: 1,
            disk,
            ..Options::default()
        };
        Database::open(path, &options)
    }

    /// The collection, created where it is missing.
    pub(crate) fn collection(&self, database: &Database) -> Result<Collection, Error> {
        // Few rows make a graph, so that there are some.
        let index = IndexOptions { minimum_rows: 24, ..IndexOptions::default() };
        let index = (self.schema.metric != Metric::Hamming).then_some(index);
        database.collection_with_index(COLLECTION, Some(self.schema.clone()), index)
    }

    /// Something to write.
    pub(crate) fn transaction(&self, random: &mut Random) -> Transaction {
        let mut transaction = Transaction::default();
        for _ in 0..random.below(3) {
            transaction.deletes.push(id(random));
        }
        for _ in 0..random.below(9) {
            let Batch { ids, vectors, texts, metadata, .. } = &mut transaction.upserts;
            ids.push(id(random));
            // What each element type holds exactly: int8 scales by the largest, bits are bytes.
            let least = if self.schema.metric == Metric::Hamming { 0.0 } else { -127.0 };
            vectors.extend([127.0, least + random.below(255) as f32, random.below(9) as f32]);
            let length = if random.one_in(8) { 3000 } else { random.below(20) };
            let text = format!("word {:<length$}", random.below(1000));
            texts.push((!random.one_in(3)).then_some(text));
            metadata.push((!random.one_in(3)).then(|| json!({"weight": random.below(10)})));
        }
        let rows = transaction.upserts.ids.len();
        for field in &self.schema.fields {
            let column = (0..rows).map(|_| (!random.one_in(3)).then(|| vector(random, field)));
            transaction.upserts.fields.insert(field.name.clone(), column.collect());
        }
        if random.one_in(4) {
            let document = Document { fingerprint: [7; 32], records: random.below(99) as u32 };
            let source = format!("source {}", random.below(3));
            transaction.documents.push((source, (!random.one_in(3)).then_some(document)));
        }
        transaction
    }
}

/// A field of vectors like the records' own, or of bits, and one of sparse vectors.
fn fields(metric: Metric, element: ElementType) -> Vec<VectorField> {
    let element = if metric == Metric::Hamming { ElementType::Bits } else { element };
    let kind = FieldKind::Dense(DenseField { dimension: DIMENSION, metric, element });
    vec![VectorField { name: "title".to_owned(), kind }, VectorField::sparse("terms")]
}

fn vector(random: &mut Random, field: &VectorField) -> FieldVector {
    match field.kind {
        FieldKind::Dense(_) => {
            FieldVector::Dense(vec![127.0, random.below(128) as f32, random.below(9) as f32])
        }
        FieldKind::Sparse => {
            let indices: Vec<u32> = (0..9).filter(|_| random.one_in(3)).collect();
            let values = indices.iter().map(|_| 1.0 + random.below(9) as f32).collect();
            FieldVector::Sparse(SparseVector::new(indices, values).expect("it is one"))
        }
    }
}

fn id(random: &mut Random) -> Id {
    match random.below(60) as i64 {
        number if number % 2 == 0 => Id::Int(number),
        number => Id::from(format!("№{number}")),
    }
}

pub(crate) fn weights_below(weight: usize) -> Filter {
    Filter::parse(&json!({"weight": {"$lt": weight}})).expect("a filter")
}

impl Content {
    pub(crate) fn apply(&mut self, transaction: &Transaction) {
        for id in &transaction.deletes {
            self.records.remove(id);
        }
        let Batch { ids, vectors, texts, metadata, fields, .. } = &transaction.upserts;
        for (row, id) in ids.iter().enumerate() {
            let record = Record {
                id: id.clone(),
                vector: vectors[row * DIMENSION..(row + 1) * DIMENSION].to_vec(),
                text: texts[row].clone(),
                metadata: metadata[row].clone().map(Into::into),
                place: None,
                // Their numbers are in the order of their names, as these columns are.
                vectors: FieldVectors::new(
                    (0..)
                        .zip(fields.values())
                        .filter_map(|(field, column)| Some((field, column[row].clone()?)))
                        .collect(),
                ),
            };
            self.records.insert(id.clone(), record);
        }
        for (source, document) in &transaction.documents {
            match document {
                Some(document) => self.documents.insert(source.clone(), document.clone()),
                None => self.documents.remove(source),
            };
        }
    }

    pub(crate) fn delete_below(&mut self, weight: usize) {
        self.records.retain(|_, record| {
            let own = record.metadata.as_ref().and_then(|metadata| metadata["weight"].as_u64());
            own.is_none_or(|own| own >= weight as u64)
        });
    }
}

/// Reads all of it, and asks what reads its indexes.
pub(crate) fn read(database: &Database) -> Result<State, Error> {
    if !database.collections()?.iter().any(|name| name == COLLECTION) {
        return Ok(None);
    }
    read_collection(&database.collection(COLLECTION, None)?).map(Some)
}

pub(crate) fn read_collection(collection: &Collection) -> Result<Content, Error> {
    let page = collection.scan(None, usize::MAX, None)?;
    let count = page.records.len();
    let records: BTreeMap<Id, Record> =
        page.records.into_iter().map(|record| (record.id.clone(), record)).collect();
    assert_eq!(records.len(), count, "no record comes twice");
    assert_eq!(collection.len()?, count, "the count is right");
    let ids: Vec<Id> = records.keys().cloned().collect();
    for (id, found) in ids.iter().zip(collection.get(&ids)?) {
        assert_eq!(found.as_ref(), records.get(id), "found by its id");
    }
    let light = records.values().filter(|record| {
        record.metadata.as_ref().is_some_and(|metadata| metadata["weight"].as_u64() < Some(5))
    });
    assert_eq!(collection.count(&weights_below(5))?, light.count(), "found by its metadata");
    let hits = collection.search(&[1.0, 5.0, 0.0], &SearchOptions::new(100))?;
    assert_eq!(hits.len(), count.min(100), "found by its vector");
    // Indexes of words are written here, and from here on by flushes and merges.
    let words = TextQuery::new("word", Language::parse("none")?);
    let hits = collection.search_text(&words, None, 0, usize::MAX)?;
    let with_text = records.values().filter(|record| record.text.is_some());
    assert_eq!(hits.len(), with_text.count(), "found by its words");
    assert!(hits.iter().all(|hit| hit.text == records[&hit.id].text), "with its text");
    for (number, field) in (0..).zip(&collection.schema().fields) {
        let terms = SparseVector::new((0..9).collect(), vec![1.0; 9])?;
        let (query, found): (_, &dyn Fn(&FieldVector) -> bool) = match field.kind {
            FieldKind::Dense(_) => (FieldQuery::Dense(&[1.0, 5.0, 0.0]), &|_| true),
            FieldKind::Sparse => (
                FieldQuery::Sparse(&terms),
                &|vector| matches!(vector, FieldVector::Sparse(sparse) if !sparse.indices().is_empty()),
            ),
        };
        let options = SearchOptions { exact: true, ..SearchOptions::new(1000) };
        let hits = collection.search_field(&field.name, query, &options, None, 0)?;
        let with_vector =
            records.values().filter(|record| record.vectors.get(number).is_some_and(found));
        assert_eq!(hits.len(), with_vector.count(), "found by its vector in {}", field.name);
    }
    Ok(Content { records, documents: collection.documents()?.into_iter().collect() })
}

pub(crate) fn drop_collection(database: &Database) -> Result<(), Error> {
    database.drop_collection(COLLECTION)
}
