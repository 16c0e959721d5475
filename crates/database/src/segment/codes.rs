//! Codes of a segment's vectors while these are in no graph.

use std::ops::ControlFlow;

use super::Segment;
use super::graph_writer::{FallibleRows, error_of};
use crate::graph::{BuildOptions, CodedRows};
use crate::index_options::IndexOptions;

impl Segment {
    /// Codes of the vectors, which find rows that are in no graph; once they were made.
    pub(crate) fn codes(&self) -> Option<&CodedRows> {
        self.codes.get()?.as_ref()
    }

    /// Whether rows are many enough for codes, and are neither in a graph nor coded yet.
    pub(crate) fn wants_codes(&self, index: &IndexOptions) -> bool {
        self.rows() >= index.least_coded_rows() && !self.is_indexed() && self.codes.get().is_none()
    }

    /// Makes the codes on the ambient thread pool. Nothing of them is on disk. Where that fails, rows
    /// are scanned, and whoever needs a damaged one is told.
    pub(crate) fn make_codes(&self, options: &BuildOptions) {
        let copy = |row, out: &mut [f32]| self.vector(row, out);
        let rows = FallibleRows::new(self.rows(), &copy);
        let progress = |_, _| match rows.has_failed() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let coded = CodedRows::new(&rows, options, &progress);
        let coded = rows.outcome(coded, |error| error_of(error, self.path(), 0));
        // Whoever was sooner made the same.
        let _ = self.codes.set(coded.ok());
    }
}
