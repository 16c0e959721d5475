//! What is written reads back.

mod damage;
mod format;

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::disk::Disk;
use crate::filter::{Fields, Filter};
use crate::format::{MAX_DIMENSION, SECTION_VECTORS};
use crate::graph::{BuildOptions, Scratch, SearchOptions};
use crate::schema::Metric;
use crate::score::Query;

struct Rows {
    dimension: usize,
    vectors: Vec<f32>,
    records: Vec<SegmentRecord>,
}

impl SegmentSource for Rows {
    fn rows(&self) -> u32 {
        self.records.len() as u32
    }

    fn copy_vector(&self, row: u32, out: &mut [f32]) -> Result<()> {
        let start = row as usize * self.dimension;
        let vector = self.vectors.get(start..start + self.dimension);
        let missing = Error::Dimension { expected: self.dimension, found: 0 };
        out.copy_from_slice(vector.ok_or(missing)?);
        Ok(())
    }

    fn record(&self, row: u32) -> Result<SegmentRecord> {
        Ok(self.records[row as usize].clone())
    }
}

impl Rows {
    fn new(dimension: usize, records: Vec<SegmentRecord>) -> Self {
        let numbers = records.len() * dimension;
        let vectors = (0..numbers).map(|n| (n as f32 * 0.7).sin() * 3.0).collect();
        Self { dimension, vectors, records }
    }

    fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.dimension..][..self.dimension]
    }
}

fn bare(id: impl Into<Id>) -> SegmentRecord {
    SegmentRecord {
        id: id.into(),
        text: None,
        metadata: None,
        place: None,
        vectors: FieldVectors::default(),
    }
}

/// A few records of every shape.
fn sample() -> Rows {
    let place = |source: &str| Place { source: source.into(), start: 3, end: 8, line: 2 };
    let mut records = vec![bare(1), bare("1"), bare(""), bare(i64::MIN)];
    records.push(SegmentRecord {
        text: Some("Grüße, 世界".to_owned()),
        metadata: Some(json!({"k": [1, null, "v"], "f": 0.1}).into()),
        place: Some(place("a.md")),
        ..bare("ключ")
    });
    records.push(SegmentRecord {
        text: Some(String::new()),
        place: Some(place("b.md")),
        ..bare(7)
    });
    records.push(SegmentRecord { place: Some(place("a.md")), ..bare(8) });
    Rows::new(3, records)
}

struct Written {
    folder: TempDir,
    path: PathBuf,
    schema: Schema,
}

impl Written {
    const NUMBER: u64 = 12;

    fn new(rows: &Rows, metric: Metric) -> Self {
        Self::with(rows, metric, false)
    }

    fn with(rows: &Rows, metric: Metric, indexed: bool) -> Self {
        let folder = tempdir().unwrap();
        let path = segment_path(folder.path(), Self::NUMBER);
        let schema = Schema::new(rows.dimension, metric);
        let options = BuildOptions::new(rows.dimension, metric);
        let index = indexed.then_some(&options);
        let on = |_, _| ControlFlow::Continue(());
        write(&Disk::default(), &path, Self::NUMBER, &schema, rows, index, &on).unwrap();
        Self { folder, path, schema }
    }

    fn open(&self) -> Result<Segment> {
        Segment::open(&self.path, Self::NUMBER, &self.schema)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// The folder's files, the segment apart.
    fn leftovers(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count() - 1
    }
}

fn problems(segment: &Segment) -> Vec<(u64, String)> {
    let mut problems = Vec::new();
    segment.verify(&mut |offset, what| problems.push((offset, what)));
    problems
}

fn check_all(segment: &Segment, rows: &Rows) {
    assert_eq!(segment.rows() as usize, rows.records.len());
    let mut vector = vec![0.0; rows.dimension];
    for (row, record) in rows.records.iter().enumerate() {
        assert_eq!(segment.find(&record.id).unwrap(), Some(row as u32));
        assert_eq!(segment.id(row as u32).unwrap(), record.id);
        assert_eq!(segment.record(row as u32).unwrap(), *record);
        let stored = segment.stored(row as u32).unwrap();
        assert_eq!(
            (&stored.id, &stored.metadata, &stored.place),
            (&record.id, &record.metadata, &record.place)
        );
        let text = stored.text.map(|location| segment.text(location).unwrap());
        assert_eq!(text, record.text);
        segment.vector(row as u32, &mut vector).unwrap();
        assert_eq!(vector, rows.vector(row));
    }
    let beyond = segment.rows();
    assert!(matches!(segment.record(beyond), Err(Error::InvalidArgument(_))));
    assert!(matches!(segment.vector(beyond, &mut vector), Err(Error::InvalidArgument(_))));
    assert_eq!(problems(segment), []);
}

#[test]
fn every_shape_of_record_reads_back() {
    let rows = sample();
    let metrics = [Metric::Cosine, Metric::Dot, Metric::L2];
    for (metric, indexed) in metrics.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let written = Written::with(&rows, metric, indexed);
        let segment = written.open().unwrap();
        assert_eq!(segment.is_indexed(), indexed);
        check_all(&segment, &rows);
        assert_eq!((segment.number(), segment.path()), (12, &*written.path));
        assert_eq!(segment.file_bytes(), written.bytes().len() as u64);
        assert_eq!(segment.find(&"absent".into()).unwrap(), None);
        assert_eq!(segment.find(&2.into()).unwrap(), None);
        assert_eq!(written.leftovers(), 0);
        fs::remove_file(&written.path).unwrap();
        check_all(&segment, &rows);
    }
}

#[test]
fn a_segment_of_no_rows_and_one_of_the_largest_dimension_work() {
    for rows in [Rows::new(5, vec![]), Rows::new(MAX_DIMENSION, vec![bare(1), bare(2)])] {
        let written = Written::new(&rows, Metric::Cosine);
        let segment = written.open().unwrap();
        check_all(&segment, &rows);
        assert_eq!(segment.find(&"absent".into()).unwrap(), None);
    }
}

fn record() -> impl Strategy<Value = SegmentRecord> {
    let id = prop_oneof![
        any::<i64>().prop_map(Id::Int),
        (-9i64..9).prop_map(Id::Int),
        "[0-9]{1,2}|.{0,40}".prop_map(Id::from),
    ];
    // Some texts are longer than a block.
    let text = ("\\PC{0,20}", prop_oneof![9 => Just(1usize), 1 => 1usize..2000])
        .prop_map(|(text, times)| text.repeat(times));
    let metadata = prop_oneof![
        (any::<i64>(), any::<f64>().prop_filter("JSON has no such number", |f| f.is_finite()))
            .prop_map(|(int, float)| json!({"int": int, "deep": {"float": [float]}})),
        prop::collection::hash_map(".{0,5}", ".{0,5}", 0..4).prop_map(|map| json!(map)),
    ];
    let place = ("[a-c]{0,2}|.{0,90}", any::<u64>(), any::<u64>(), any::<u64>())
        .prop_map(|(source, start, end, line)| Place { source: source.into(), start, end, line });
    (id, prop::option::of(text), prop::option::of(metadata), prop::option::of(place)).prop_map(
        |(id, text, metadata, place)| SegmentRecord {
            id,
            text,
            metadata: metadata.map(Arc::new),
            place,
            vectors: FieldVectors::default(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn arbitrary_records_read_back(
        records in prop::collection::vec(record(), 0..60),
        others in prop::collection::vec(record(), 20),
        dimension in 1usize..20,
    ) {
        let mut seen = HashSet::new();
        let records = records.into_iter().filter(|record| seen.insert(record.id.clone()));
        let rows = Rows::new(dimension, records.collect());
        let written = Written::new(&rows, Metric::Cosine);
        let segment = written.open().unwrap();
        check_all(&segment, &rows);
        for other in others {
            let row = rows.records.iter().position(|record| record.id == other.id);
            prop_assert_eq!(segment.find(&other.id).unwrap(), row.map(|row| row as u32));
        }
    }
}

#[test]
fn scores_are_those_of_the_definition() {
    for dimension in [1, 3, 64, 100] {
        let mut rows = Rows::new(dimension, (0..300).map(bare).collect());
        rows.vectors[..dimension].fill(0.0);
        let query: Vec<f32> = (0..dimension).map(|n| (n as f32).cos()).collect();
        let metrics = [Metric::Cosine, Metric::Dot, Metric::L2];
        for (metric, indexed) in metrics.into_iter().flat_map(|it| [(it, false), (it, true)]) {
            let segment = Written::with(&rows, metric, indexed).open().unwrap();
            let mut scores = vec![f32::NAN; 300];
            let prepared = Query::new(&query, metric);
            segment.score_rows(&prepared, 0..200, &mut scores[..200]).unwrap();
            segment.score_rows(&prepared, 200..300, &mut scores[200..]).unwrap();
            segment.score_rows(&prepared, 300..300, &mut []).unwrap();
            let beyond = segment.score_rows(&prepared, 299..301, &mut [0.0; 2]);
            assert!(matches!(beyond, Err(Error::InvalidArgument(_))));
            for (row, score) in scores.into_iter().enumerate() {
                let expected = definition(&query, rows.vector(row), metric);
                let close = 1e-4 * expected.abs().max(1.0);
                assert!((f64::from(score) - expected).abs() < close, "{metric:?} row {row}");
            }
        }
    }
}

#[test]
fn a_graph_of_the_segment_finds_its_rows() {
    let rows = Rows::new(20, (0..500).map(bare).collect());
    let segment = Written::with(&rows, Metric::Cosine, true).open().unwrap();
    let graph = segment.graph().unwrap();
    for wanted in [false, true] {
        segment.request_nodes(wanted);
        for row in [0, 77, 499] {
            let query = graph.prepare(rows.vector(row));
            let options = SearchOptions::new(1, graph.dimension());
            let found = graph.search(&query, &options, |_| true, &mut Scratch::default());
            let mut score = [0.0];
            let exact = Query::new(rows.vector(row), Metric::Cosine);
            let found_row = found[0].1;
            segment.score_rows(&exact, found_row..found_row + 1, &mut score).unwrap();
            assert!((found[0].0 - 1.0).abs() < 1e-5 && (score[0] - 1.0).abs() < 1e-5);
        }
    }
}

#[test]
fn filters_accept_the_rows_that_they_accept_one_by_one() {
    let bare_rows = Rows::new(2, (0..50).map(bare).collect());
    // The first row with metadata comes late.
    let mut rows = Rows::new(2, (0..50).map(bare).collect());
    for row in 20..50usize {
        rows.records[row].metadata = Some(json!({"n": row % 7}).into());
    }
    let mut placed = Rows::new(2, (0..50).map(bare).collect());
    placed.records[9].place = Some(Place { source: "a".into(), start: 0, end: 1, line: 4 });
    for (rows, has_index) in [(bare_rows, false), (rows, true), (placed, true), (sample(), true)] {
        let segment = Written::new(&rows, Metric::L2).open().unwrap();
        assert_eq!(segment.metadata_index().unwrap().is_some(), has_index);
        for filter in [
            json!({"n": {"$gte": 3}}),
            json!({"n": {"$exists": false}}),
            json!({"$id": {"$in": [3, 21, "1"]}}),
            json!({"$line": {"$gt": 1}}),
            json!({"$not": {"$source": "a"}}),
        ] {
            let filter = Filter::parse(&filter).unwrap();
            let expected: RoaringBitmap = (0..segment.rows())
                .filter(|row| filter.accepts(&Fields::from(&rows.records[*row as usize])))
                .collect();
            assert_eq!(segment.matching(&filter, None).unwrap(), expected);
            let among: RoaringBitmap = (0..segment.rows()).step_by(3).collect();
            let found = segment.matching(&filter, Some(&among)).unwrap();
            assert_eq!(found, expected & among);
        }
    }
}

#[test]
fn what_the_last_filters_accept_is_remembered() {
    let segment = Written::new(&sample(), Metric::L2).open().unwrap();
    let filter = |n: u32| Filter::parse(&json!({"n": {"$gte": n}})).unwrap();
    assert_eq!(segment.accepted_bytes(), 0);
    let first = segment.accepted(&filter(0)).unwrap();
    assert_eq!(*first.rows(), segment.matching(&filter(0), None).unwrap());
    assert!((0..segment.rows()).all(|row| first.contains(row) == first.rows().contains(row)));
    assert!(segment.accepted_bytes() > 0);
    for n in 1..8 {
        segment.accepted(&filter(n)).unwrap();
    }
    // Asked for again, it stays when the next one comes; the one after it goes.
    let again = segment.accepted(&filter(0)).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let second = segment.accepted(&filter(1)).unwrap();
    segment.accepted(&filter(8)).unwrap();
    assert!(Arc::ptr_eq(&first, &segment.accepted(&filter(0)).unwrap()));
    assert!(Arc::ptr_eq(&second, &segment.accepted(&filter(1)).unwrap()));
    let gone = segment.accepted(&filter(2)).unwrap();
    segment.accepted(&filter(2)).unwrap();
    assert!(Arc::ptr_eq(&gone, &segment.accepted(&filter(2)).unwrap()));
    // A filter without a name is evaluated each time.
    let long = Filter::parse(&json!({"n": {"$in": (0..1000).collect::<Vec<_>>()}})).unwrap();
    let bytes = segment.accepted_bytes();
    let found = segment.accepted(&long).unwrap();
    assert_eq!(*found.rows(), segment.matching(&long, None).unwrap());
    assert_eq!(segment.accepted_bytes(), bytes);
}

fn definition(query: &[f32], row: &[f32], metric: Metric) -> f64 {
    let sum = |of: fn(f64, f64) -> f64| -> f64 {
        query.iter().zip(row).map(|(a, b)| of(f64::from(*a), f64::from(*b))).sum()
    };
    let dot = sum(|a, b| a * b);
    match metric {
        Metric::Dot => dot,
        Metric::L2 => -sum(|a, b| (a - b) * (a - b)),
        Metric::Hamming => -sum(|a, b| (a as u8 ^ b as u8).count_ones().into()),
        Metric::Cosine => {
            let norms = sum(|a, _| a * a).sqrt() * sum(|_, b| b * b).sqrt();
            if norms == 0.0 { 0.0 } else { dot / norms }
        }
    }
}

#[test]
fn an_interrupted_or_failed_writing_leaves_nothing() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("000001.seg");
    let rows = Rows::new(2, (0..5000).map(bare).collect());
    let schema = Schema::new(2, Metric::L2);
    let stop_at = |limit: u64| {
        move |done: u64, total: u64| {
            assert!(done <= total);
            if done >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    };
    let options = BuildOptions::new(2, Metric::L2);
    for (limit, index) in [
        (1, None),
        (5000, None),
        (9000, None),
        (10_000, None),
        (1, Some(&options)),
        (20_000, Some(&options)),
        (46_000, Some(&options)),
    ] {
        let error =
            write(&Disk::default(), &path, 1, &schema, &rows, index, &stop_at(limit)).unwrap_err();
        assert!(matches!(&error, Error::Interrupted { .. }), "{error}");
        assert!(error.to_string().contains(&*path.display().to_string()), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "stopped at {limit}");
    }

    let mut damaged = Rows::new(2, (0..100).map(bare).collect());
    damaged.vectors.truncate(100);
    for index in [None, Some(&options)] {
        let error = write(&Disk::default(), &path, 1, &schema, &damaged, index, &stop_at(u64::MAX))
            .unwrap_err();
        assert!(matches!(error, Error::Dimension { .. }), "the source's error, not {error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    let mut twice = Rows::new(2, (0..100).map(bare).collect());
    twice.records[99] = bare(40);
    let error = write(&Disk::default(), &path, 1, &schema, &twice, None, &stop_at(u64::MAX)).err();
    assert!(matches!(&error, Some(Error::InvalidArgument(_))), "{error:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_row_of_an_integer_id_takes_forty_bytes_at_most_besides_its_vector() {
    let rows = Rows::new(1, (0..100_000).map(|id| bare(id * 7919)).collect());
    let written = Written::new(&rows, Metric::Cosine);
    let segment = written.open().unwrap();
    let vectors = segment.header.section(SECTION_VECTORS).unwrap();
    let vectors = vectors.end - vectors.start;
    let a_row = (segment.file_bytes() - vectors) as f64 / 100_000.0;
    assert!(a_row <= 40.0, "{a_row} bytes");
    for row in (0..100_000).step_by(997) {
        assert_eq!(segment.find(&Id::Int(i64::from(row) * 7919)).unwrap(), Some(row));
        assert_eq!(segment.find(&Id::Int(i64::from(row) * 7919 + 1)).unwrap(), None);
    }
}
