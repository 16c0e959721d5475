//! Files or texts into a collection: what is new is embedded, what is known is left alone.
//!
//! The work goes in waves, each from files to one committed transaction, so that memory is bounded
//! and an interruption loses one wave at most. A wave holds its texts, their vectors, and the
//! transaction made of both: with the default limits a few megabytes. A document is never
//! divided between transactions, so a file that is larger than a wave is a wave of its own and
//! takes, at its peak, about four times its text and four times its vectors.

mod embedder;
mod plan;
mod prepare;
mod report;
mod transaction;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use database::{Collection, Transaction};
use rayon::prelude::*;
use serde_json::{Map, Value};

pub use embedder::{Embedder, ModelFailure};
pub use report::{Progress, Report, Stage, StageSeconds};

use crate::{ChunkError, ChunkOptions, ParseOptions, Skipped, WalkError, WalkOptions};
use plan::{Item, plan, waves};
use prepare::{Outcome, Prepared, Settings, prepare};
use report::timed;

/// What to ingest.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// A folder, with everything in it, or a file.
    Path(PathBuf),
    /// Named texts. The name's extension, if it has one that we know, tells the format.
    Texts(Vec<(String, String)>),
}

/// How to ingest.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Which files to take.
    pub walk: WalkOptions,
    /// How to read them.
    pub parse: ParseOptions,
    /// How to cut them; by default to the length that the model takes in.
    pub chunk: Option<ChunkOptions>,
    /// Metadata for every record. Its keys win over the record's own `title`, `format`, `section`.
    pub metadata: Map<String, Value>,
    /// Comes before every source's name, for example to tell two folders apart in a collection.
    pub source_prefix: String,
    /// Delete the sources whose names begin with `source_prefix` and whose files are no longer in
    /// the folder. For a folder only. Whatever else is in the collection, texts and the files of
    /// other folders, needs names that begin otherwise.
    pub prune: bool,
    /// A wave takes at most this many files.
    pub wave_files: usize,
    /// A wave takes at most this many bytes of files, unless a single file has more. It is what an
    /// interruption can lose: the default is 10 to 40 seconds of a small model on two cores.
    pub wave_bytes: u64,
}

impl Default for IngestOptions {
    fn default() -> IngestOptions {
        IngestOptions {
            walk: WalkOptions::default(),
            parse: ParseOptions::default(),
            chunk: None,
            metadata: Map::new(),
            source_prefix: String::new(),
            prune: false,
            wave_files: 256,
            wave_bytes: 256 << 10,
        }
    }
}

/// Why an ingestion stopped. What was written until then stays.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Options that make no sense; the message says which.
    #[error("{0}")]
    Options(String),
    /// The collection was made for other vectors than the model's.
    #[error("{0}")]
    WrongModel(String),
    /// The folder or a pattern.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// Sizes of chunks that make no sense, or the tokenizer failed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The collection could not be read or written.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The model failed.
    #[error("the model failed: {0}")]
    Model(#[source] ModelFailure),
}

/// Ingests files or texts into a collection. A source that the collection already holds unchanged
/// (same bytes, same options, same model) is left alone; a changed one has all its records
/// replaced at once. Records are named `source#0`, `source#1` ...
///
/// A file that cannot be read, decoded or parsed is in [`Report::skipped`] and nothing else
/// happens to it. `progress` is called on this thread, often; when it breaks, the wave at work is
/// given up and the report says `interrupted`.
///
/// # Errors
/// [`IngestError`]; everything that was reported as written stays.
pub fn ingest(
    collection: &Collection,
    embedder: &dyn Embedder,
    inputs: Inputs,
    options: &IngestOptions,
    progress: &dyn Fn(Progress) -> ControlFlow<()>,
) -> Result<Report, IngestError> {
    let started = Instant::now();
    let chunk = check(collection, embedder, &inputs, options)?;
    let mut ingestion = Ingestion {
        settings: Settings { collection, embedder, options, chunk },
        progress,
        report: Report::default(),
        files_total: 0,
        files_done: 0,
    };
    ingestion.run(inputs)?;
    let mut report = ingestion.report;
    report.seconds.total = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Refuses what cannot work before anything is read; returns how to cut.
fn check(
    collection: &Collection,
    embedder: &dyn Embedder,
    inputs: &Inputs,
    options: &IngestOptions,
) -> Result<ChunkOptions, IngestError> {
    let schema = collection.schema();
    if schema.dimension != embedder.dimension() {
        return Err(IngestError::WrongModel(format!(
            "the collection {:?} holds vectors of {} numbers, the model makes {}",
            collection.name(),
            schema.dimension,
            embedder.dimension()
        )));
    }
    if let Some(model) = &schema.model
        && model.fingerprint != embedder.fingerprint()
    {
        return Err(IngestError::WrongModel(format!(
            "the collection {:?} was made with the model {:?} (fingerprint {}), not with this one \
             (fingerprint {}); their vectors cannot be compared",
            collection.name(),
            model.name,
            model.fingerprint,
            embedder.fingerprint()
        )));
    }
    if options.prune && !matches!(inputs, Inputs::Path(root) if root.is_dir()) {
        return Err(IngestError::Options("prune needs a folder to compare with".to_owned()));
    }
    let longest = embedder.content_tokens();
    let chunk = options.chunk.unwrap_or_else(|| ChunkOptions::new(longest));
    chunk.validate()?;
    if chunk.max_tokens > longest {
        return Err(IngestError::Options(format!(
            "max_tokens is {}, but the model takes in {longest} tokens at most",
            chunk.max_tokens
        )));
    }
    Ok(chunk)
}

struct Ingestion<'a> {
    settings: Settings<'a>,
    progress: &'a dyn Fn(Progress) -> ControlFlow<()>,
    report: Report,
    files_total: usize,
    files_done: usize,
}

impl Ingestion<'_> {
    fn run(&mut self, inputs: Inputs) -> Result<(), IngestError> {
        if self.tell(Stage::Walk).is_break() {
            return Ok(());
        }
        let options = self.settings.options;
        let root = match &inputs {
            Inputs::Path(root) if options.prune => Some(root.clone()),
            _ => None,
        };
        let plan = timed(&mut self.report.seconds.walk, || plan(inputs, options))?;
        self.report.files_seen = plan.items.len() + plan.skipped.len();
        self.report.files_unknown = plan.unknown;
        self.report.skipped = plan.skipped;
        self.files_total = plan.items.len();
        for wave in waves(plan.items, options) {
            if self.run_wave(wave)?.is_break() {
                return Ok(());
            }
        }
        if let Some(root) = root
            && self.prune(&root)?.is_break()
        {
            return Ok(());
        }
        // The last word of a complete ingestion; nothing is left that a break could stop.
        let _ = (self.progress)(self.progress_at(Stage::Write, 0));
        Ok(())
    }

    /// Reports how far the work is and asks whether to go on.
    fn tell(&mut self, stage: Stage) -> ControlFlow<()> {
        let go_on = (self.progress)(self.progress_at(stage, 0));
        self.report.interrupted |= go_on.is_break();
        go_on
    }

    fn progress_at(&self, stage: Stage, chunks_of_wave: usize) -> Progress {
        Progress {
            stage,
            files_done: self.files_done,
            files_total: self.files_total,
            chunks: self.report.chunks + chunks_of_wave,
            bytes: self.report.bytes,
        }
    }

    fn run_wave(&mut self, wave: Vec<Item>) -> Result<ControlFlow<()>, IngestError> {
        if self.tell(Stage::Read).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let started = Instant::now();
        let settings = &self.settings;
        let prepared: Vec<Prepared> =
            wave.into_par_iter().map(|item| prepare(item, settings)).collect::<Result<_, _>>()?;
        let work = prepared.iter().map(|prepared| prepared.seconds);
        self.report.seconds.share(started.elapsed(), work);
        let Some(transaction) = self.embed(&prepared)? else {
            return Ok(ControlFlow::Break(()));
        };
        if transaction != Transaction::default() {
            if self.tell(Stage::Write).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let collection = self.settings.collection;
            timed(&mut self.report.seconds.write, || collection.write(transaction))?;
        }
        self.account(prepared);
        Ok(ControlFlow::Continue(()))
    }

    /// Embeds the chunks of a wave and makes the transaction that writes them; `None` when the
    /// caller stops it.
    fn embed(&mut self, prepared: &[Prepared]) -> Result<Option<Transaction>, IngestError> {
        let changed = prepared.iter().filter_map(|prepared| match &prepared.outcome {
            Outcome::Changed(changed) => Some((prepared, changed)),
            _ => None,
        });
        let texts = transaction::wave_texts(changed.clone().map(|(_, changed)| &**changed));
        let mut vectors = Vec::new();
        if !texts.unique.is_empty() {
            if self.tell(Stage::Embed).is_break() {
                return Ok(None);
            }
            let mut seconds = 0.0;
            let embedded = timed(&mut seconds, || self.embed_texts(&texts.unique));
            self.report.seconds.embed += seconds;
            match embedded? {
                Some(all) => vectors = all,
                None => {
                    self.report.interrupted = true;
                    return Ok(None);
                }
            }
        }
        let dimension = self.settings.embedder.dimension();
        let mut transaction = Transaction::default();
        let mut rows = texts.index.iter();
        for (prepared, changed) in changed {
            let own = rows.by_ref().take(changed.chunks.len());
            transaction::replace(
                &mut transaction,
                &prepared.source,
                prepared.known.as_ref(),
                changed,
                own.flat_map(|row| vectors[row * dimension..][..dimension].iter().copied()),
                &self.settings.options.metadata,
            );
        }
        for prepared in prepared {
            if let (Outcome::Empty, Some(known)) = (&prepared.outcome, &prepared.known) {
                transaction::remove(&mut transaction, &prepared.source, known);
            }
        }
        Ok(Some(transaction))
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Option<Vec<f32>>, IngestError> {
        let stopped = Cell::new(false);
        let progress = |done: usize| {
            let go_on = (self.progress)(self.progress_at(Stage::Embed, done));
            stopped.set(stopped.get() || go_on.is_break());
            go_on
        };
        let embedder = self.settings.embedder;
        let vectors = embedder.embed(texts, &progress).map_err(IngestError::Model)?;
        let expected = texts.len() * embedder.dimension();
        match vectors.filter(|_| !stopped.get()) {
            Some(vectors) if vectors.len() != expected => Err(IngestError::Model(
                format!("it made {} numbers instead of {expected}", vectors.len()).into(),
            )),
            vectors => Ok(vectors),
        }
    }

    /// Counts what a wave did, once it is written.
    fn account(&mut self, prepared: Vec<Prepared>) {
        self.files_done += prepared.len();
        let report = &mut self.report;
        for Prepared { source, bytes, known, outcome, .. } in prepared {
            report.bytes += bytes;
            match outcome {
                Outcome::Unchanged => report.files_unchanged += 1,
                Outcome::Empty => {
                    let removed = if known.is_some() { "; its records were deleted" } else { "" };
                    report.skipped.push(Skipped { source, reason: format!("no text{removed}") });
                }
                Outcome::Skipped(mut reason) => {
                    if known.is_some() {
                        reason.push_str("; what was ingested of it before is kept");
                    }
                    report.skipped.push(Skipped { source, reason });
                }
                Outcome::Changed(changed) => {
                    report.files_ingested += 1;
                    report.chunks += changed.chunks.len();
                    report.tokens += changed.chunks.iter().map(|chunk| chunk.tokens).sum::<usize>();
                    let warnings = changed.document.warnings().iter();
                    report.warnings.extend(warnings.map(|warning| format!("{source}: {warning}")));
                }
            }
        }
    }

    /// Deletes the sources under the prefix of which the folder has no file any more. A file that
    /// is there but was left out, or that cannot be seen for want of permission, is not gone.
    fn prune(&mut self, root: &Path) -> Result<ControlFlow<()>, IngestError> {
        if self.tell(Stage::Write).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let collection = self.settings.collection;
        let mut transaction = Transaction::default();
        for (source, known) in collection.documents()? {
            let Some(below) = source.strip_prefix(&self.settings.options.source_prefix) else {
                continue;
            };
            let found = std::fs::symlink_metadata(root.join(below));
            if found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
                transaction::remove(&mut transaction, &source, &known);
            }
        }
        let removed = transaction.documents.len();
        if removed > 0 {
            timed(&mut self.report.seconds.write, || collection.write(transaction))?;
            self.report.files_removed = removed;
        }
        Ok(ControlFlow::Continue(()))
    }
}
