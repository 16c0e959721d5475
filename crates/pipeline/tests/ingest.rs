//! Ingesting real folders into a real database, with a model that only hashes.

mod fake;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use database::{Collection, Database, Metric, Model, Options, Schema};
use fake::HashingEmbedder;
use pipeline::{ChunkOptions, IngestError, IngestOptions, Inputs, Progress, Report, Stage, ingest};
use serde_json::{Value, json};

/// A folder of files and a collection, both gone at the end.
struct World {
    folder: tempfile::TempDir,
    model: HashingEmbedder,
    collection: Collection,
    _database: Database,
}

impl World {
    fn new(files: &[(&str, &str)]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(folder.path().join("notes.rac"), &Options::default()).unwrap();
        let schema = Schema::new(HashingEmbedder::DIMENSION, Metric::Cosine);
        let collection = database.collection("notes", Some(schema)).unwrap();
        let world =
            World { folder, model: HashingEmbedder::default(), collection, _database: database };
        fs::create_dir(world.root()).unwrap();
        for (name, content) in files {
            world.write(name, content);
        }
        world
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("docs")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn ingest(&self) -> Report {
        self.ingest_with(&IngestOptions::default())
    }

    fn ingest_with(&self, options: &IngestOptions) -> Report {
        self.try_ingest(Inputs::Path(self.root()), options).unwrap()
    }

    fn try_ingest(&self, inputs: Inputs, options: &IngestOptions) -> Result<Report, IngestError> {
        let go_on = |_: Progress| ControlFlow::Continue(());
        ingest(&self.collection, &self.model, inputs, options, &go_on)
    }

    /// All records, by id: text, place and metadata. Also checks that vectors belong to texts.
    fn records(&self) -> BTreeMap<String, (String, String, Value)> {
        let page = self.collection.scan(None, 10_000, None).unwrap();
        let records = page.records.into_iter().map(|record| {
            let text = record.text.unwrap();
            assert_eq!(record.vector, HashingEmbedder::vector(&text));
            let place = record.place.unwrap();
            let place = format!("{}:{} {}-{}", place.source, place.line, place.start, place.end);
            let metadata = record.metadata.unwrap().as_ref().clone();
            (record.id.to_string(), (text, place, metadata))
        });
        records.collect()
    }

    fn ids(&self) -> Vec<String> {
        self.records().into_keys().collect()
    }

    fn sources(&self) -> Vec<String> {
        let mut sources: Vec<String> =
            self.collection.documents().unwrap().into_iter().map(|(source, _)| source).collect();
        sources.sort();
        sources
    }
}

fn small_chunks() -> IngestOptions {
    let chunk = ChunkOptions { max_tokens: 8, overlap_tokens: 0, min_tokens: 0 };
    IngestOptions { chunk: Some(chunk), ..IngestOptions::default() }
}

#[test]
fn records_carry_text_place_and_metadata() {
    let world = World::new(&[
        ("guide/keys.md", "---\ntitle: Keys\n---\n\n# Rotate\n\nTurn the key.\n"),
        ("page.html", "<title>Pâge</title>\n<p>Hello\n<p>there"),
        ("table.csv", "name,age\nAnn,30\nBob,31\n"),
    ]);
    let metadata = json!({"lang": "en", "format": "mine"}).as_object().unwrap().clone();
    let report = world.ingest_with(&IngestOptions { metadata, ..IngestOptions::default() });
    assert_eq!((report.files_seen, report.files_ingested), (3, 3));
    assert_eq!(report.skipped, []);
    let records = world.records();
    let (text, place, metadata) = &records["guide/keys.md#0"];
    assert_eq!(text, "---\ntitle: Keys\n---\n\n# Rotate\n\nTurn the key.");
    assert_eq!(place, "guide/keys.md:1 0-44");
    let expected = json!({"lang": "en", "format": "mine", "title": "Keys", "section": "Rotate"});
    assert_eq!(metadata, &expected);
    assert_eq!(records["page.html#0"].0, "Hello\n\nthere");
    assert_eq!(records["page.html#0"].1, "page.html:2 0-12");
    assert_eq!(records["page.html#0"].2["title"], "Pâge");
    assert_eq!(records["table.csv#1"].0, "name: Bob\nage: 31");
    assert_eq!(records["table.csv#1"].1, "table.csv:3 19-36");
    assert_eq!(report.chunks, records.len());
    assert_eq!(report.tokens, records.values().map(|(text, ..)| fake::tokens(text)).sum::<usize>());
    let sizes = [45u64, 38, 23];
    assert_eq!(report.bytes, sizes.iter().sum::<u64>());
}

#[test]
fn ingesting_again_embeds_nothing_and_writes_nothing() {
    let world = World::new(&[("a.md", "Alpha."), ("b.txt", "Beta."), ("c.html", "<p>Gamma")]);
    world.ingest();
    let (embedded, records) = (world.model.embedded(), world.records());
    let bytes = world.collection.stats().unwrap().file_bytes;
    assert_eq!(embedded, 3);
    let report = world.ingest();
    assert_eq!((report.files_ingested, report.files_unchanged, report.chunks), (0, 3, 0));
    assert_eq!(world.model.embedded(), embedded);
    assert_eq!(world.collection.stats().unwrap().file_bytes, bytes);
    assert_eq!(world.records(), records);
}

#[test]
fn a_changed_file_has_all_its_records_replaced() {
    let long = "One two three four five six. ".repeat(5);
    let world = World::new(&[("a.md", &long), ("b.md", "Stays.")]);
    world.ingest_with(&small_chunks());
    assert_eq!(world.ids(), ["a.md#0", "a.md#1", "a.md#2", "a.md#3", "a.md#4", "b.md#0"]);
    world.write("a.md", "Now it is. Short.");
    let report = world.ingest_with(&small_chunks());
    assert_eq!((report.files_ingested, report.files_unchanged), (1, 1));
    assert_eq!(world.ids(), ["a.md#0", "b.md#0"]);
    assert_eq!(world.records()["a.md#0"].0, "Now it is. Short.");
    world.write("a.md", &long);
    world.ingest_with(&small_chunks());
    assert_eq!(world.ids().len(), 6);
}

#[test]
fn other_options_make_everything_new() {
    let world = World::new(&[("a.md", "One two three four. Five six seven eight nine.")]);
    world.ingest();
    assert_eq!(world.ingest_with(&small_chunks()).files_ingested, 1);
    let mut tagged = small_chunks();
    tagged.metadata.insert("lang".to_owned(), "en".into());
    assert_eq!(world.ingest_with(&tagged).files_ingested, 1);
    assert_eq!(world.records()["a.md#1"].2["lang"], "en");
    assert_eq!(world.ingest_with(&tagged).files_unchanged, 1);
}

#[test]
fn equal_chunks_are_embedded_once() {
    let world = World::new(&[("a.md", "Same words."), ("b.md", "Same words."), ("c.md", "Other.")]);
    let report = world.ingest();
    assert_eq!(report.chunks, 3);
    assert_eq!(world.model.embedded(), 2);
    assert_eq!(world.records().len(), 3);
}

#[test]
fn what_cannot_be_read_is_skipped_with_its_reason() {
    let world = World::new(&[("good.md", "Good."), ("empty.md", " \n"), ("void.txt", "")]);
    world.write("latin.txt", b"caf\xe9");
    world.write("binary.txt", b"a\0b");
    world.write("bad.jsonl", "{\"a\": 1}\n{oops\n");
    world.write("large.md", "x".repeat(2000));
    let mut options = IngestOptions::default();
    options.walk.max_file_bytes = 1000;
    let report = world.ingest_with(&options);
    let mut reasons: Vec<(&str, &str)> = report
        .skipped
        .iter()
        .map(|skipped| (skipped.source.as_str(), skipped.reason.as_str()))
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            ("binary.txt", "binary: a zero at byte 1"),
            ("empty.md", "no text"),
            ("large.md", "2000 bytes, more than the limit of 1000"),
            ("latin.txt", "not UTF-8 at byte 3; name the file's encoding if it has another"),
            ("void.txt", "no text"),
        ]
    );
    assert_eq!(report.warnings.len(), 1);
    assert!(report.warnings[0].starts_with("bad.jsonl: line 2: "), "{:?}", report.warnings);
    assert_eq!((report.files_seen, report.files_ingested), (7, 2));
    options.parse.encoding = Some("latin1".to_owned());
    world.ingest_with(&options);
    assert_eq!(world.records()["latin.txt#0"].0, "café");
}

#[test]
fn a_file_that_turned_bad_keeps_its_records_and_one_that_is_empty_loses_them() {
    let world = World::new(&[("a.md", "Alpha."), ("b.md", "Beta.")]);
    world.ingest();
    world.write("a.md", b"\xff\xff");
    world.write("b.md", "\n");
    let report = world.ingest();
    assert_eq!(world.ids(), ["a.md#0"]);
    assert_eq!(world.sources(), ["a.md"]);
    assert!(report.skipped[0].reason.ends_with("; what was ingested of it before is kept"));
    assert_eq!(report.skipped[1].reason, "no text; its records were deleted");
}

/// Root may read everything, so as root the file is simply ingested.
#[cfg(unix)]
#[test]
fn an_unreadable_file_is_skipped() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new(&[("closed.md", "Secret."), ("open.md", "Open.")]);
    let closed = world.root().join("closed.md");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let readable = fs::read(&closed).is_ok();
    let report = world.ingest();
    assert_eq!(report.skipped.len(), usize::from(!readable));
    assert_eq!(report.files_ingested, 1 + usize::from(readable));
}

#[test]
fn a_panic_concerns_one_file() {
    let world = World::new(&[("a.md", "Fine."), ("b.md", fake::PANICS), ("c.md", "Fine too.")]);
    let report = world.ingest();
    assert_eq!(world.ids(), ["a.md#0", "c.md#0"]);
    assert_eq!(report.skipped[0].source, "b.md");
    assert_eq!(report.skipped[0].reason, "reading it panicked: the tokenizer met its word");
}

#[test]
fn errors_of_the_model_end_the_ingestion_and_what_was_written_stays() {
    let world = World::new(&[("a.md", "Fine."), ("b.md", fake::FAILS), ("c.md", "Never.")]);
    let options = IngestOptions { wave_files: 1, ..IngestOptions::default() };
    let error = world.try_ingest(Inputs::Path(world.root()), &options).unwrap_err();
    assert!(matches!(error, IngestError::Model(_)), "{error}");
    assert_eq!(world.ids(), ["a.md#0"]);
}

#[test]
fn prune_deletes_what_is_gone_and_nothing_else() {
    let world = World::new(&[("a.md", "Alpha."), ("b/c.md", "Gamma."), ("d.md", "Delta.")]);
    let prefixed = |prune| IngestOptions {
        source_prefix: "docs/".to_owned(),
        prune,
        ..IngestOptions::default()
    };
    world.ingest_with(&prefixed(false));
    let other = vec![("elsewhere".to_owned(), "Not a file.".to_owned())];
    world.try_ingest(Inputs::Texts(other), &IngestOptions::default()).unwrap();
    fs::remove_dir_all(world.root().join("b")).unwrap();
    let report = world.ingest_with(&prefixed(false));
    assert_eq!((report.files_removed, world.ids().len()), (0, 4));
    let mut narrow = prefixed(true);
    narrow.walk.include.push("a.md".to_owned());
    let report = world.ingest_with(&narrow);
    assert_eq!((report.files_removed, report.files_unchanged), (1, 1));
    assert_eq!(world.ids(), ["docs/a.md#0", "docs/d.md#0", "elsewhere#0"]);
    let file = Inputs::Path(world.root().join("a.md"));
    assert!(matches!(world.try_ingest(file, &prefixed(true)), Err(IngestError::Options(_))));
}

#[test]
fn texts_are_ingested_under_their_names() {
    let world = World::new(&[]);
    let texts = |words: &str| {
        let named = [("note", words), ("row.jsonl", "{\"a\": 1}")];
        Inputs::Texts(named.map(|(name, text)| (name.to_owned(), text.to_owned())).into())
    };
    let report = world.try_ingest(texts("Hello."), &IngestOptions::default()).unwrap();
    assert_eq!((report.files_seen, report.files_ingested), (2, 2));
    assert_eq!(world.records()["row.jsonl#0"].0, "a: 1");
    let report = world.try_ingest(texts("Changed."), &IngestOptions::default()).unwrap();
    assert_eq!((report.files_ingested, report.files_unchanged), (1, 1));
    let twice = vec![("a".to_owned(), String::new()), ("a".to_owned(), String::new())];
    let error = world.try_ingest(Inputs::Texts(twice), &IngestOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "two texts are named \"a\"");
}

#[test]
fn an_interruption_at_any_moment_keeps_what_was_written_and_the_next_run_goes_on() {
    let files: Vec<(String, String)> = (0..7)
        .map(|number| (format!("{number}.md"), format!("Number {number}. ").repeat(3)))
        .collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let options = IngestOptions { wave_files: 2, ..small_chunks() };
    let whole = World::new(&files);
    whole.ingest_with(&options);
    let mut moments = 0;
    loop {
        let world = World::new(&files);
        let calls = Cell::new(0);
        let stop = |_: Progress| {
            calls.set(calls.get() + 1);
            if calls.get() > moments { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let inputs = || Inputs::Path(world.root());
        let first = ingest(&world.collection, &world.model, inputs(), &options, &stop).unwrap();
        assert_eq!(first.files_ingested, world.sources().len());
        assert_eq!(first.chunks, world.ids().len());
        let second = world.ingest_with(&options);
        assert_eq!(first.files_ingested + second.files_ingested, 7);
        assert_eq!(second.files_unchanged, first.files_ingested);
        assert_eq!(world.records(), whole.records());
        if !first.interrupted {
            break;
        }
        moments += 1;
    }
    assert!(moments > 10, "{moments}");
}

#[test]
fn progress_only_grows_and_ends_complete() {
    let world = World::new(&[("a.md", "Alpha."), ("b.md", "Beta."), ("c.md", "Gamma.")]);
    let seen = std::cell::RefCell::new(Vec::new());
    let note = |progress: Progress| {
        seen.borrow_mut().push(progress);
        ControlFlow::Continue(())
    };
    let options = IngestOptions { wave_files: 1, ..IngestOptions::default() };
    let inputs = Inputs::Path(world.root());
    let report = ingest(&world.collection, &world.model, inputs, &options, &note).unwrap();
    let seen = seen.into_inner();
    assert_eq!(seen[0].stage, Stage::Walk);
    let grows = |of: fn(&Progress) -> u64| seen.windows(2).all(|two| of(&two[0]) <= of(&two[1]));
    assert!(grows(|progress| progress.files_done as u64));
    assert!(grows(|progress| progress.chunks as u64));
    assert!(grows(|progress| progress.bytes));
    assert_eq!(seen.iter().filter(|progress| progress.stage == Stage::Write).count(), 4);
    let last = seen.last().unwrap();
    assert_eq!((last.files_done, last.files_total), (3, 3));
    assert_eq!(last.chunks, report.chunks);
    let seconds = report.seconds;
    let stages = seconds.walk + seconds.read + seconds.parse + seconds.chunk;
    let stages = stages + seconds.embed + seconds.write;
    assert!(stages > 0.0 && stages <= seconds.total, "{seconds:?}");
}

#[test]
fn a_collection_of_another_model_is_refused() {
    let world = World::new(&[("a.md", "Alpha.")]);
    let database = Database::open(world.folder.path().join("b.rac"), &Options::default()).unwrap();
    let model = Model { name: "other".to_owned(), fingerprint: "ffff".to_owned() };
    let same_size = Schema { model: Some(model), ..world.collection.schema().clone() };
    for schema in [Schema::new(7, Metric::Dot), same_size] {
        let name = format!("of-{}", schema.dimension);
        let collection = database.collection(&name, Some(schema)).unwrap();
        let go_on = |_: Progress| ControlFlow::Continue(());
        let inputs = Inputs::Path(world.root());
        let options = IngestOptions::default();
        let error = ingest(&collection, &world.model, inputs, &options, &go_on).unwrap_err();
        assert!(matches!(error, IngestError::WrongModel(_)), "{error}");
    }
}

#[test]
fn nonsense_is_refused_before_anything_is_read() {
    let world = World::new(&[("a.md", "Alpha.")]);
    let too_long = ChunkOptions::new(fake::CONTENT_TOKENS + 1);
    let options = IngestOptions { chunk: Some(too_long), ..IngestOptions::default() };
    let inputs = || Inputs::Path(world.root());
    assert!(matches!(world.try_ingest(inputs(), &options), Err(IngestError::Options(_))));
    let none = Inputs::Path(Path::new("/nowhere/at/all").to_owned());
    let error = world.try_ingest(none, &IngestOptions::default()).unwrap_err();
    assert!(matches!(error, IngestError::Walk(_)), "{error}");
    assert!(world.ids().is_empty());
}

#[test]
fn a_file_larger_than_a_wave_is_written_at_once() {
    let sentence = "One two three four five six. ";
    let world = World::new(&[("large.txt", &sentence.repeat(500)), ("small.txt", "Small.")]);
    let options = IngestOptions { wave_bytes: 64, ..small_chunks() };
    let report = world.ingest_with(&options);
    assert_eq!(report.chunks, 501);
    assert_eq!(world.collection.document("large.txt").unwrap().unwrap().records, 500);
    assert_eq!(world.model.embedded(), 2);
}
