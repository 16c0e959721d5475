//! One source up to its chunks: read, recognise, parse, cut. Runs on any core.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use database::Collection;

use super::plan::{Item, Origin};
use super::report::{FileSeconds, timed};
use super::{Embedder, IngestError, IngestOptions};
use crate::{
    Chunk, ChunkError, ChunkOptions, Document, Format, PARSER_VERSION, ParseError, chunk, parse,
    parse_text,
};

/// What all sources of an ingestion have in common.
pub(super) struct Settings<'a> {
    pub(super) collection: &'a Collection,
    pub(super) embedder: &'a dyn Embedder,
    pub(super) options: &'a IngestOptions,
    pub(super) chunk: ChunkOptions,
}

/// What became of a source.
pub(super) struct Prepared {
    pub(super) source: String,
    pub(super) bytes: u64,
    pub(super) seconds: FileSeconds,
    /// What the collection knows of the source from before.
    pub(super) known: Option<database::Document>,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Unchanged,
    /// It cannot be read as text; what the collection has of it stays.
    Skipped(String),
    /// It holds no text; what the collection has of it is out of date.
    Empty,
    Changed(Box<Changed>),
}

pub(super) struct Changed {
    pub(super) fingerprint: [u8; 32],
    pub(super) document: Document,
    pub(super) chunks: Vec<Chunk>,
}

/// Prepares a source. A panic on the way concerns this source alone and makes it skipped.
pub(super) fn prepare(item: Item, settings: &Settings<'_>) -> Result<Prepared, IngestError> {
    let known = settings.collection.document(&item.source)?;
    let mut prepared = Prepared {
        source: item.source,
        bytes: 0,
        seconds: FileSeconds::default(),
        known,
        outcome: Outcome::Unchanged,
    };
    let work = || outcome(item.origin, item.format, settings, &mut prepared);
    prepared.outcome = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(Obstacle::Fatal(error))) => return Err(error),
        Ok(Err(Obstacle::ThisSource(reason))) => Outcome::Skipped(reason),
        Err(panic) => Outcome::Skipped(format!("reading it panicked: {}", panic_message(&*panic))),
    };
    Ok(prepared)
}

/// Why a source does not become chunks.
enum Obstacle {
    ThisSource(String),
    Fatal(IngestError),
}

impl From<ParseError> for Obstacle {
    fn from(error: ParseError) -> Obstacle {
        Obstacle::ThisSource(error.to_string())
    }
}

impl From<ChunkError> for Obstacle {
    fn from(error: ChunkError) -> Obstacle {
        Obstacle::Fatal(error.into())
    }
}

fn outcome(
    origin: Origin,
    format: Format,
    settings: &Settings<'_>,
    prepared: &mut Prepared,
) -> Result<Outcome, Obstacle> {
    let Prepared { seconds, known, bytes: size, .. } = prepared;
    let limit = settings.options.walk.max_file_bytes;
    let (bytes, text, fingerprint) = timed(&mut seconds.read, || {
        let (bytes, text) = match origin {
            Origin::File(path) => (read(&path, limit).map_err(Obstacle::ThisSource)?, None),
            Origin::Text(text) => (Vec::new(), Some(text)),
        };
        let content = text.as_ref().map_or(bytes.as_slice(), |text| text.as_bytes());
        *size = content.len() as u64;
        let fingerprint = fingerprint(content, format, settings);
        Ok::<_, Obstacle>((bytes, text, fingerprint))
    })?;
    if known.as_ref().is_some_and(|known| known.fingerprint == fingerprint) {
        return Ok(Outcome::Unchanged);
    }
    let document = timed(&mut seconds.parse, || match text {
        Some(text) => parse_text(text, format),
        None => parse(bytes, format, &settings.options.parse),
    })?;
    let chunks = timed(&mut seconds.chunk, || chunk(&document, settings.embedder, settings.chunk))?;
    if chunks.is_empty() {
        return Ok(Outcome::Empty);
    }
    Ok(Outcome::Changed(Box::new(Changed { fingerprint, document, chunks })))
}

/// Reads a file that may have grown since it was found.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("more than the limit of {limit} bytes"));
    }
    Ok(bytes)
}

/// A hash of the content and of everything else that its records depend on.
fn fingerprint(content: &[u8], format: Format, settings: &Settings<'_>) -> [u8; 32] {
    let ChunkOptions { max_tokens, overlap_tokens, min_tokens } = settings.chunk;
    let dependencies = serde_json::json!([
        PARSER_VERSION,
        format.name(),
        settings.options.parse.encoding,
        [max_tokens, overlap_tokens, min_tokens],
        settings.embedder.fingerprint(),
        settings.options.metadata,
    ])
    .to_string();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(dependencies.len() as u64).to_le_bytes());
    hasher.update(dependencies.as_bytes());
    hasher.update(content);
    hasher.finalize().into()
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
