//! Vectors in named fields: what goes in comes out, is found, and survives what records survive.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::vectors::grouped;
use common::{open_batch, open_sync};
use database::{
    Batch, Collection, Database, ElementType, Error, FieldKind, FieldQuery, FieldVector,
    FusedQuery, GroupBy, Hit, Id, IndexOptions, Key, Metric, Schema, SearchOptions, SparseVector,
    VectorField, restore, verify,
};
use serde_json::json;
use tempfile::tempdir;

const TITLES: usize = 16;

/// So many vectors near some centres, the same ones however many are asked for.
fn near_centres(count: usize) -> Vec<f32> {
    grouped(count, TITLES, 60, 0.4, 7).values
}

/// Vectors near the same centres that are no record's.
fn queries(count: usize) -> Vec<f32> {
    near_centres(10_000 + count).split_off(10_000 * TITLES)
}

fn schema() -> Schema {
    let title = VectorField::dense("title", TITLES, Metric::Cosine);
    Schema::new(2, Metric::L2).with_fields(vec![title, VectorField::sparse("terms")])
}

/// Records whose vectors stand near few centres; every seventh has no title, every fifth no terms.
fn batch(ids: std::ops::Range<i64>) -> Batch {
    let all = near_centres(ids.end as usize);
    let title = |id: i64| {
        let start = id as usize * TITLES;
        (id % 7 != 0).then(|| FieldVector::Dense(all[start..start + TITLES].to_vec()))
    };
    let terms = |id: i64| (id % 5 != 0).then(|| FieldVector::Sparse(terms_of(id)));
    let mut batch = Batch {
        ids: ids.clone().map(Id::Int).collect(),
        vectors: ids.clone().flat_map(|id| [id as f32, 0.5]).collect(),
        texts: ids.clone().map(|id| Some(format!("text {id}"))).collect(),
        metadata: ids.clone().map(|id| Some(json!({"third": id % 3}))).collect(),
        ..Batch::default()
    };
    batch.fields.insert("title".to_owned(), ids.clone().map(title).collect());
    batch.fields.insert("terms".to_owned(), ids.map(terms).collect());
    batch
}

fn terms_of(id: i64) -> SparseVector {
    let id = id as u32;
    SparseVector::new(vec![id % 11, 20 + id % 13, 1000 + id], vec![1.0, 0.5, 0.25]).unwrap()
}

fn query() -> Vec<f32> {
    queries(1)
}

fn collection(database: &Database) -> Collection {
    // Fewer vectors than usual make a graph.
    let index = IndexOptions { minimum_rows: 512, ..IndexOptions::default() };
    database.collection_with_index("c", Some(schema()), Some(index)).unwrap()
}

fn titles(collection: &Collection, limit: usize, exact: bool) -> Vec<Hit> {
    let options = SearchOptions { exact, ..SearchOptions::new(limit) };
    collection.search_field("title", FieldQuery::Dense(&query()), &options, None, 0).unwrap()
}

fn terms(collection: &Collection, limit: usize) -> Vec<Hit> {
    let query = terms_of(40);
    let query = FieldQuery::Sparse(&query);
    collection.search_field("terms", query, &SearchOptions::new(limit), None, 0).unwrap()
}

fn go_on(_done: u64, _whole: u64) -> std::ops::ControlFlow<()> {
    std::ops::ControlFlow::Continue(())
}

/// The files beside segments that end so.
fn files(database: &Path, suffix: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(database.join("collections/c")).unwrap();
    let mut paths: Vec<PathBuf> = names.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(suffix));
    paths.sort();
    paths
}

#[test]
fn the_recall_of_a_field_is_that_of_its_searches() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database);
    let least = SearchOptions { effort: Some(1), ..SearchOptions::new(10) };
    let nothing = records.recall_field_of_sample("title", 9, &least, &go_on);
    assert!(matches!(nothing, Err(Error::InvalidArgument(_))), "{nothing:?}");
    records.upsert(batch(0..1500)).unwrap();
    records.optimize().unwrap();
    records.upsert(batch(1500..1530)).unwrap();
    let queries = queries(40);
    let own = records.recall_field("title", &queries, &least, &go_on).unwrap();
    // The same, from searches.
    let found = queries.chunks(TITLES).map(|query| {
        let scores = |exact| {
            let options = SearchOptions { exact, ..least };
            let query = FieldQuery::Dense(query);
            let hits = records.search_field("title", query, &options, None, 0).unwrap();
            hits.into_iter().map(|hit| hit.score).collect::<Vec<f32>>()
        };
        let (found, exact) = (scores(false), scores(true));
        found.iter().filter(|score| **score >= exact[9]).count()
    });
    let expected = found.sum::<usize>() as f64 / 400.0;
    assert!((own - expected).abs() < 1e-9, "{own}, {expected}");
    let most = SearchOptions { effort: Some(400), ..SearchOptions::new(10) };
    assert!(records.recall_field("title", &queries, &most, &go_on).unwrap() >= own.max(0.99));
    let exact = SearchOptions { exact: true, ..least };
    for sample in [1, 50, usize::MAX] {
        let whole = records.recall_field_of_sample("title", sample, &exact, &go_on).unwrap();
        assert_eq!(whole, 1.0);
    }
    assert!(records.recall_field_of_sample("title", 100, &most, &go_on).unwrap() >= 0.99);
    let nan = [f32::NAN; TITLES];
    for (field, query) in [("terms", &queries[..]), ("none", &queries[..]), ("title", &nan[..])] {
        assert!(records.recall_field(field, query, &exact, &go_on).is_err(), "{field}");
    }
    let stop = |_: u64, _: u64| std::ops::ControlFlow::Break(());
    let stopped = records.recall_field("title", &queries, &exact, &stop);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
}

#[test]
fn what_a_record_has_in_fields_comes_back_in_a_head_in_a_segment_and_after_opening_again() {
    let folder = tempdir().unwrap();
    let check = |collection: &Collection| {
        let ids: Vec<Id> = (0..50).map(Id::Int).collect();
        let expected = batch(0..50);
        for (row, record) in collection.get(&ids).unwrap().into_iter().enumerate() {
            let vectors = record.unwrap().vectors;
            assert_eq!(vectors.get(0).cloned(), expected.fields["terms"][row]);
            assert_eq!(vectors.get(1).cloned(), expected.fields["title"][row]);
            assert_eq!(vectors.is_empty(), row % 35 == 0);
        }
    };
    let database = open_sync(folder.path());
    let records = collection(&database);
    assert_eq!(
        records.schema().to_string(),
        "dimension 2, l2, float32, no model, fields terms (sparse), title (16, cosine, float32)"
    );
    records.upsert(batch(0..50)).unwrap();
    check(&records);
    let (in_head, of_terms) = (titles(&records, 60, false), terms(&records, 60));
    assert_eq!((in_head.len(), in_head[0].text.is_some()), (42, true));
    records.compact().unwrap();
    check(&records);
    assert_eq!(titles(&records, 60, false), in_head);
    assert_eq!(terms(&records, 60), of_terms);
    assert_eq!(of_terms[0].id, 7.into(), "equal ones in the order of insertion: {of_terms:?}");
    database.close().unwrap();

    let database = open_sync(folder.path());
    let records = database.collection("c", None).unwrap();
    check(&records);
    assert_eq!(records.schema(), &schema());
    assert_eq!(titles(&records, 60, false), in_head);
    assert!(matches!(
        database.collection("c", Some(Schema::new(2, Metric::L2))),
        Err(Error::SchemaMismatch { .. })
    ));
    // A record that is replaced has what it was given then, and nothing else.
    records.upsert(Batch { fields: Default::default(), ..batch(1..2) }).unwrap();
    assert!(records.get(&[1.into()]).unwrap()[0].as_ref().unwrap().vectors.is_empty());
    assert!(titles(&records, 60, false).iter().all(|hit| hit.id != 1.into()));
}

#[test]
fn element_types_round_and_bits_are_counted() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let field = |name: &str, element, metric| {
        let mut field = VectorField::dense(name, 3, metric);
        if let FieldKind::Dense(dense) = &mut field.kind {
            dense.element = element;
        }
        field
    };
    let fields = vec![
        field("half", ElementType::Float16, Metric::Dot),
        field("bits", ElementType::Bits, Metric::Hamming),
    ];
    let schema = Schema::new(1, Metric::Dot).with_fields(fields);
    let records = database.collection("c", Some(schema)).unwrap();
    let column = |numbers: [f32; 3]| vec![Some(FieldVector::Dense(numbers.to_vec()))];
    let fields = [("half", column([0.1, 1.0, -2.0])), ("bits", column([255.0, 0.0, 1.0]))];
    let fields = fields.map(|(name, column)| (name.to_owned(), column)).into();
    let batch = Batch { ids: vec![1.into()], vectors: vec![1.0], fields, ..Batch::default() };
    records.upsert(batch).unwrap();
    let read = || {
        let vectors = records.get(&[1.into()]).unwrap().remove(0).unwrap().vectors;
        let search = |name, query: [f32; 3]| {
            let query = FieldQuery::Dense(&query);
            records.search_field(name, query, &SearchOptions::new(1), None, 0).unwrap()[0].score
        };
        (vectors, search("half", [10.0, 0.0, 0.0]), search("bits", [0.0, 0.0, 3.0]))
    };
    let before = read();
    let half = vec![0.099_975_586, 1.0, -2.0];
    assert_eq!(before.0.get(1), Some(&FieldVector::Dense(half)));
    assert_eq!((before.1, before.2), (0.999_755_86, 9.0));
    records.compact().unwrap();
    assert_eq!(read(), before);
}

#[test]
fn a_field_of_many_vectors_gets_a_graph_that_finds_nearly_all() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database);
    for start in (0..9000).step_by(3000) {
        records.upsert(batch(start..start + 3000)).unwrap();
    }
    records.optimize().unwrap();
    let with_title = (0..9000).filter(|id| id % 7 != 0).count() as u64;
    let stats = records.stats().unwrap();
    assert_eq!(stats.fields[1].graph_vectors, with_title, "{stats:?}");
    let queries = queries(100);
    let third = database::Filter::parse(&json!({"third": 1})).unwrap();
    for filter in [None, Some(&third)] {
        let (mut found, mut wanted) = (0, 0);
        for query in queries.chunks_exact(TITLES) {
            let search = |exact| {
                let options = SearchOptions { exact, filter, ..SearchOptions::new(10) };
                let query = FieldQuery::Dense(query);
                records.search_field("title", query, &options, None, 0).unwrap()
            };
            let (approximate, exact) = (search(false), search(true));
            wanted += exact.len();
            found += approximate.iter().filter(|hit| exact.contains(hit)).count();
        }
        assert!(found * 100 >= wanted * 95, "{found} of {wanted}");
    }
    // What was deleted is not found, what came since is.
    let best = titles(&records, 3, false);
    records.delete(&[best[0].id.clone()]).unwrap();
    assert_eq!(titles(&records, 2, false), best[1..]);
    let all = records.search_field_batch(
        "title",
        &[FieldQuery::Dense(&query()), FieldQuery::Dense(&query())],
        &SearchOptions::new(2),
    );
    let ids: Vec<Vec<Id>> =
        all.unwrap().into_iter().map(|hits| hits.into_iter().map(|hit| hit.id).collect()).collect();
    assert_eq!(ids, vec![vec![best[1].id.clone(), best[2].id.clone()]; 2]);
}

#[test]
fn an_index_that_is_missing_or_damaged_is_made_anew() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database);
    records.upsert(batch(0..1200)).unwrap();
    records.optimize().unwrap();
    let before = (titles(&records, 20, true), terms(&records, 20));
    database.close().unwrap();
    let mut is_repaired = [true, false].into_iter().cycle();
    for suffix in [".title.vectors", ".terms.sparse"] {
        let [path] = &files(folder.path(), suffix)[..] else { panic!("one file") };
        let whole = fs::read(path).unwrap();
        let spoiled = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            Some(bytes)
        };
        let middle = (0..6).map(|part| spoiled(600 + part * (whole.len() - 600) / 6));
        let cases = [None, spoiled(9), spoiled(20), Some(whole[..whole.len() - 1].to_vec())];
        for bytes in cases.into_iter().chain(middle) {
            match &bytes {
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }

            let report = verify(folder.path()).unwrap();
            assert_eq!(report.is_sound(), bytes.is_none(), "{report:?}");
            let database = open_batch(folder.path());
            let records = collection(&database);
            if is_repaired.next() == Some(true) {
                let damaged = database.repair(false, &go_on).unwrap().remove(0).1;
                assert_eq!(damaged.len(), usize::from(bytes.is_some()), "{damaged:?}");
                assert!(!path.exists() && damaged.iter().all(|file| !file.is_loss()));
            }
            assert_eq!((titles(&records, 20, true), terms(&records, 20)), before);
            let approximate = titles(&records, 20, false);
            assert!(approximate.iter().filter(|hit| before.0.contains(hit)).count() >= 18);
            // A graph comes back by itself; this waits for it.
            records.optimize().unwrap();
            let graph_vectors = records.stats().unwrap().fields[1].graph_vectors;
            assert_eq!(graph_vectors, (0..1200).filter(|id| id % 7 != 0).count() as u64);
            // Of a sparse index a search reads what it needs; damage elsewhere is nothing to it.
            database.repair(false, &go_on).unwrap();
            database.close().unwrap();
            assert!(verify(folder.path()).unwrap().is_sound());
        }
    }
}

#[test]
fn indexes_go_with_their_segments_and_into_backups() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("db");
    let database = open_batch(&path);
    let records = collection(&database);
    for part in 0..3 {
        records.upsert(batch(part * 100..part * 100 + 100)).unwrap();
        records.compact().unwrap();
    }
    assert_eq!(files(&path, ".title.vectors").len(), files(&path, ".seg").len());
    records.optimize().unwrap();
    assert_eq!((files(&path, ".title.vectors").len(), files(&path, ".terms.sparse").len()), (1, 1));
    let before = (titles(&records, 20, false), terms(&records, 20));
    let (backup, copy) = (folder.path().join("backup"), folder.path().join("copy"));
    database.snapshot().unwrap().backup(&backup, &go_on).unwrap();
    restore(&backup, &copy, &go_on).unwrap();
    for path in [&backup, &copy] {
        assert_eq!(files(path, ".title.vectors").len(), 1);
        let reader = Database::open_read_only(path).unwrap();
        let records = reader.collection("c", None).unwrap();
        assert_eq!((titles(&records, 20, false), terms(&records, 20)), before);
    }
    // A process that only reads keeps what is missing in memory.
    fs::remove_file(&files(&copy, ".title.vectors")[0]).unwrap();
    let reader = Database::open_read_only(&copy).unwrap();
    let records = reader.collection("c", None).unwrap();
    assert_eq!(titles(&records, 20, false), before.0);
    assert!(files(&copy, ".title.vectors").is_empty());
    // A file of a segment that nobody knows goes when the database is opened.
    fs::write(path.join("collections/c/000099.title.vectors"), b"old").unwrap();
    database.close().unwrap();
    drop(open_batch(&path).collection("c", None).unwrap());
    assert_eq!(files(&path, ".title.vectors").len(), 1);
}

#[test]
fn rankings_are_fused_paged_and_grouped() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database);
    records.upsert(batch(0..300)).unwrap();
    records.compact().unwrap();
    records.upsert(batch(300..400)).unwrap();
    let (title, sparse) = (query(), terms_of(40));
    let main = [40.0, 0.5];
    let fused = |weights: [f32; 3], limit, group_by: Option<&GroupBy<'_>>, offset| {
        let queries = [
            FusedQuery { field: None, query: FieldQuery::Dense(&main), weight: weights[0] },
            FusedQuery {
                field: Some("title"),
                query: FieldQuery::Dense(&title),
                weight: weights[1],
            },
            FusedQuery {
                field: Some("terms"),
                query: FieldQuery::Sparse(&sparse),
                weight: weights[2],
            },
        ];
        records.search_fused(&queries, &SearchOptions::new(limit), None, group_by, offset)
    };
    let rank = |hits: &[Hit], id: &Id| hits.iter().position(|hit| hit.id == *id);
    let (by_title, by_terms) = (titles(&records, 100, false), terms(&records, 100));
    let by_main = records.search(&main, &SearchOptions::new(100)).unwrap();
    let hits = fused([0.5, 1.0, 2.0], 30, None, 0).unwrap();
    for hit in &hits {
        let part = |hits: &[Hit], weight: f32| {
            rank(hits, &hit.id).map_or(0.0, |rank| weight / (60.0 + (rank + 1) as f32))
        };
        let score = part(&by_main, 0.5) + part(&by_title, 1.0) + part(&by_terms, 2.0);
        assert!((hit.score - score).abs() < 1e-6, "{hit:?} {score}");
    }
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert_eq!(fused([0.5, 1.0, 2.0], 10, None, 20).unwrap(), hits[20..]);
    let only = fused([0.0, 1.0, 0.0], 10, None, 0).unwrap();
    assert!(only.iter().zip(&by_title).all(|(fused, alone)| fused.id == alone.id));
    let key = Key::parse("third").unwrap();
    let group_by = GroupBy { key: &key, size: 2 };
    let grouped = fused([1.0, 1.0, 1.0], 3, Some(&group_by), 0).unwrap();
    assert_eq!(grouped.len(), 6);
    let options = SearchOptions::new(2);
    let grouped =
        records.search_field("title", FieldQuery::Dense(&title), &options, Some(&group_by), 1);
    assert_eq!(grouped.unwrap().len(), 4);
    let within = SearchOptions { within: Some(by_title[4].score), ..SearchOptions::new(50) };
    let near = records.search_field("title", FieldQuery::Dense(&title), &within, None, 0).unwrap();
    assert_eq!(near, by_title[..5]);

    let refused = [
        fused([0.0; 3], 1, None, 0),
        fused([-1.0, 1.0, 1.0], 1, None, 0),
        records.search_fused(&[], &SearchOptions::new(1), None, None, 0),
        records.search_field("terms", FieldQuery::Dense(&title), &options, None, 0),
        records.search_field("title", FieldQuery::Sparse(&sparse), &options, None, 0),
        records.search_field("body", FieldQuery::Dense(&title), &options, None, 0),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::InvalidArgument(_))), "{outcome:?}");
    }
    let short = records.search_field("title", FieldQuery::Dense(&title[1..]), &options, None, 0);
    assert!(matches!(short, Err(Error::Dimension { expected: TITLES, .. })));
}

#[test]
fn what_does_not_fit_is_refused_by_field_and_row_and_nothing_is_written() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = collection(&database);
    let with = |name: &str, row: usize, vector: FieldVector| {
        let mut batch = batch(1..4);
        batch.fields.entry(name.to_owned()).or_insert_with(|| vec![None; 3])[row] = Some(vector);
        records.upsert(batch).unwrap_err().to_string()
    };
    let dense = |length: usize, number: f32| FieldVector::Dense(vec![number; length]);
    for (error, expected) in [
        (with("title", 2, dense(3, 1.0)), "field 'title', row 2: expected vectors of 16 numbers"),
        (with("title", 1, dense(16, f32::NAN)), "field 'title', row 1: the vector holds NaN"),
        (with("terms", 0, dense(3, 1.0)), "field 'terms', row 0: the field takes sparse vectors"),
        (with("title", 0, FieldVector::Sparse(terms_of(1))), "not sparse ones"),
        (with("body", 0, dense(3, 1.0)), "no field 'body', but terms, title"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let mut uneven = batch(1..4);
    uneven.fields.get_mut("title").unwrap().pop();
    assert!(records.upsert(uneven).unwrap_err().to_string().contains("3 ids but 2 vectors"));
    assert!(records.is_empty().unwrap());

    let create = |fields: Vec<VectorField>| {
        database.collection("d", Some(Schema::new(2, Metric::Dot).with_fields(fields)))
    };
    let many = (0..17).map(|number| VectorField::sparse(&format!("f{number}"))).collect();
    for fields in [
        vec![VectorField::sparse("")],
        vec![VectorField::sparse("Title")],
        vec![VectorField::sparse("text")],
        vec![VectorField::sparse(&"n".repeat(65))],
        vec![VectorField::sparse("a"), VectorField::dense("a", 2, Metric::Dot)],
        vec![VectorField::dense("a", 0, Metric::Dot)],
        vec![VectorField::dense("a", 2, Metric::Hamming)],
        many,
    ] {
        assert!(matches!(create(fields), Err(Error::InvalidArgument(_))));
    }
    create((0..16).map(|number| VectorField::sparse(&format!("f{number}"))).collect()).unwrap();
}
