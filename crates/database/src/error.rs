//! What can go wrong, with words for the person who reads it.

use std::io;
use std::path::{Path, PathBuf};

use crate::filter::FilterError;
use crate::schema::Schema;

/// What every fallible call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. Nothing is written by a call that returns one of these, except where
/// [`Error::Io`] and [`Error::Poisoned`] say that the fate of a write is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database, or this handle to it, was closed.
    #[error("the database is closed; open it again")]
    Closed,

    /// Bytes that had reached the medium read back differently.
    #[error(
        "{} is damaged at byte {offset}: {reason}; nothing was changed, restore the file from a backup, or see what `rac repair` can save",
        .path.display()
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },

    /// A vector in a field, of the wrong length.
    #[error("field '{field}', row {row}: expected vectors of {expected} numbers, found {found}")]
    FieldDimension {
        /// The field.
        field: String,
        /// The row of the batch, from 0.
        row: usize,
        /// The field's dimension.
        expected: usize,
        /// The length that was given.
        found: usize,
    },

    /// A vector in a field, with NaN or an infinity.
    #[error("field '{field}', row {row}: the vector holds NaN or an infinity")]
    FieldNonFinite {
        /// The field.
        field: String,
        /// The row of the batch, from 0.
        row: usize,
    },

    /// A vector of the wrong length.
    #[error("expected vectors of {expected} numbers, found {found}")]
    Dimension {
        /// The collection's dimension (times the number of rows, for a whole batch).
        expected: usize,
        /// The length that was given.
        found: usize,
    },

    /// A child process inherited this handle.
    #[error(
        "process {opener} opened this database, and a fork does not take it along; open it in this \
         process, read-only while the other one writes"
    )]
    Forked {
        /// The process that opened it.
        opener: u32,
    },

    /// A filter that means nothing.
    #[error(transparent)]
    Filter(#[from] FilterError),

    /// Another writer has the database open.
    #[error(
        "{} is open in {}; one writer at a time, close that one first",
        .path.display(),
        .pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The database.
        path: PathBuf,
        /// The process that holds it, where it left its number.
        pid: Option<u32>,
    },

    /// The operating system refused something.
    #[error("could not {doing} {}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted, as a verb: "write to", "open".
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },

    /// Somebody asked a long operation to stop.
    #[error("{doing} was interrupted; nothing was changed")]
    Interrupted {
        /// What it was doing: "writing notes.rac/...".
        doing: String,
    },

    /// A write to what can only be read.
    #[error("{what} can only be read")]
    ReadOnly {
        /// What it is: "a snapshot".
        what: &'static str,
    },

    /// There is no collection of this name.
    #[error("there is no collection named '{name}'")]
    NotFound {
        /// The name that was asked for.
        name: String,
    },

    /// Written by a newer release.
    #[error(
        "{} has format version {found}, this build reads up to version {supported}; upgrade rust_ai_core",
        .path.display()
    )]
    Version {
        /// The file that carries the version.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },

    /// A collection name that is not allowed.
    #[error(
        "'{name}' cannot name a collection: use 1 to 128 of A-Z a-z 0-9 _ . - and do not start with a dot"
    )]
    InvalidName {
        /// The name that was given.
        name: String,
    },

    /// An argument that makes no sense.
    #[error("{0}")]
    InvalidArgument(String),

    /// A vector with NaN or an infinity.
    #[error("row {row}: the vector holds NaN or an infinity")]
    NonFinite {
        /// The row of the batch, from 0.
        row: usize,
    },

    /// An earlier write failed in a way that leaves the log's end unknown.
    #[error(
        "collection '{name}' takes no more writes: {reason}; close the database and open it again"
    )]
    Poisoned {
        /// The collection.
        name: String,
        /// The failure that caused it.
        reason: String,
    },

    /// The collection exists and is something else.
    #[error("collection '{name}' is {existing}, not {requested}")]
    SchemaMismatch {
        /// The collection.
        name: String,
        /// What it was created with.
        existing: Box<Schema>,
        /// What was asked for.
        requested: Box<Schema>,
    },

    /// The path holds something else, which is left alone.
    #[error("{} is not a rust_ai_core database: {reason}", .path.display())]
    NotADatabase {
        /// The path that was given.
        path: PathBuf,
        /// What was found there.
        reason: &'static str,
    },
}

impl Error {
    /// Damage in a file.
    pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt { path: path.to_owned(), offset, reason: reason.into() }
    }

    /// Whether a file was not there.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Turns an operating-system error into ours: `map_err(Error::io(path, "open"))`.
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { path, doing, source }
    }
}
