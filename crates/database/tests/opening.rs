//! What may be opened, under which names, and what is left alone.

mod common;

use std::fs;

use common::{collection, one, open_sync};
use database::{
    Database, Error, FieldQuery, FieldVector, FieldVectors, Metric, Options, Schema, SearchOptions,
    SparseVector, verify,
};
use tempfile::tempdir;

fn open(path: &std::path::Path) -> Result<Database, Error> {
    Database::open(path, &Options::default())
}

#[test]
fn a_missing_path_and_an_empty_folder_become_databases() {
    let folder = tempdir().unwrap();
    let missing = folder.path().join("a/b/c.rac");
    open(&missing).unwrap().close().unwrap();
    assert_eq!(fs::read(missing.join("FORMAT")).unwrap().len(), 16);
    open(folder.path().join("a/b").as_path()).err().expect("a folder with something in it");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    open(&empty).unwrap();
    // What is left of an opening that was killed early.
    fs::remove_file(empty.join("FORMAT")).unwrap();
    fs::remove_dir(empty.join("collections")).unwrap();
    fs::write(empty.join("FORMAT.tmp"), b"RAC").unwrap();
    open(&empty).unwrap();
    assert!(verify(&empty).unwrap().is_sound());
}

#[test]
fn files_and_foreign_folders_are_refused_and_left_alone() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, b"mine").unwrap();
    let error = open(&file).err().unwrap();
    assert!(matches!(error, Error::NotADatabase { .. }) && error.to_string().contains("a file"));
    let error = open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("is not a rust_ai_core database"), "{error}");
    assert!(matches!(verify(folder.path()), Err(Error::NotADatabase { .. })));
    fs::write(folder.path().join("FORMAT"), b"about tapes").unwrap();
    assert!(matches!(open(folder.path()), Err(Error::NotADatabase { .. })));
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["FORMAT", "notes.txt"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");

    let inside_a_file = open(&file.join("x")).err().unwrap();
    let text = inside_a_file.to_string();
    assert!(matches!(inside_a_file, Error::Io { .. }) && text.contains("notes.txt"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_with_nothing_but_a_name_that_is_no_text_is_not_empty() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), b"mine").unwrap();
    assert!(matches!(open(folder.path()), Err(Error::NotADatabase { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn every_damaged_byte_of_the_format_file_is_an_error() {
    let folder = tempdir().unwrap();
    drop(open_sync(folder.path()));
    let file = folder.path().join("FORMAT");
    let whole = fs::read(&file).unwrap();
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 4;
        fs::write(&file, flipped).unwrap();
        assert!(open(folder.path()).is_err(), "flipped at {position}");
    }
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(open(folder.path()).is_err(), "cut at {length}");
    }
    fs::write(&file, &whole).unwrap();
    open(folder.path()).unwrap();
}

#[test]
fn names_are_checked() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let schema = || Some(Schema::new(2, Metric::Dot));
    for good in ["a", "A-b_c.9", "..x".trim_start_matches('.'), &"n".repeat(128)] {
        database.collection(good, schema()).unwrap();
    }
    for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "ü", "a b", "a\0", &"n".repeat(129)] {
        let error = database.collection(bad, schema()).err().unwrap();
        assert!(matches!(error, Error::InvalidName { .. }), "{bad}");
        assert!(matches!(database.drop_collection(bad), Err(Error::InvalidName { .. })), "{bad}");
    }
}

#[test]
fn verify_counts_and_finds_an_unfinished_write_no_problem() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 2);
    for number in 0..4 {
        records.upsert(one(number)).unwrap();
    }
    records.delete(&[2.into()]).unwrap();
    drop((records, database));
    let log = common::log_file(folder.path());
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(&[1; 13]);
    fs::write(&log, &bytes).unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.is_sound());
    let found = &report.collections[0];
    // Four writes, a deletion, and the seal of the closing.
    assert_eq!((found.name.as_str(), found.frames, found.records), ("c", 6, 3));
    assert_eq!((found.bytes, found.unfinished_bytes), (bytes.len() as u64, 13));
    assert_eq!(fs::read(&log).unwrap(), bytes, "verify writes nothing");
}

#[test]
fn a_database_of_format_version_1_opens_and_becomes_one_of_the_newest() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("old.rac");
    common::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/version-1").as_ref(), &path);
    assert!(verify(&path).unwrap().is_sound());
    for round in 0..2 {
        let database = open_sync(&path);
        let records = database.collection("c", None).unwrap();
        let ids = [1.into(), "two".into(), 3.into(), 4.into()];
        let found = records.get(&ids).unwrap();
        let vectors: Vec<_> =
            found.iter().map(|found| found.as_ref().map(|record| record.vector.clone())).collect();
        let expected = [Some(vec![1.0, 2.0]), Some(vec![3.0, 4.0]), None, Some(vec![7.0, 8.0])];
        assert_eq!(vectors, expected, "round {round}");
        assert_eq!(found[0].as_ref().unwrap().text.as_deref(), Some("text 1"));
        assert!(verify(&path).unwrap().is_sound());
        records.compact().unwrap();
    }
    assert!(path.join("collections/c/MANIFEST").exists());
    assert_eq!(fs::read(path.join("FORMAT")).unwrap()[8], 5);
}

#[test]
fn databases_of_format_versions_2_and_3_open_with_their_segments_and_graphs() {
    for version in [2, 3] {
        let folder = tempdir().unwrap();
        let path = folder.path().join("old.rac");
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        common::copy(&std::path::Path::new(fixtures).join(format!("version-{version}")), &path);
        assert_eq!(fs::read(path.join("FORMAT")).unwrap()[8], version);
        assert!(verify(&path).unwrap().is_sound());
        check_old(&Database::open_read_only(&path).unwrap(), 0);
        for round in 0..2 {
            let database = open_sync(&path);
            check_old(&database, round);
            database.collection("c", None).unwrap().upsert(one(100 + round)).unwrap();
            database.collection("g", None).unwrap().optimize().unwrap();
            database.collection("c", None).unwrap().compact().unwrap();
            database.close().unwrap();
            assert!(verify(&path).unwrap().is_sound());
        }
        assert_eq!(fs::read(path.join("FORMAT")).unwrap()[8], 5);
    }
}

/// A flat segment and a log of three records; a graph in int8 of forty, one of them deleted. So many
/// are new.
fn check_old(database: &Database, new: i64) {
    let flat = database.collection("c", None).unwrap();
    assert_eq!(flat.len().unwrap() as i64, 3 + new);
    let found = flat.get(&[1.into(), "two".into(), 3.into(), 4.into()]).unwrap();
    let vectors: Vec<_> =
        found.iter().map(|found| found.as_ref().map(|record| record.vector.clone())).collect();
    assert_eq!(vectors, [Some(vec![1.0, 2.0]), Some(vec![3.0, 4.0]), None, Some(vec![7.0, 8.0])]);
    assert_eq!(found[0].as_ref().unwrap().text.as_deref(), Some("text 1"));
    let graph = database.collection("g", None).unwrap();
    let stats = graph.stats().unwrap();
    assert_eq!((stats.records, stats.indexed_records), (39, 39));
    let nearest = |angle: f32| {
        let query = [angle.cos(), angle.sin()];
        graph.search(&query, &SearchOptions::new(1)).unwrap().remove(0).id
    };
    assert_eq!((nearest(7.0), nearest(30.0)), (7.into(), 30.into()));
}

#[test]
fn a_database_of_format_version_4_opens_with_its_fields() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("old.rac");
    common::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/version-4").as_ref(), &path);
    assert_eq!(fs::read(path.join("FORMAT")).unwrap()[8], 4);
    assert!(verify(&path).unwrap().is_sound());
    let check = |database: &Database| {
        let records = database.collection("c", None).unwrap();
        assert!(!records.is_damaged());
        let fields = records.schema().fields.iter().map(ToString::to_string);
        assert_eq!(fields.collect::<Vec<_>>(), ["terms (sparse)", "title (2, cosine, float16)"]);
        let vectors = records.get(&["two".into()]).unwrap().remove(0).unwrap().vectors;
        let terms = SparseVector::new(vec![7, 9], vec![2.0, 1.0]).unwrap();
        assert_eq!(vectors, FieldVectors::new(vec![(0, FieldVector::Sparse(terms))]));
        let found = |name: &str, query: FieldQuery<'_>| {
            let hits = records.search_field(name, query, &SearchOptions::new(9), None, 0).unwrap();
            hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>()
        };
        let nine = SparseVector::new(vec![9], vec![1.0]).unwrap();
        assert_eq!(found("terms", FieldQuery::Sparse(&nine)), [4.into(), "two".into()]);
        assert_eq!(found("title", FieldQuery::Dense(&[2.0, 0.0])), [1.into(), 4.into(), 3.into()]);
    };
    check(&Database::open_read_only(&path).unwrap());
    for _ in 0..2 {
        let database = open_sync(&path);
        check(&database);
        database.collection("c", None).unwrap().compact().unwrap();
        database.close().unwrap();
        assert!(verify(&path).unwrap().is_sound());
        assert_eq!(fs::read(path.join("FORMAT")).unwrap()[8], 5);
        assert!(path.join("collections/c/MANIFEST.copy").exists());
    }
}
