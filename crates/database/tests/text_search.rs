//! Search by words against BM25 over all records, through all that can happen to a collection.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::copy;
use database::{
    Batch, Collection, Database, Durability, Filter, Id, Key, Language, Metric, Options, Schema,
    TextQuery, restore, verify,
};
use proptest::prelude::*;
use serde_json::json;
use tempfile::{TempDir, tempdir};

/// What the words of a record are, in the order of its text, and of the title in its metadata.
#[derive(Clone, Debug, Default, PartialEq)]
struct Words {
    text: Option<Vec<u8>>,
    title: Option<Vec<u8>>,
}

type Model = BTreeMap<i64, Words>;

fn spelled(words: &[u8]) -> String {
    words.iter().map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ")
}

/// What of a record's words is searched.
type Field = fn(&Words) -> Option<&Vec<u8>>;

/// A query: words, phrases that must be there, words and phrases that must not.
#[derive(Clone, Debug, Default)]
struct Question {
    words: Vec<u8>,
    required: Vec<Vec<u8>>,
    excluded: Vec<Vec<u8>>,
    with_title: bool,
}

impl Question {
    fn query(&self) -> TextQuery {
        let words = self.words.iter().map(|word| format!("w{word}"));
        let signed = |sign: &str, run: &Vec<u8>| match &run[..] {
            [word] if sign == "+" => format!("+w{word}"),
            run => format!("{}\"{}\"", if sign == "+" { "" } else { sign }, spelled(run)),
        };
        let required = self.required.iter().map(|run| signed("+", run));
        let excluded = self.excluded.iter().map(|run| signed("-", run));
        let text = words.chain(required).chain(excluded).collect::<Vec<_>>().join(" ");
        let query = TextQuery::new(&text, Language::parse("none").unwrap());
        match self.with_title {
            false => query,
            true => {
                let title = Key::parse("title").unwrap();
                query.in_fields(vec![(None, 1.0), (Some(title), 2.5)]).unwrap()
            }
        }
    }

    fn fields(&self) -> Vec<(Field, f64)> {
        let mut fields: Vec<(Field, f64)> = vec![(|words| words.text.as_ref(), 1.0)];
        if self.with_title {
            fields.push((|words| words.title.as_ref(), 2.5));
        }
        fields
    }

    /// The score of each record that is to be found.
    fn answers(&self, model: &Model) -> BTreeMap<i64, f64> {
        let mut scores = BTreeMap::new();
        let counting = self.words.iter().chain(self.required.iter().flatten());
        for (field, weight) in self.fields() {
            let texts: Vec<(i64, &Vec<u8>)> =
                model.iter().filter_map(|(id, words)| Some((*id, field(words)?))).collect();
            let words: usize = texts.iter().map(|(_, text)| text.len()).sum();
            let (texts_count, average) =
                (texts.len() as f64, words as f64 / texts.len().max(1) as f64);
            for word in counting.clone() {
                let count = |text: &Vec<u8>| text.iter().filter(|other| *other == word).count();
                let found = texts.iter().filter(|(_, text)| count(text) > 0).count() as f64;
                let rarity = (1.0 + (texts_count - found + 0.5) / (found + 0.5)).ln();
                for (id, text) in texts.iter().filter(|(_, text)| count(text) > 0) {
                    let (count, length) = (count(text) as f64, text.len() as f64);
                    let share = count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / average));
                    *scores.entry(*id).or_insert(0.0) += weight * rarity * share;
                }
            }
        }
        let has = |id: &i64, run: &Vec<u8>| {
            let fields = self.fields().into_iter().filter_map(|(field, _)| field(&model[id]));
            fields.into_iter().any(|text| text.windows(run.len()).any(|window| window == run))
        };
        scores.retain(|id, _| {
            self.required.iter().all(|run| has(id, run))
                && !self.excluded.iter().any(|run| has(id, run))
        });
        scores
    }
}

fn number(id: &Id) -> i64 {
    match id {
        Id::Int(number) => *number,
        Id::Str(_) => panic!("{id}"),
    }
}

fn is_even(id: i64) -> bool {
    id % 2 == 0
}

fn check(collection: &Collection, model: &Model, question: &Question, limits: &[usize]) {
    let query = question.query();
    let even = Filter::parse(&json!({"even": true})).unwrap();
    let answers = question.answers(model);
    for (filter, limit) in limits.iter().flat_map(|limit| [(None, limit), (Some(&even), limit)]) {
        let hits = collection.search_text(&query, filter, 0, *limit).unwrap();
        let passing = answers.iter().filter(|(id, _)| filter.is_none() || is_even(**id));
        let mut expected: Vec<f64> = passing.map(|(_, score)| *score).collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        expected.truncate(*limit);
        assert_eq!(hits.len(), expected.len(), "{question:?}, {limit}");
        for (hit, expected) in hits.iter().zip(expected) {
            let own = answers[&number(&hit.id)];
            let (score, near) = (f64::from(hit.score), 1e-5 * expected + 1e-9);
            assert!((score - own).abs() <= near, "{question:?}: {score}, not {own}");
            assert!((score - expected).abs() <= near, "{question:?}: {score}, not {expected}");
            assert!(filter.is_none() || is_even(number(&hit.id)));
            let text = model[&number(&hit.id)].text.as_ref().map(|text| spelled(text));
            assert_eq!(hit.text, text);
        }
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        let page = collection.search_text(&query, filter, 1, *limit).unwrap();
        let all = collection.search_text(&query, filter, 0, limit + 1).unwrap();
        assert_eq!(page, all.get(1..).unwrap_or_default());
    }
}

fn upsert(collection: &Collection, model: &mut Model, records: &[(i64, Words)]) {
    let mut batch = Batch::default();
    for (id, words) in records {
        batch.ids.push((*id).into());
        batch.vectors.push(*id as f32);
        batch.texts.push(words.text.as_ref().map(|text| spelled(text)));
        let mut metadata = json!({"even": is_even(*id)});
        if let Some(title) = &words.title {
            metadata["title"] = match title.split_first() {
                // A list of texts is searched as one text.
                Some((first, rest)) if id % 3 == 0 => {
                    json!([spelled(&[*first]), 7, spelled(rest)])
                }
                _ => json!(spelled(title)),
            };
        }
        batch.metadata.push(Some(metadata));
        model.insert(*id, words.clone());
    }
    collection.upsert(batch).unwrap();
}

fn options() -> Options {
    Options { durability: Durability::Batch, head_records: 20, threads: 1, ..Options::default() }
}

fn named(database: &Database) -> Collection {
    database.collection("c", Some(Schema::new(1, Metric::Dot))).unwrap()
}

fn index_files(database: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(database.join("collections/c")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "words"))
        .collect();
    paths.sort();
    paths
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(Vec<(i64, Words)>),
    Delete(Vec<i64>),
    Compact,
    Optimize,
    Reopen,
    /// Leave as a killed process would, and open what is left.
    Crash,
    /// Go on with what a backup gives back.
    Restore,
    /// Change a byte of each index, or cut it off, while nobody has the database open.
    Damage {
        place: prop::sample::Index,
        cut: bool,
    },
    /// Remove the indexes.
    Lose,
}

fn words() -> impl Strategy<Value = Option<Vec<u8>>> {
    // Some words are frequent.
    let word = prop_oneof![3 => 0u8..3, 1 => 0u8..12];
    prop::option::weighted(0.8, prop::collection::vec(word, 0..12))
}

fn step() -> impl Strategy<Value = Step> {
    let record =
        (0i64..60, words(), words()).prop_map(|(id, text, title)| (id, Words { text, title }));
    prop_oneof![
        6 => prop::collection::vec(record, 1..30).prop_map(Step::Upsert),
        2 => prop::collection::vec(0i64..60, 1..20).prop_map(Step::Delete),
        2 => Just(Step::Compact),
        1 => Just(Step::Optimize),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => Just(Step::Restore),
        1 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(place, cut)| Step::Damage { place, cut }),
        1 => Just(Step::Lose),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    let run = || prop::collection::vec(0u8..6, 1..4);
    (
        prop::collection::vec(0u8..13, 0..4),
        prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(run(), 1..3)],
        prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(run(), 1..3)],
        any::<bool>(),
    )
        .prop_map(|(words, required, excluded, with_title)| Question {
            words,
            required,
            excluded,
            with_title,
        })
}

struct Subject {
    folder: TempDir,
    path: PathBuf,
    database: Option<Database>,
    moves: u32,
}

impl Subject {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let path = folder.path().join("0");
        let database = Database::open(&path, &options()).unwrap();
        named(&database);
        Self { folder, path, database: Some(database), moves: 0 }
    }

    fn collection(&self) -> Collection {
        named(self.database.as_ref().unwrap())
    }

    fn next_path(&mut self) -> PathBuf {
        self.moves += 1;
        self.folder.path().join(self.moves.to_string())
    }

    fn close(&mut self) {
        self.database.take().unwrap().close().unwrap();
    }

    fn open(&mut self) {
        self.database = Some(Database::open(&self.path, &options()).unwrap());
    }
}

fn on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn apply(step: &Step, subject: &mut Subject, model: &mut Model) {
    match step {
        Step::Upsert(records) => upsert(&subject.collection(), model, records),
        Step::Delete(numbers) => {
            let ids: Vec<Id> = numbers.iter().map(|number| (*number).into()).collect();
            subject.collection().delete(&ids).unwrap();
            model.retain(|id, _| !numbers.contains(id));
        }
        Step::Compact => subject.collection().compact().unwrap(),
        Step::Optimize => subject.collection().optimize().unwrap(),
        Step::Reopen => {
            subject.close();
            subject.open();
        }
        Step::Crash => {
            let path = subject.next_path();
            copy(&subject.path, &path);
            subject.path = path;
            subject.open();
        }
        Step::Restore => {
            let (backup, path) = (subject.next_path(), subject.next_path());
            let snapshot = subject.database.as_ref().unwrap().snapshot().unwrap();
            snapshot.backup(&backup, &on).unwrap();
            drop(snapshot);
            subject.close();
            restore(&backup, &path, &on).unwrap();
            subject.path = path;
            subject.open();
        }
        Step::Damage { place, cut } => {
            subject.close();
            for path in index_files(&subject.path) {
                let mut bytes = fs::read(&path).unwrap();
                let place = place.index(bytes.len());
                match cut {
                    true => bytes.truncate(place),
                    false => bytes[place] ^= 1 << (place % 8),
                }
                // A backup may share the file.
                fs::remove_file(&path).unwrap();
                fs::write(&path, bytes).unwrap();
            }
            let damaged = !index_files(&subject.path).is_empty();
            assert_eq!(verify(&subject.path).unwrap().is_sound(), !damaged);
            subject.open();
        }
        Step::Lose => {
            subject.close();
            index_files(&subject.path).iter().for_each(|path| fs::remove_file(path).unwrap());
            subject.open();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_history_is_searched_as_bm25_over_its_records(
        steps in prop::collection::vec((step(), question()), 1..14),
        last in prop::collection::vec(question(), 3),
    ) {
        let mut subject = Subject::new();
        let mut model = Model::default();
        for (step, question) in &steps {
            apply(step, &mut subject, &mut model);
            check(&subject.collection(), &model, question, &[3]);
        }
        let reader = Database::open_read_only(&subject.path).unwrap();
        let snapshot = subject.database.as_ref().unwrap().snapshot().unwrap();
        let kept = model.clone();
        upsert(&subject.collection(), &mut model, &[(1, Words { text: Some(vec![0, 1]), title: None })]);
        subject.collection().compact().unwrap();
        for question in &last {
            check(&subject.collection(), &model, question, &[1, 100]);
            check(&reader.collection("c", None).unwrap(), &model, question, &[3]);
            check(&snapshot.collection("c").unwrap(), &kept, question, &[3]);
        }
        drop((reader, snapshot));
        prop_assert!(verify(&subject.path).unwrap().is_sound());
    }
}

/// Numbers that look random, the same each time.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn what_is_left_out_of_long_postings_is_not_among_the_best() {
    let folder = tempdir().unwrap();
    let options = Options { head_records: 4000, ..options() };
    let database = Database::open(folder.path(), &options).unwrap();
    let collection = named(&database);
    let mut model = Model::default();
    let mut state = 7;
    // Word n is in about one text of n + 1, now and then many times.
    let mut text = || {
        let mut words = Vec::new();
        for word in 0..120u64 {
            if random(&mut state).is_multiple_of(word + 1) {
                let times = if random(&mut state).is_multiple_of(50) { 30 } else { 1 };
                words.extend(std::iter::repeat_n(word as u8, times));
            }
        }
        Words { text: Some(words), title: None }
    };
    for part in 0..3 {
        let ids = part * 3000..part * 3000 + 3000;
        let records: Vec<(i64, Words)> = ids.map(|id| (id, text())).collect();
        upsert(&collection, &mut model, &records);
        collection.compact().unwrap();
    }
    let replaced: Vec<(i64, Words)> = (0..9000).step_by(31).map(|id| (id, text())).collect();
    upsert(&collection, &mut model, &replaced);
    let deleted: Vec<Id> = (0..9000).step_by(17).map(Id::Int).collect();
    collection.delete(&deleted).unwrap();
    model.retain(|id, _| id % 17 != 0);
    for merged in [false, true] {
        if merged {
            collection.optimize().unwrap();
        }
        for words in [&[0u8][..], &[100], &[0, 1, 2], &[1, 119], &[0, 3, 40, 90], &[7, 7, 118, 200]]
        {
            let question = Question { words: words.to_vec(), ..Question::default() };
            check(&collection, &model, &question, &[1, 10, 20_000]);
            let strict = Question {
                required: vec![vec![5], vec![1, 2]],
                excluded: vec![vec![3], vec![0, 1, 2]],
                ..question
            };
            check(&collection, &model, &strict, &[10]);
        }
    }
    drop((collection, database));
    let database = Database::open(folder.path(), &options).unwrap();
    let question = Question { words: vec![0, 3, 40, 90], ..Question::default() };
    check(&named(&database), &model, &question, &[10]);
}

#[test]
fn indexes_are_written_from_the_first_search_on_and_go_with_their_segments() {
    let folder = tempdir().unwrap();
    let database = Database::open(folder.path(), &options()).unwrap();
    let collection = named(&database);
    let mut model = Model::default();
    let some = |first: i64| -> Vec<(i64, Words)> {
        let words = |id: i64| Words { text: Some(vec![(id % 7) as u8, 1]), title: None };
        (first..first + 50).map(|id| (id, words(id))).collect()
    };
    upsert(&collection, &mut model, &some(0));
    collection.compact().unwrap();
    assert!(index_files(folder.path()).is_empty(), "nobody searched by words");
    let question = Question { words: vec![1, 3], ..Question::default() };
    check(&collection, &model, &question, &[5]);
    let segments = || collection.stats().unwrap().segments;
    assert_eq!(index_files(folder.path()).len(), segments());
    drop((collection, database));

    let database = Database::open(folder.path(), &options()).unwrap();
    let collection = named(&database);
    upsert(&collection, &mut model, &some(100));
    collection.compact().unwrap();
    assert_eq!(index_files(folder.path()).len(), collection.stats().unwrap().segments);
    collection.optimize().unwrap();
    assert_eq!(index_files(folder.path()).len(), 1);
    let before = collection.stats().unwrap().memory_bytes;
    check(&collection, &model, &question, &[5]);
    assert!(collection.stats().unwrap().memory_bytes < before + 1000, "it is mapped");
    collection.delete_where(&Filter::parse(&json!({"$id": {"$gte": 0}})).unwrap()).unwrap();
    collection.compact().unwrap();
    assert!(index_files(folder.path()).is_empty());
}

#[test]
fn what_is_written_while_nobody_searches_by_words_is_indexed_behind_the_writes() {
    let folder = tempdir().unwrap();
    let mut model = Model::default();
    let some = |ids: std::ops::Range<i64>| -> Vec<(i64, Words)> {
        let words = |id: i64| Words { text: Some(vec![(id % 7) as u8, 1]), title: None };
        ids.map(|id| (id, words(id))).collect()
    };
    let question = Question { words: vec![1, 3], ..Question::default() };
    {
        let database = Database::open(folder.path(), &options()).unwrap();
        let collection = named(&database);
        upsert(&collection, &mut model, &some(0..50));
        collection.compact().unwrap();
        check(&collection, &model, &question, &[5]);
    }
    let known = index_files(folder.path());
    let database = Database::open(folder.path(), &options()).unwrap();
    let collection = named(&database);
    upsert(&collection, &mut model, &some(50..90));
    // A flush and the index behind it, neither of which anybody here has asked for.
    while index_files(folder.path()).iter().all(|file| known.contains(file)) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    check(&collection, &model, &question, &[5]);
    collection.optimize().unwrap();
    assert_eq!(index_files(folder.path()).len(), 1);
    check(&collection, &model, &question, &[5]);
}

#[test]
fn an_index_that_is_of_another_segment_or_release_is_made_anew() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("0");
    let question = Question { words: vec![1, 2], ..Question::default() };
    let mut model = Model::default();
    {
        let database = Database::open(&path, &options()).unwrap();
        let words = |id: i64| Words { text: Some(vec![(id % 5) as u8]), title: None };
        let records: Vec<(i64, Words)> = (0..30).map(|id| (id, words(id))).collect();
        upsert(&named(&database), &mut model, &records);
        named(&database).compact().unwrap();
        named(&database).optimize().unwrap();
        check(&named(&database), &model, &question, &[5]);
    }
    let [index] = &index_files(&path)[..] else { panic!("one segment") };
    let right = fs::read(index).unwrap();
    let mut of_another_segment = right.clone();
    of_another_segment[24] ^= 1;
    let mut of_another_release = right.clone();
    of_another_release[8] += 1;
    for mut bytes in [of_another_segment, of_another_release] {
        let checksum = crc32fast::hash(&bytes[..508]);
        bytes[508..512].copy_from_slice(&checksum.to_le_bytes());
        fs::write(index, &bytes).unwrap();
        assert!(verify(&path).unwrap().is_sound(), "it is behind, not damaged");
        let reader = Database::open_read_only(&path).unwrap();
        check(&reader.collection("c", None).unwrap(), &model, &question, &[5]);
        assert_eq!(fs::read(index).unwrap(), bytes, "a reader writes nothing");
        let database = Database::open(&path, &options()).unwrap();
        check(&named(&database), &model, &question, &[5]);
        assert_eq!(fs::read(index).unwrap(), right);
    }
}
