//! What an ingestion tells while it runs and when it is done.

use std::time::{Duration, Instant};

use crate::Skipped;

/// What an ingestion is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking for files.
    Walk,
    /// Reading, parsing and cutting files.
    Read,
    /// Running the model.
    Embed,
    /// Writing to the collection.
    Write,
}

impl Stage {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Walk => "walk",
            Stage::Read => "read",
            Stage::Embed => "embed",
            Stage::Write => "write",
        }
    }
}

/// How far an ingestion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing now.
    pub stage: Stage,
    /// Files that are done with: written, unchanged or skipped.
    pub files_done: usize,
    /// Files to be done; 0 while they are being looked for.
    pub files_total: usize,
    /// Chunks embedded so far.
    pub chunks: usize,
    /// Bytes of the files that are done with.
    pub bytes: u64,
}

/// Wall-clock seconds a stage. Reading, parsing and chunking share the cores; their common time is
/// divided among them by the work that each took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageSeconds {
    /// Looking for files.
    pub walk: f64,
    /// Reading and hashing them.
    pub read: f64,
    /// From bytes to documents.
    pub parse: f64,
    /// From documents to chunks, tokenization included.
    pub chunk: f64,
    /// From chunks to vectors.
    pub embed: f64,
    /// Writing to the collection.
    pub write: f64,
    /// From beginning to end.
    pub total: f64,
}

/// What an ingestion did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Files (or texts) of a known format that were found or given, skipped ones included.
    pub files_seen: usize,
    /// Files that are in the collection now and were not before, or not as they are.
    pub files_ingested: usize,
    /// Files that the collection already held as they are.
    pub files_unchanged: usize,
    /// Sources that were deleted because their files are gone.
    pub files_removed: usize,
    /// Files passed over because their names do not tell a format we know.
    pub files_unknown: usize,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
    /// What was wrong in files that were ingested nevertheless: `source: warning`.
    pub warnings: Vec<String>,
    /// Chunks written.
    pub chunks: usize,
    /// Tokens in them, without special tokens.
    pub tokens: usize,
    /// Bytes of the files that were read, whether changed or not.
    pub bytes: u64,
    /// Where the time went.
    pub seconds: StageSeconds,
    /// Whether the caller stopped it. What was written stays; the same call goes on from there.
    pub interrupted: bool,
}

/// Runs `work` and adds what it takes to `seconds`.
pub(super) fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    *seconds += started.elapsed().as_secs_f64();
    result
}

/// The work that one file took, on whatever core.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FileSeconds {
    pub(super) read: f64,
    pub(super) parse: f64,
    pub(super) chunk: f64,
}

impl StageSeconds {
    /// Divides the time that files took together among the stages.
    pub(super) fn share(&mut self, wall: Duration, files: impl Iterator<Item = FileSeconds>) {
        let work = files.fold(FileSeconds::default(), |sum, file| FileSeconds {
            read: sum.read + file.read,
            parse: sum.parse + file.parse,
            chunk: sum.chunk + file.chunk,
        });
        let all = work.read + work.parse + work.chunk;
        if all > 0.0 {
            let scale = wall.as_secs_f64() / all;
            self.read += work.read * scale;
            self.parse += work.parse * scale;
            self.chunk += work.chunk * scale;
        }
    }
}
