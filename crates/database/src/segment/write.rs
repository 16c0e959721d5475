//! From rows to a segment file.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::blocks::Checksum;
use super::id_table::{self, IdTable};
use super::section_writer::SectionWriter;
use super::{SegmentRecord, SegmentSource};
use crate::error::{Error, Result};
use crate::files::unfinished_path;
use crate::format::{
    SECTION_ID_TABLE, SECTION_INVERSE_NORMS, SECTION_RECORD_OFFSETS, SECTION_RECORDS,
    SECTION_SOURCES, SECTION_VECTORS,
};
use crate::record_encoding::put_record;
use crate::schema::{Metric, Schema};
use crate::score;

/// Told how much of how much is done, from any thread; breaks to stop the writing.
pub type Progress<'a> = dyn Fn(u64, u64) -> ControlFlow<()> + Sync + 'a;

/// Steps between two calls of a `Progress`.
const PROGRESS_STEPS: u64 = 1024;

/// Writes a segment: under an unfinished name at first, under `path` once every byte is on the
/// medium. Each row's vector is asked for once, then each row's record, both in order; a record
/// again only in the rare case that its id's hash meets another's.
///
/// Memory: no vector and no text beyond the one in hand, but some 23 bytes a row, and the names of
/// the sources.
///
/// # Errors
/// Whatever the source returns; `Interrupted` if `progress` breaks; `InvalidArgument` for an id
/// that comes twice; `Io`. After any of them there is no file, finished or not, except where the
/// folder could not be flushed behind a complete one.
pub fn write(
    path: &Path,
    number: u64,
    schema: &Schema,
    source: &dyn SegmentSource,
    progress: &Progress<'_>,
) -> Result<()> {
    let writer = SectionWriter::create(path)?;
    let steps = Steps { path, done: 0, total: 2 * u64::from(source.rows()), progress };
    let written = write_sections(writer, number, schema, source, steps);
    if written.is_err() {
        // The error says more than a second failure would; the next opening removes such files.
        let _ = fs::remove_file(unfinished_path(path));
    }
    written
}

fn write_sections(
    mut writer: SectionWriter,
    number: u64,
    schema: &Schema,
    source: &dyn SegmentSource,
    mut steps: Steps<'_>,
) -> Result<()> {
    let rows = source.rows();
    let mut inverse_norms = Vec::new();
    writer.section(SECTION_VECTORS, |writer| {
        let mut vector = vec![0.0; schema.dimension];
        let mut bytes = Vec::with_capacity(schema.dimension * 4);
        for row in 0..rows {
            source.copy_vector(row, &mut vector)?;
            if schema.metric == Metric::Cosine {
                inverse_norms.push(score::inverse_norm(&vector));
            }
            bytes.clear();
            bytes.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
            writer.put(&bytes)?;
            steps.step()?;
        }
        Ok(())
    })?;
    if schema.metric == Metric::Cosine {
        writer.section(SECTION_INVERSE_NORMS, |writer| {
            inverse_norms.iter().try_for_each(|norm| writer.put(&norm.to_le_bytes()))
        })?;
    }
    drop(inverse_norms);

    let mut records = RecordsWriter::new(rows, &writer);
    writer.section(SECTION_RECORDS, |writer| {
        for row in 0..rows {
            let record = source.record(row)?;
            writer.put(records.encode(row, &record, source)?)?;
            steps.step()?;
        }
        Ok(())
    })?;
    writer.section(SECTION_RECORD_OFFSETS, |writer| put_all(writer, &records.offsets))?;
    writer.section(SECTION_ID_TABLE, |writer| put_all(writer, records.ids.slots()))?;
    writer.section(SECTION_SOURCES, |writer| records.sources.write(writer))?;
    writer.publish(number, rows, schema)
}

fn put_all(writer: &mut SectionWriter, numbers: &[u64]) -> Result<()> {
    numbers.iter().try_for_each(|number| writer.put(&number.to_le_bytes()))
}

/// Encodes records, and keeps what is needed to find them again.
struct RecordsWriter {
    checksum: Checksum,
    salt: u64,
    /// One record, as it goes into the file.
    bytes: Vec<u8>,
    /// Where each record starts, and where the last one ends, from the section's start.
    offsets: Vec<u64>,
    ids: IdTable,
    sources: Sources,
}

impl RecordsWriter {
    fn new(rows: u32, writer: &SectionWriter) -> Self {
        let mut offsets = Vec::with_capacity(rows as usize + 1);
        offsets.push(0);
        Self {
            checksum: writer.checksum(),
            salt: writer.salt(),
            bytes: Vec::new(),
            offsets,
            ids: IdTable::new(rows),
            sources: Sources::default(),
        }
    }

    fn encode(
        &mut self,
        row: u32,
        record: &SegmentRecord,
        source: &dyn SegmentSource,
    ) -> Result<&[u8]> {
        let place = record.place.as_ref();
        let place = place.map(|place| (place, self.sources.number(&place.source)));
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&[0; 4]);
        let (text, metadata) = (record.text.as_deref(), record.metadata.as_deref());
        let text = put_record(bytes, &record.id, text, metadata, place)?;
        let text_checksum = text.clone().map(|text| crc32fast::hash(&bytes[text]).to_le_bytes());
        bytes.extend(text_checksum.iter().flatten());
        let checksum = match text {
            Some(text) => self.checksum.of(&[&bytes[4..text.start], &bytes[text.end..]]),
            None => self.checksum.of(&[&bytes[4..]]),
        };
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        self.offsets.push(self.offsets[row as usize] + bytes.len() as u64);

        let hash = id_table::hash(&record.id, self.salt)?;
        let same = |row| Ok::<_, Error>(source.record(row)?.id == record.id);
        match self.ids.insert(hash, row, same)? {
            None => Ok(&self.bytes),
            Some(earlier) => Err(Error::InvalidArgument(format!(
                "rows {earlier} and {row} of a segment have the same id, {}",
                record.id
            ))),
        }
    }
}

/// The distinct sources, numbered in the order of their appearance.
#[derive(Default)]
struct Sources {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Sources {
    fn number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // There are no more sources than rows.
        let number = self.names.len() as u32;
        self.names.push(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    fn write(&self, writer: &mut SectionWriter) -> Result<()> {
        writer.put(&(self.names.len() as u64).to_le_bytes())?;
        let mut offset = 0;
        writer.put(&0u64.to_le_bytes())?;
        for name in &self.names {
            offset += name.len() as u64;
            writer.put(&offset.to_le_bytes())?;
        }
        self.names.iter().try_for_each(|name| writer.put(name.as_bytes()))
    }
}

/// Progress, and the wish to stop.
struct Steps<'a> {
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
            return Err(Error::Interrupted { path: self.path.to_owned() });
        }
        Ok(())
    }
}
