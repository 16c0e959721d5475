//! The real encoder in the pipeline, with the tiny model that the repository carries.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use database::{Database, Metric, Options, Schema, SearchOptions};
use inference::scheduler::{MAX_WAITING_CALLS, Scheduler};
use inference::{EmbeddingService, TextModel};
use pipeline::{
    ChunkOptions, Format, IngestOptions, Inputs, Progress, Stage, chunk, ingest, parse_text,
};

fn encoder() -> TextModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny-bert");
    TextModel::load(&folder, inference::Precision::F32).unwrap()
}

/// Words, punctuation, scripts, and everything that a subword tokenizer treats in its own way.
fn varied_text() -> String {
    let words = [
        "the",
        "cat",
        "unbelievable",
        "x_y",
        "don't",
        "naïve",
        "漢字かな",
        "😀😀",
        "3.14159",
        "a\u{85}b",
        "http://a.b/c?d=e&f",
        "e\u{301}e\u{301}",
        "[SEP]",
        "\u{a0}",
        "ーカタカナabc",
        "ſtrange",
        "--",
        "ﬁne",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    ];
    let separators = [" ", " ", " ", "\n", ". ", "", "\n\n", "\t", "\u{3000}"];
    (0..4000usize)
        .map(|n| format!("{}{}", words[n * 7 % words.len()], separators[n * 5 % separators.len()]))
        .collect()
}

#[test]
fn no_chunk_is_longer_than_the_model_takes_in() {
    let encoder = encoder();
    for format in [Format::Markdown, Format::Text, Format::Code] {
        let document = parse_text(varied_text(), format).unwrap();
        for max_tokens in [1, 2, 3, 7, encoder.content_tokens()] {
            let chunks = chunk(&document, &encoder, ChunkOptions::new(max_tokens)).unwrap();
            for chunk in chunks {
                let text = &document.text()[chunk.range];
                let tokens = encoder.token_offsets(text).unwrap().len();
                assert_eq!(tokens, chunk.tokens, "{text:?}");
                assert!(tokens <= max_tokens || text.chars().count() == 1, "{text:?}");
            }
        }
    }
}

#[test]
fn what_is_ingested_is_found_by_its_own_words() {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let scheduler = Scheduler::new(Arc::new(encoder()), pool, MAX_WAITING_CALLS);
    let embedder = EmbeddingService::new(scheduler, None);
    let encoder = embedder.model();
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("a.rac"), &Options::default()).unwrap();
    let schema = Schema::new(encoder.dimension(), Metric::Cosine);
    let notes = database.collection("notes", Some(schema)).unwrap();
    let texts = ["the cat sat on the mat", "a dog ran in the park", "we eat rice"];
    let named = texts.iter().enumerate().map(|(n, text)| (n.to_string(), (*text).to_owned()));
    let inputs = Inputs::Texts(named.collect());
    let options = IngestOptions::default();

    let stop = |progress: Progress| match progress.stage {
        Stage::Embed => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let report = ingest(&notes, &embedder, inputs.clone(), &options, &stop).unwrap();
    assert!(report.interrupted && notes.is_empty().unwrap());

    let go_on = |_: Progress| ControlFlow::Continue(());
    let report = ingest(&notes, &embedder, inputs, &options, &go_on).unwrap();
    assert_eq!((report.files_ingested, report.chunks), (3, 3));
    for (n, text) in texts.iter().enumerate() {
        let query = embedder.embed(vec![text.to_string()], &|_| ControlFlow::Continue(())).unwrap();
        let limit = SearchOptions::new(1);
        let hit = notes.search(&query, &limit).unwrap().remove(0);
        assert_eq!(hit.id, format!("{n}#0").into());
        assert_eq!(hit.text.as_deref(), Some(*text));
        assert!(hit.score > 0.9999);
    }
}
