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
    let rows = SourceRows { source, failure: Mutex::new(None) };
    let progress = |done, whole| match *rows.failure.lock() {
        Some(_) => ControlFlow::Break(()),
        None => steps.graph(done, whole),
    };
    let path = writer.path().to_owned();
    let built = graph::build(&rows, options, &progress, writer);
    match rows.failure.into_inner() {
        Some(error) => Err(error),
        None => built.map_err(|error| match error {
            GraphError::Interrupted => steps.interrupted(),
            GraphError::Write(error) => io_error(error, &path),
            other => error_of(other, &path, 0),
        }),
    }
}

/// What the segment's writer said, through the hands of a module that knows `io::Error` alone.
fn io_error(error: io::Error, path: &Path) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::io(path, "write to")(error),
    }
}

/// An error about the graph in the section at `offset` of a segment.
pub(super) fn error_of(error: GraphError, path: &Path, offset: u64) -> Error {
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

/// Vectors for the builder, which cannot fail: the first error ends the building by way of its
/// progress.
struct SourceRows<'a> {
    source: &'a dyn SegmentSource,
    failure: Mutex<Option<Error>>,
}

impl Rows for SourceRows<'_> {
    fn count(&self) -> u32 {
        self.source.rows()
    }

    fn copy(&self, row: u32, out: &mut [f32]) {
        if let Err(error) = self.source.copy_vector(row, out) {
            out.fill(0.0);
            self.failure.lock().get_or_insert(error);
        }
    }
}
