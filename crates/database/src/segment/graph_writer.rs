//! Building a graph into a segment.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use parking_lot::Mutex;

use super::SegmentSource;
use super::section_writer::SectionWriter;
use super::write::Steps;
use crate::error::{Error, Result};
use crate::graph::{self, GraphError, Rows};

/// Builds a graph of the source's vectors and writes it.
pub(super) fn write_graph(
    writer: &mut SectionWriter,
    source: &dyn SegmentSource,
    options: &graph::BuildOptions,
    steps: &Steps<'_>,
) -> Result<()> {
    let copy = |row, out: &mut [f32]| source.copy_vector(row, out);
    let rows = FallibleRows::new(source.rows(), &copy);
    let progress = |done, whole| match rows.has_failed() {
        true => ControlFlow::Break(()),
        false => steps.graph(done, whole),
    };
    let path = writer.path().to_owned();
    let built = graph::build(&rows, options, &progress, writer);
    rows.outcome(built, |error| match error {
        GraphError::Interrupted => steps.interrupted(),
        GraphError::Write(error) => io_error(error, &path),
        other => error_of(other, &path, 0),
    })
}

/// What the segment's writer said, through the hands of a module that knows `io::Error` alone.
pub(crate) fn io_error(error: io::Error, path: &Path) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::io(path, "write to")(error),
    }
}

/// An error about the graph in the section at `offset` of a segment.
pub(crate) fn error_of(error: GraphError, path: &Path, offset: u64) -> Error {
    match error {
        GraphError::Damaged { offset: place, reason } => {
            Error::corrupt(path, offset.saturating_add(place), reason)
        }
        GraphError::Version { found, supported } => {
            Error::Version { path: path.to_owned(), found, supported }
        }
        GraphError::Unbuildable(reason) => Error::InvalidArgument(reason),
        other => Error::corrupt(path, offset, other.to_string()),
    }
}

/// Copies a row's vector.
type CopyVector<'a> = &'a (dyn Fn(u32, &mut [f32]) -> Result<()> + Sync);

/// Vectors for code that cannot fail: the first error ends its work by way of its progress.
pub(crate) struct FallibleRows<'a> {
    count: u32,
    copy: CopyVector<'a>,
    failure: Mutex<Option<Error>>,
}

impl<'a> FallibleRows<'a> {
    pub(crate) fn new(count: u32, copy: CopyVector<'a>) -> Self {
        Self { count, copy, failure: Mutex::new(None) }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.lock().is_some()
    }

    /// What has become of the work: the first error of a row, if there was one.
    pub(crate) fn outcome<T>(
        self,
        done: std::result::Result<T, GraphError>,
        error_of: impl FnOnce(GraphError) -> Error,
    ) -> Result<T> {
        match self.failure.into_inner() {
            Some(error) => Err(error),
            None => done.map_err(error_of),
        }
    }
}

impl Rows for FallibleRows<'_> {
    fn count(&self) -> u32 {
        self.count
    }

    fn copy(&self, row: u32, out: &mut [f32]) {
        if let Err(error) = (self.copy)(row, out) {
            out.fill(0.0);
            self.failure.lock().get_or_insert(error);
        }
    }
}
