//! Random histories against the plainest model: a map and a loop.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{copy, open_batch};
use database::{
    Batch, Collection, Database, Document, FieldQuery, FieldVector, FieldVectors, Filter, Id,
    IndexOptions, Metric, Place, Record, Schema, SearchOptions, SparseVector, Transaction,
    VectorField,
};
use proptest::prelude::*;
use serde_json::json;
use tempfile::{TempDir, tempdir};

const DIMENSION: usize = 3;

/// Indices of sparse vectors are below this.
const SPARSE: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Write {
        deletes: Vec<i64>,
        upserts: Vec<(i64, Content)>,
        documents: Vec<(u8, Option<u32>)>,
    },
    Delete(Vec<i64>),
    DeleteWhere {
        below: i8,
    },
    Compact,
    Optimize,
    /// Close and open again.
    Reopen,
    /// Leave as a killed process would, and open what is left.
    Crash,
}

/// Small whole numbers, so that every metric is exact in `f32`, with many ties.
#[derive(Clone, Debug)]
struct Content {
    vector: [i8; DIMENSION],
    text: Option<String>,
    weight: Option<i8>,
    line: Option<u8>,
    /// In the field "dense".
    dense: Option<[i8; DIMENSION]>,
    /// In the field "sparse": the numbers that are not zero.
    sparse: Option<[i8; SPARSE]>,
}

fn content() -> impl Strategy<Value = Content> {
    (
        any::<[i8; DIMENSION]>().prop_map(|vector| vector.map(|number| number / 32)),
        prop::option::of(".{0,12}"),
        prop::option::of(-5i8..5),
        prop::option::of(any::<u8>()),
        prop::option::of(any::<[i8; DIMENSION]>().prop_map(|vector| vector.map(|x| x / 32))),
        prop::option::of(any::<[i8; SPARSE]>().prop_map(|vector| vector.map(|x| x / 48))),
    )
        .prop_map(|(vector, text, weight, line, dense, sparse)| Content {
            vector,
            text,
            weight,
            line,
            dense,
            sparse,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(0i64..30, 0..6);
    prop_oneof![
        8 => (
            ids(),
            prop::collection::vec((0i64..30, content()), 0..12),
            prop::collection::vec((0u8..4, prop::option::of(any::<u32>())), 0..3),
        )
            .prop_map(|(deletes, upserts, documents)| Step::Write { deletes, upserts, documents }),
        2 => ids().prop_map(Step::Delete),
        1 => (-5i8..5).prop_map(|below| Step::DeleteWhere { below }),
        1 => Just(Step::Compact),
        1 => Just(Step::Optimize),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

/// Even numbers are integers, odd ones texts.
fn id(number: i64) -> Id {
    if number % 2 == 0 { Id::Int(number) } else { Id::from(format!("№{number}")) }
}

fn dense(vector: [i8; DIMENSION]) -> FieldVector {
    FieldVector::Dense(vector.map(f32::from).to_vec())
}

fn sparse(vector: [i8; SPARSE]) -> FieldVector {
    sparse_of(vector.map(f32::from))
}

fn sparse_of(numbers: [f32; SPARSE]) -> FieldVector {
    let numbers = (0..).zip(numbers).filter(|(_, value)| *value != 0.0);
    let (indices, values) = numbers.unzip();
    FieldVector::Sparse(SparseVector::new(indices, values).unwrap())
}

fn record(number: i64, content: &Content) -> Record {
    Record {
        id: id(number),
        vector: content.vector.map(f32::from).to_vec(),
        text: content.text.clone(),
        metadata: content.weight.map(|weight| json!({ "weight": weight }).into()),
        place: content.line.map(|line| Place {
            source: format!("source {}", line % 3).into(),
            start: line.into(),
            end: u64::from(line) + 1,
            line: line.into(),
        }),
        vectors: FieldVectors::new(
            [content.dense.map(dense), content.sparse.map(sparse)]
                .into_iter()
                .zip(0..)
                .filter_map(|(vector, field)| Some((field, vector?)))
                .collect(),
        ),
    }
}

#[derive(Default)]
struct Model {
    records: BTreeMap<i64, Content>,
    documents: BTreeMap<String, Document>,
}

impl Model {
    /// Deletes by hand: sources that lose records are no longer known as they were ingested.
    fn delete(&mut self, goes: impl Fn(&i64, &Content) -> bool) -> usize {
        let before = self.records.len();
        let mut lost: BTreeMap<String, u32> = BTreeMap::new();
        self.records.retain(|number, content| {
            let goes = goes(number, content);
            if goes && let Some(line) = content.line {
                *lost.entry(format!("source {}", line % 3)).or_default() += 1;
            }
            !goes
        });
        for (source, lost) in lost {
            match self.documents.get_mut(&source) {
                Some(document) if lost < document.records => document.fingerprint = [0; 32],
                _ => drop(self.documents.remove(&source)),
            }
        }
        before - self.records.len()
    }
}

struct Subject {
    folder: TempDir,
    path: PathBuf,
    database: Option<Database>,
    metric: Metric,
    crashes: u32,
}

impl Subject {
    fn new(metric: Metric) -> Self {
        let folder = tempdir().unwrap();
        let path = folder.path().join("0");
        let database = Some(open_batch(&path));
        Self { folder, path, database, metric, crashes: 0 }
    }

    fn collection(&self) -> Collection {
        let fields = vec![
            VectorField::sparse("sparse"),
            VectorField::dense("dense", DIMENSION, self.metric),
        ];
        let schema = Schema::new(DIMENSION, self.metric).with_fields(fields);
        // Graphs come soon; what is as small as here is scanned all the same, and so exact.
        let index = IndexOptions { minimum_rows: 8, ..IndexOptions::default() };
        let database = self.database.as_ref().unwrap();
        database.collection_with_index("c", Some(schema), Some(index)).unwrap()
    }

    fn open(&mut self, path: &Path) {
        let database = open_batch(path);
        self.database = Some(database);
        self.collection();
        assert!(self.database.as_ref().unwrap().recovered().is_empty());
    }
}

fn weights_below(below: i8) -> Filter {
    Filter::parse(&json!({"weight": {"$lt": below}})).unwrap()
}

fn apply(step: &Step, subject: &mut Subject, model: &mut Model) {
    let records = subject.collection();
    match step {
        Step::Write { deletes, upserts, documents } => {
            let mut transaction = Transaction {
                deletes: deletes.iter().map(|number| id(*number)).collect(),
                ..Transaction::default()
            };
            let mut deleted = 0;
            for number in deletes {
                deleted += usize::from(model.records.remove(number).is_some());
            }
            let Batch { ids, vectors, texts, metadata, places, fields } = &mut transaction.upserts;
            for (number, content) in upserts {
                let record = record(*number, content);
                ids.push(record.id);
                vectors.extend(record.vector);
                texts.push(record.text);
                metadata.push(record.metadata.as_deref().cloned());
                places.push(record.place);
                let of_field = [content.dense.map(dense), content.sparse.map(sparse)];
                for (name, vector) in ["dense", "sparse"].into_iter().zip(of_field) {
                    fields.entry(name.to_owned()).or_default().push(vector);
                }
                model.records.insert(*number, content.clone());
            }
            let mut distinct: Vec<i64> = upserts.iter().map(|(number, _)| *number).collect();
            distinct.sort_unstable();
            distinct.dedup();
            for (source, records) in documents {
                let source = format!("source {source}");
                let document = records.map(|records| Document { fingerprint: [7; 32], records });
                transaction.documents.push((source.clone(), document.clone()));
                match document {
                    Some(document) => model.documents.insert(source, document),
                    None => model.documents.remove(&source),
                };
            }
            let written = records.write(transaction).unwrap();
            assert_eq!((written.deleted, written.upserted), (deleted, distinct.len()));
        }
        Step::Delete(numbers) => {
            let ids: Vec<Id> = numbers.iter().map(|number| id(*number)).collect();
            let deleted = model.delete(|number, _| numbers.contains(number));
            assert_eq!(records.delete(&ids).unwrap(), deleted);
        }
        Step::DeleteWhere { below } => {
            let deleted =
                model.delete(|_, content| content.weight.is_some_and(|weight| weight < *below));
            assert_eq!(records.delete_where(&weights_below(*below)).unwrap(), deleted);
        }
        Step::Compact => {
            records.compact().unwrap();
            let stats = records.stats().unwrap();
            assert!(stats.dead_bytes < 200, "{stats:?}");
        }
        Step::Optimize => {
            records.optimize().unwrap();
            let stats = records.stats().unwrap();
            assert!(stats.segments <= 1 && stats.records == model.records.len(), "{stats:?}");
            assert!(stats.indexed_records == stats.records || stats.records < 8, "{stats:?}");
        }
        Step::Reopen => {
            subject.database.take().unwrap().close().unwrap();
            let path = subject.path.clone();
            subject.open(&path);
        }
        Step::Crash => {
            subject.crashes += 1;
            let path = subject.folder.path().join(subject.crashes.to_string());
            copy(&subject.path, &path);
            subject.open(&path);
            subject.path = path;
        }
    }
}

fn score(metric: Metric, query: &[f32], vector: [i8; DIMENSION]) -> f64 {
    let pairs = || query.iter().map(|q| f64::from(*q)).zip(vector.map(f64::from));
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    match metric {
        Metric::Dot => dot,
        Metric::L2 => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::Hamming => unreachable!("these numbers are no bytes"),
        Metric::Cosine => {
            let norms: f64 = pairs().map(|(a, _)| a * a).sum::<f64>().sqrt()
                * pairs().map(|(_, b)| b * b).sum::<f64>().sqrt();
            if norms == 0.0 { 0.0 } else { dot / norms }
        }
    }
}

fn check(subject: &Subject, model: &Model) {
    let records = subject.collection();
    assert_eq!(records.len().unwrap(), model.records.len());
    let numbers: Vec<i64> = (0..30).collect();
    let ids: Vec<Id> = numbers.iter().map(|number| id(*number)).collect();
    for (number, found) in numbers.iter().zip(records.get(&ids).unwrap()) {
        let expected = model.records.get(number).map(|content| record(*number, content));
        assert_eq!(found, expected, "{number}");
        assert_eq!(records.contains(&id(*number)).unwrap(), expected.is_some());
    }
    let documents: Vec<_> = model.documents.clone().into_iter().collect();
    assert_eq!(records.documents().unwrap(), documents);
    let mut scanned: Vec<Id> = Vec::new();
    let mut cursor = None;
    loop {
        let page = records.scan(cursor, 7, None).unwrap();
        scanned.extend(page.records.into_iter().map(|record| record.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    scanned.sort();
    let mut all: Vec<Id> = model.records.keys().map(|number| id(*number)).collect();
    all.sort();
    assert_eq!(scanned, all);

    let filter = weights_below(2);
    for query in [[1.0, 0.0, 0.0], [-2.0, 3.0, 1.0], [0.0; DIMENSION]] {
        for (limit, filter) in [(5, None), (5, Some(&filter)), (100, None)] {
            check_search(
                subject,
                model,
                &query,
                SearchOptions { filter, ..SearchOptions::new(limit) },
            );
        }
    }
    for filter in [None, Some(&filter)] {
        let options = SearchOptions { filter, ..SearchOptions::new(100) };
        check_fields(subject, model, &options);
    }
}

/// What is found in a field is scored as in a loop, all of it and in order.
fn check_fields(subject: &Subject, model: &Model, options: &SearchOptions<'_>) {
    let collection = subject.collection();
    let query = [-2.0, 3.0, 1.0];
    let terms = [1.0, 0.0, -1.0, 2.0, 0.0, 0.5];
    let FieldVector::Sparse(sparse_query) = sparse_of(terms) else { unreachable!() };
    let found = [
        ("dense", collection.search_field("dense", FieldQuery::Dense(&query), options, None, 0)),
        (
            "sparse",
            collection.search_field("sparse", FieldQuery::Sparse(&sparse_query), options, None, 0),
        ),
    ];
    for (field, hits) in found {
        let score_of = |content: &Content| match field {
            "dense" => content.dense.map(|vector| score(subject.metric, &query, vector)),
            _ => content.sparse.and_then(|vector| {
                let common: Vec<f64> = (0..SPARSE)
                    .filter(|index| vector[*index] != 0 && terms[*index] != 0.0)
                    .map(|index| f64::from(vector[index]) * f64::from(terms[index]))
                    .collect();
                (!common.is_empty()).then(|| common.iter().sum())
            }),
        };
        let counts = |content: &&Content| {
            options.filter.is_none() || content.weight.is_some_and(|weight| weight < 2)
        };
        let mut expected: Vec<f64> =
            model.records.values().filter(counts).filter_map(score_of).collect();
        let nearest_first = field == "dense" && subject.metric == Metric::L2;
        expected.sort_by(|a, b| if nearest_first { a.total_cmp(b) } else { b.total_cmp(a) });
        let hits = hits.unwrap();
        assert_eq!(hits.len(), expected.len(), "{field}");
        for (hit, expected) in hits.iter().zip(expected) {
            let number = (0..30).find(|number| id(*number) == hit.id).unwrap();
            let own = score_of(&model.records[&number]).unwrap();
            let tolerance = if subject.metric == Metric::Cosine { 1e-6 } else { 0.0 };
            assert!((f64::from(hit.score) - own).abs() <= tolerance, "{field} {number}");
            assert!((own - expected).abs() <= tolerance, "{field} {number}");
        }
    }
}

fn check_search(subject: &Subject, model: &Model, query: &[f32], options: SearchOptions<'_>) {
    let metric = subject.metric;
    let hits = subject.collection().search(query, &options).unwrap();
    let mut expected: Vec<f64> = model
        .records
        .values()
        .filter(|content| {
            options.filter.is_none() || content.weight.is_some_and(|weight| weight < 2)
        })
        .map(|content| score(metric, query, content.vector))
        .collect();
    expected.sort_by(|a, b| if metric == Metric::L2 { a.total_cmp(b) } else { b.total_cmp(a) });
    expected.truncate(options.limit);
    assert_eq!(hits.len(), expected.len());
    for (hit, expected) in hits.iter().zip(&expected) {
        let number = (0..30).find(|number| id(*number) == hit.id).unwrap();
        let content = &model.records[&number];
        let own = score(metric, query, content.vector);
        // Only cosine rounds; the other two metrics are exact here, and so is their order.
        let tolerance = if metric == Metric::Cosine { 1e-6 } else { 0.0 };
        assert!((f64::from(hit.score) - own).abs() <= tolerance, "{number}: {} {own}", hit.score);
        assert!((own - expected).abs() <= tolerance, "{number}: {own} {expected}");
        let record = record(number, content);
        assert_eq!((&hit.text, &hit.place), (&record.text, &record.place));
        assert_eq!(hit.metadata, record.metadata);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_history_leaves_what_the_model_says(
        metric in prop::sample::select(vec![Metric::Cosine, Metric::Dot, Metric::L2]),
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let mut subject = Subject::new(metric);
        let mut model = Model::default();
        for step in &steps {
            apply(step, &mut subject, &mut model);
            check(&subject, &model);
        }
    }
}
