//! Damage to a part of a collection takes nothing else with it, and is never silent: compared with
//! what was written, whatever is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use database::format::{
    SECTION_CHECKSUMS, SECTION_GRAPH, SECTION_ID_TABLE, SECTION_RECORDS, SECTION_SOURCES,
    SECTION_VECTORS, SEGMENT_BLOCK_BYTES,
};
use database::{
    Batch, Collection, DamagedFile, Database, Direction, Error, FieldVectors, Filter, Id,
    IndexOptions, Key, Metric, Options, OrderBy, Place, Record, Schema, SearchOptions, TextQuery,
    verify,
};
use proptest::prelude::*;
use serde_json::json;
use tempfile::{TempDir, tempdir};

const DIMENSION: usize = 8;
const BLOCK: usize = SEGMENT_BLOCK_BYTES;

type Records = BTreeMap<Id, Record>;

/// A database whose collection has a segment with a graph, one without, and a head.
struct Sample {
    folder: TempDir,
    records: Records,
}

fn record(number: i64) -> Record {
    let vector = (0..DIMENSION).map(|i| ((number * 7 + i as i64 * 13) as f32 * 0.37).sin());
    Record {
        id: if number % 2 == 0 { Id::Int(number) } else { Id::from(format!("id {number}")) },
        vector: vector.collect(),
        text: (number % 3 > 0).then(|| format!("text number{number} {}", "x".repeat(60))),
        metadata: (number % 4 > 0).then(|| json!({"weight": number, "of": [number % 5]}).into()),
        place: (number % 5 == 0).then(|| Place {
            source: format!("source {}", number % 3).into(),
            start: 1,
            end: 9,
            line: number as u64,
        }),
        vectors: FieldVectors::default(),
    }
}

fn batch<'a>(records: impl Iterator<Item = &'a Record>) -> Batch {
    let mut batch = Batch::default();
    for Record { id, vector, text, metadata, place, .. } in records.cloned() {
        batch.ids.push(id);
        batch.vectors.extend(vector);
        batch.texts.push(text);
        batch.metadata.push(metadata.map(|metadata| (*metadata).clone()));
        batch.places.push(place);
    }
    batch
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}

impl Sample {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let database = Database::open(folder.path(), &options()).unwrap();
        let index = IndexOptions { minimum_rows: 64, ..IndexOptions::default() };
        let schema = Schema::new(DIMENSION, Metric::Cosine);
        let collection = database.collection_with_index("c", Some(schema), Some(index)).unwrap();
        let mut records = Records::new();
        for (part, numbers) in [0..200, 200..240, 240..250].into_iter().enumerate() {
            let new: Vec<Record> = numbers.map(record).collect();
            collection.upsert(batch(new.iter())).unwrap();
            records.extend(new.into_iter().map(|record| (record.id.clone(), record)));
            match part {
                0 => collection.optimize().unwrap(),
                1 => {
                    for number in [4, 210] {
                        collection.delete(&[record(number).id]).unwrap();
                        records.remove(&record(number).id);
                    }
                    collection.compact().unwrap();
                }
                _ => {}
            }
        }
        assert_eq!(collection.stats().unwrap().segments, 2);
        database.close().unwrap();
        Self { folder, records }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path().join(format!("collections/c/{number:06}.seg"))
    }

    /// The files of segments, the one with the graph first.
    fn segments(&self) -> Vec<PathBuf> {
        let paths = (0..20).map(|number| self.segment(number)).filter(|path| path.exists());
        let mut paths: Vec<PathBuf> = paths.collect();
        paths.sort_by_key(|path| !sections(path).contains_key(&SECTION_GRAPH));
        paths
    }

    /// A copy to spoil.
    fn copy(&self) -> Self {
        let folder = tempdir().unwrap();
        fs::create_dir_all(folder.path().join("collections/c")).unwrap();
        let collection = fs::read_dir(self.path().join("collections/c")).unwrap();
        let names = collection.map(|entry| entry.unwrap().file_name());
        let files = names.map(|name| Path::new("collections/c").join(name));
        for file in files.chain(["FORMAT".into()]) {
            fs::copy(self.path().join(&file), folder.path().join(&file)).unwrap();
        }
        Self { folder, records: self.records.clone() }
    }

    fn open(&self) -> (Database, Collection) {
        let database = Database::open(self.path(), &options()).unwrap();
        let collection = database.collection("c", None).unwrap();
        (database, collection)
    }
}

/// The sections of a segment, by their kinds.
fn sections(path: &Path) -> BTreeMap<u32, Range<usize>> {
    let bytes = fs::read(path).unwrap();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    (0..bytes[12] as usize)
        .map(|section| {
            let at = 56 + section * 24;
            (bytes[at].into(), number(at + 8)..number(at + 8) + number(at + 16))
        })
        .collect()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    // A file of its own: the other may be mapped.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Compares all that a collection finds with the records that it should have, which are all of
/// `records` but those that `collection` says are lost; returns how many these are.
fn check(collection: &Collection, records: &Records) -> u64 {
    let page = collection.scan(None, usize::MAX, None).unwrap();
    let found: Records =
        page.records.into_iter().map(|record| (record.id.clone(), record)).collect();
    let by_number = |n: &dyn Fn(&Record) -> bool| found.values().filter(|record| n(record)).count();
    for (id, record) in &found {
        assert_eq!(records.get(id), Some(record), "nothing else is found");
    }
    let query: Vec<f32> = record(77).vector;
    let mut right: Vec<(f64, &Id)> =
        found.values().map(|record| (cosine(&query, &record.vector), &record.id)).collect();
    right.sort_by(|a, b| b.0.total_cmp(&a.0));
    for exact in [true, false] {
        let options = SearchOptions { exact, effort: Some(300), ..SearchOptions::new(10) };
        let hits = collection.search(&query, &options).unwrap();
        assert_eq!(hits.len(), right.len().min(10));
        for (hit, (score, _)) in hits.iter().zip(&right) {
            assert!((f64::from(hit.score) - score).abs() < 1e-5, "exact {exact}: {hit:?}");
            assert_eq!(records[&hit.id].text, hit.text);
        }
        let batch = collection.search_batch(&query, 1, &options).unwrap();
        assert_eq!(batch[0].len(), hits.len());
    }
    let light = Filter::parse(&json!({"weight": {"$lt": 120}, "of": {"$contains": 2}})).unwrap();
    let is_light = |record: &Record| {
        record.metadata.as_ref().is_some_and(|metadata| {
            metadata["weight"].as_u64() < Some(120) && metadata["of"][0] == json!(2)
        })
    };
    assert_eq!(collection.count(&light).unwrap(), by_number(&is_light));
    let filtered = SearchOptions { filter: Some(&light), ..SearchOptions::new(100) };
    assert_eq!(collection.search(&query, &filtered).unwrap().len(), by_number(&is_light));
    let weight = Key::parse("weight").unwrap();
    let order = OrderBy { key: weight.clone(), direction: Direction::Descending };
    let sorted = collection.find(None, Some(&order), 0, usize::MAX).unwrap();
    let weights: Vec<Option<u64>> = sorted
        .iter()
        .map(|record| record.metadata.as_ref().and_then(|metadata| metadata["weight"].as_u64()))
        .collect();
    let with = weights.iter().take_while(|weight| weight.is_some()).count();
    assert!(weights[..with].is_sorted_by(|a, b| a >= b) && sorted.len() == found.len());
    let of = Key::parse("of").unwrap();
    let facet = collection.facet(&of, None).unwrap();
    let counted: u64 = facet.into_sorted().iter().map(|(_, count)| count).sum();
    assert_eq!(counted as usize, by_number(&|record| record.metadata.is_some()));
    let words = TextQuery::new("number77", database::Language::parse("en").unwrap());
    let by_words = collection.search_text(&words, None, 0, 5).unwrap();
    assert_eq!(by_words.len(), usize::from(found.contains_key(&record(77).id)));

    // What is not found is an error for whoever asks for it, and is told.
    let damage = collection.damage().unwrap();
    let missing: BTreeSet<&Id> = records.keys().filter(|id| !found.contains_key(*id)).collect();
    let told: u64 = damage.iter().map(|file| file.lost_records.expect("rows are known")).sum();
    assert_eq!(told, missing.len() as u64, "{damage:?}");
    for id in damage.iter().flat_map(|file| &file.lost_ids) {
        assert!(missing.contains(id), "{id} is not lost");
    }
    let is_aside = damage.iter().any(|file| file.is_set_aside);
    let is_table_damaged = damage.iter().any(|file| {
        if file.is_set_aside {
            return false;
        }
        let lost = file.lost_records.unwrap_or(0);
        let table = sections(&file.file).remove(&SECTION_ID_TABLE).unwrap_or_default();
        // A problem is as long as it says.
        let reaches = |(offset, what): &(u64, String)| {
            let bytes = what.split(' ').next().and_then(|bytes| bytes.parse().ok()).unwrap_or(1);
            let offset = *offset as usize;
            offset < table.end && offset + bytes > table.start / BLOCK * BLOCK
        };
        lost > 0 && file.problems.iter().any(reaches)
    });
    for (id, record) in records {
        match collection.get(std::slice::from_ref(id)) {
            Ok(got) if found.contains_key(id) => assert_eq!(got[0].as_ref(), Some(record)),
            // Where the id table is damaged too, nobody knows which ids are lost.
            Ok(got) => {
                assert!(got[0].is_none() && (is_aside || is_table_damaged), "{id} is missing")
            }
            Err(Error::Corrupt { .. }) => assert!(missing.contains(id), "{id} is not damaged"),
            Err(error) => panic!("{id}: {error}"),
        }
    }
    assert_eq!(collection.len().unwrap(), found.len());
    missing.len() as u64
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn no_progress(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Opens a damaged database, checks what is found, writes to it, and opens it again; then makes it
/// sound. Returns how many records were lost.
fn contained(sample: &Sample) -> u64 {
    let report = verify(sample.path()).unwrap();
    assert!(!report.is_sound(), "it is damaged");
    let lost = {
        let (database, collection) = sample.open();
        let lost = check(&collection, &sample.records);
        assert_eq!(check(&collection, &sample.records), lost, "it stays so");
        assert!(collection.damage().unwrap().iter().any(DamagedFile::is_loss) == (lost > 0));
        // It takes writes, also of what is lost.
        let mut records = sample.records.clone();
        let new: Vec<Record> = (300..310).map(record).collect();
        collection.upsert(batch(new.iter())).unwrap();
        records.extend(new.into_iter().map(|record| (record.id.clone(), record)));
        check(&collection, &records);
        collection.delete(&(300..310).map(|number| record(number).id).collect::<Vec<_>>()).unwrap();
        collection.compact().unwrap();
        assert_eq!(check(&collection, &sample.records), lost, "nothing is dropped");
        database.close().unwrap();
        lost
    };
    if lost == 0 {
        // No read met what has no meaning, such as the zeros between sections.
        let (database, collection) = sample.open();
        database.repair(false, &no_progress).unwrap();
        assert_eq!(check(&collection, &sample.records), 0);
        database.close().unwrap();
        assert!(verify(sample.path()).unwrap().is_sound(), "it was written anew");
        return 0;
    }
    assert!(!verify(sample.path()).unwrap().is_sound(), "it says so as long as it is there");
    let (database, collection) = sample.open();
    assert_eq!(check(&collection, &sample.records), lost);
    let backup = database.snapshot().unwrap().backup(sample.path().join("backup"), &no_progress);
    assert!(matches!(backup, Err(Error::Corrupt { .. })), "{backup:?}");
    let found: Records = {
        let page = collection.scan(None, usize::MAX, None).unwrap();
        page.records.into_iter().map(|record| (record.id.clone(), record)).collect()
    };
    database.repair(false, &no_progress).unwrap();
    assert_eq!(check(&collection, &sample.records), lost, "nobody accepted the loss");
    let given_up = database.repair(true, &no_progress).unwrap();
    let told: u64 = given_up[0].1.iter().filter_map(|file| file.lost_records).sum();
    assert_eq!(told, lost);
    assert_eq!(check(&collection, &found), 0, "all else is there");
    assert_eq!(collection.damage().unwrap(), []);
    database.close().unwrap();
    assert!(verify(sample.path()).unwrap().is_sound());
    let (_database, collection) = sample.open();
    assert_eq!(check(&collection, &found), 0);
    lost
}

#[test]
fn a_flipped_byte_or_an_empty_page_in_any_section_loses_no_more_than_what_is_there() {
    let sample = Sample::new();
    for segment in 0..2 {
        for (kind, range) in sections(&sample.segments()[segment]) {
            let middle = range.start + range.len() / 2;
            for (page, places) in
                [(false, vec![range.start, middle, range.end - 1]), (true, vec![middle])]
            {
                for at in places {
                    let copy = sample.copy();
                    change(&copy.segments()[segment], |bytes| match page {
                        false => bytes[at] ^= 0x10,
                        true => {
                            let start = at / BLOCK * BLOCK;
                            bytes[start..start + BLOCK].fill(0x5a);
                        }
                    });
                    let lost = contained(&copy);
                    let may_lose =
                        [SECTION_RECORDS, SECTION_SOURCES, SECTION_VECTORS, SECTION_GRAPH];
                    let is_checksums = kind == SECTION_CHECKSUMS;
                    let can = may_lose.contains(&kind) || is_checksums;
                    assert!(lost == 0 || can, "section {kind}, byte {at}: {lost} lost");
                }
            }
        }
    }
}

#[test]
fn a_segment_that_is_missing_cut_off_or_without_header_leaves_the_others() {
    let sample = Sample::new();
    let rows = [199, 39];
    for (segment, rows) in rows.into_iter().enumerate() {
        for way in 0..3 {
            let copy = sample.copy();
            let path = &copy.segments()[segment];
            match way {
                0 => fs::remove_file(path).unwrap(),
                1 => change(path, |bytes| bytes.truncate(bytes.len() / 2)),
                _ => change(path, |bytes| bytes[20] ^= 1),
            }
            assert_eq!(contained(&copy), rows, "segment {segment}, way {way}");
        }
    }
}

#[test]
fn a_segment_that_comes_back_is_read_again_without_what_was_written_meanwhile() {
    let sample = Sample::new();
    let path = &sample.segments()[0];
    let elsewhere = sample.path().join("elsewhere");
    fs::rename(path, &elsewhere).unwrap();
    let mut records = sample.records.clone();
    {
        let (database, collection) = sample.open();
        let mut newer = record(10);
        newer.text = Some("newer".to_owned());
        collection.upsert(batch([&newer].into_iter())).unwrap();
        records.insert(newer.id.clone(), newer);
        collection.compact().unwrap();
        let mut newest = record(12);
        newest.text = Some("newest".to_owned());
        collection.upsert(batch([&newest].into_iter())).unwrap();
        records.insert(newest.id.clone(), newest);
        database.close().unwrap();
    }
    fs::rename(&elsewhere, path).unwrap();
    assert!(verify(sample.path()).unwrap().is_sound());
    for _ in 0..2 {
        let (database, collection) = sample.open();
        assert_eq!(check(&collection, &records), 0);
        let reader = Database::open_read_only(sample.path()).unwrap();
        assert_eq!(check(&reader.collection("c", None).unwrap(), &records), 0);
        collection.compact().unwrap();
        database.close().unwrap();
    }
}

#[test]
fn what_is_derived_is_written_anew_by_itself() {
    let sample = Sample::new();
    let graph = sections(&sample.segments()[0])[&SECTION_GRAPH].clone();
    change(&sample.segments()[0], |bytes| bytes[graph.start + 20] ^= 1);
    let (_database, collection) = sample.open();
    let end = Instant::now() + Duration::from_secs(60);
    while !verify(sample.path()).unwrap().is_sound() {
        assert!(Instant::now() < end, "it was not written anew");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(check(&collection, &sample.records), 0);
    assert!(collection.stats().unwrap().indexed_records > 0);
}

#[test]
fn readers_and_snapshots_go_on_around_damage_too() {
    let sample = Sample::new();
    let records = sections(&sample.segments()[1])[&SECTION_RECORDS].clone();
    change(&sample.segments()[1], |bytes| bytes[records.start + 30] ^= 1);
    fs::remove_file(&sample.segments()[0]).unwrap();
    let reader = Database::open_read_only(sample.path()).unwrap();
    let lost = check(&reader.collection("c", None).unwrap(), &sample.records);
    assert_eq!(lost, 200);
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(check(&snapshot.collection("c").unwrap(), &sample.records), lost);
    let (_database, collection) = sample.open();
    let writer = collection.upsert(batch([record(1000)].iter())).unwrap();
    assert_eq!(writer.upserted, 1);
    assert_eq!(reader.collection("c", None).unwrap().len().unwrap(), sample.records.len() - 199);
}

#[test]
fn a_lost_record_is_written_over_and_deleted_by_its_id() {
    let sample = Sample::new();
    let segment = &sample.segments()[1];
    let range = sections(segment)[&SECTION_RECORDS].clone();
    change(segment, |bytes| bytes[range.start + 30] ^= 1);
    change(segment, |bytes| bytes[range.end - 30] ^= 1);
    let (_database, collection) = sample.open();
    assert_eq!(check(&collection, &sample.records), 2);
    let lost: Vec<Id> = collection.damage().unwrap().remove(0).lost_ids;
    assert_eq!(lost.len(), 2, "the metadata index knows them");
    assert_eq!(collection.delete(&lost[..1]).unwrap(), 1);
    let again = &sample.records[&lost[1]];
    collection.upsert(batch([again].into_iter())).unwrap();
    let mut records = sample.records.clone();
    records.remove(&lost[0]);
    assert_eq!(check(&collection, &records), 0);
    // Now nothing that anybody could miss is in it.
    collection.compact().unwrap();
    assert!(verify(sample.path()).unwrap().is_sound());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_damage_to_segments_is_contained(
        edits in prop::collection::vec(
            (0usize..2, any::<prop::sample::Index>(), prop_oneof![4 => 1usize..64, 1 => 1usize..9000], any::<u8>()),
            1..5,
        ),
        removed in prop::option::weighted(0.1, 0usize..2),
    ) {
        let sample = Sample::new();
        let segments = sample.segments();
        for (segment, at, length, byte) in edits {
            change(&segments[segment], |bytes| {
                let start = at.index(bytes.len());
                let end = (start + length).min(bytes.len());
                bytes[start..end].iter_mut().for_each(|it| *it = it.wrapping_add(byte | 1));
            });
        }
        if let Some(segment) = removed {
            fs::remove_file(&segments[segment]).unwrap();
        }
        contained(&sample);
    }
}
