//! From rows to a segment file.

use std::ops::ControlFlow;
use std::path::Path;

use kernels::Backend;

use super::SegmentSource;
use super::graph_writer::write_graph;
use super::metadata_writer::MetadataWriter;
use super::records_writer::RecordsWriter;
use super::section_writer::SectionWriter;
use crate::bytes::bytes_of;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::unfinished_path;
use crate::format::{
    SECTION_GRAPH, SECTION_ID_TABLE, SECTION_INVERSE_NORMS, SECTION_METADATA_INDEX,
    SECTION_RECORD_OFFSETS, SECTION_RECORDS, SECTION_SOURCES, SECTION_VECTORS,
};
use crate::graph;
use crate::schema::{Metric, Schema};
use crate::score;

/// Told how much of how much is done, from any thread; breaks to stop the writing.
pub type Progress<'a> = dyn Fn(u64, u64) -> ControlFlow<()> + Sync + 'a;

/// Steps between two calls of a `Progress`.
const PROGRESS_STEPS: u64 = 1024;

/// Steps for a row of a graph, where a row's record is one step: about what it takes.
const GRAPH_STEPS: u64 = 9;

/// Writes a segment: under an unfinished name at first, under `path` once every byte is on the
/// medium. With `index`, the vectors go into a graph, which is built on the ambient thread pool.
///
/// Without it, each row's vector is asked for once, in order; for a graph, any row's at any time
/// and on any thread. Then each row's record is asked for, in order; a record again only where its
/// id's hash meets another's, and where no row before it had metadata or a place.
///
/// Memory: no vector and no text beyond the one in hand, but some 23 bytes a row, the names of the
/// sources, and what a graph and a metadata index need to be built.
///
/// # Errors
/// Whatever the source returns; `Interrupted` if `progress` breaks; `InvalidArgument` for an id
/// that comes twice and for a graph that cannot be built; `Io`. After any of them there is no
/// file, finished or not, except where the folder could not be flushed behind a complete one.
pub fn write(
    disk: &Disk,
    path: &Path,
    number: u64,
    schema: &Schema,
    source: &dyn SegmentSource,
    index: Option<&graph::BuildOptions>,
    progress: &Progress<'_>,
) -> Result<()> {
    let writer = SectionWriter::create(disk, path)?;
    let rows = u64::from(source.rows());
    let total = rows * if index.is_some() { GRAPH_STEPS + 1 } else { 2 };
    let steps = Steps { path, done: 0, total, progress };
    let written = write_sections(writer, number, schema, source, index, steps);
    if written.is_err() {
        // The error says more than a second failure would; the next opening removes such files.
        let _ = disk.remove_file(&unfinished_path(path));
    }
    written
}

fn write_sections(
    mut writer: SectionWriter,
    number: u64,
    schema: &Schema,
    source: &dyn SegmentSource,
    index: Option<&graph::BuildOptions>,
    mut steps: Steps<'_>,
) -> Result<()> {
    let rows = source.rows();
    match index {
        Some(options) => {
            writer.section(SECTION_GRAPH, |writer| {
                write_graph(writer, source, options, &steps)?;
                steps.done = u64::from(rows) * GRAPH_STEPS;
                Ok(())
            })?;
        }
        None => write_vectors(&mut writer, schema, source, &mut steps)?,
    }

    let mut records = RecordsWriter::new(rows, &writer, &schema.fields);
    let mut metadata = MetadataWriter::default();
    writer.section(SECTION_RECORDS, |writer| {
        for row in 0..rows {
            let record = source.record(row)?;
            writer.put(records.encode(row, &record, source)?)?;
            metadata.push(row, &record, source)?;
            steps.step()?;
        }
        Ok(())
    })?;
    writer.section(SECTION_RECORD_OFFSETS, |writer| put_all(writer, &records.offsets))?;
    writer.section(SECTION_ID_TABLE, |writer| put_all(writer, records.ids.slots()))?;
    writer.section(SECTION_SOURCES, |writer| records.sources.write(writer))?;
    if let Some(index) = metadata.finish() {
        writer.section(SECTION_METADATA_INDEX, |writer| writer.put(&index))?;
    }
    writer.publish(number, rows, schema)
}

fn write_vectors(
    writer: &mut SectionWriter,
    schema: &Schema,
    source: &dyn SegmentSource,
    steps: &mut Steps<'_>,
) -> Result<()> {
    let kernels = Backend::active();
    let mut stored = vec![0; schema.element.row_bytes(schema.dimension)];
    let mut inverse_norms = Vec::new();
    writer.section(SECTION_VECTORS, |writer| {
        let mut vector = vec![0.0; schema.dimension];
        for row in 0..source.rows() {
            source.copy_vector(row, &mut vector)?;
            if schema.metric == Metric::Cosine {
                inverse_norms.push(score::inverse_norm(&vector));
            }
            kernels
                .encode_row(schema.element, &vector, &mut stored)
                .map_err(|error| Error::InvalidArgument(format!("row {row}: {error}")))?;
            writer.put(&stored)?;
            steps.step()?;
        }
        Ok(())
    })?;
    match schema.metric {
        Metric::Cosine => {
            writer.section(SECTION_INVERSE_NORMS, |writer| writer.put(&bytes_of(&inverse_norms)))
        }
        Metric::Dot | Metric::L2 | Metric::Hamming => Ok(()),
    }
}

fn put_all(writer: &mut SectionWriter, numbers: &[u64]) -> Result<()> {
    numbers.iter().try_for_each(|number| writer.put(&number.to_le_bytes()))
}

/// Progress, and the wish to stop.
pub(super) struct Steps<'a> {
    path: &'a Path,
    done: u64,
    total: u64,
    progress: &'a Progress<'a>,
}

impl Steps<'_> {
    fn step(&mut self) -> Result<()> {
        self.done += 1;
        let due = self.done.is_multiple_of(PROGRESS_STEPS) || self.done == self.total;
        if due && (self.progress)(self.done, self.total).is_break() {
            return Err(self.interrupted());
        }
        Ok(())
    }

    /// Tells how much of a graph is built; any thread may.
    pub(super) fn graph(&self, done: u64, whole: u64) -> ControlFlow<()> {
        let steps = (self.total / (GRAPH_STEPS + 1) * GRAPH_STEPS) as f64;
        let done = steps * done as f64 / whole.max(1) as f64;
        (self.progress)((done as u64).min(self.total), self.total)
    }

    pub(super) fn interrupted(&self) -> Error {
        Error::Interrupted { doing: format!("writing {}", self.path.display()) }
    }
}
