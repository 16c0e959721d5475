//! Immutable segments: rows of a collection in one file, searched and read where they lie.
//!
//! A segment is written once, by [`write()`], and mapped into memory by [`Segment::open`], which
//! reads nothing but the first block. Whatever is read later is compared with its checksum first:
//! blocks when they are touched for the first time, records every time. So damage is found where
//! it is met, and is an [`Error::Corrupt`] that names the file and the offset; no byte of a file
//! can make a call panic, hang, or read outside of the mapping.
//!
//! `docs/file-format.md` has the bytes.

mod accepted;
mod blocks;
mod codes;
mod damage;
mod examine;
mod filters;
mod fine;
mod graph_writer;
mod header;
mod id_table;
mod metadata_writer;
mod records_writer;
mod region;
mod residence;
mod section_writer;
#[cfg(test)]
mod tests;
mod vectors;
mod verify;
mod write;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

pub(crate) use self::accepted::Accepted;
use self::accepted::KnownFilters;
use self::blocks::Blocks;
use self::damage::KnownDamage;
use self::fine::CodesOfGraph;
pub(crate) use self::graph_writer::{FallibleRows, error_of, io_error};
use self::header::Header;
pub use self::region::{GraphBytes, SectionBytes};
pub(crate) use self::residence::Residence;
use self::vectors::Vectors;
pub use self::write::{Progress, write};
use crate::bytes::Reader;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{
    SECTION_CHECKSUMS, SECTION_ID_TABLE, SECTION_RECORD_OFFSETS, SECTION_RECORDS, SECTION_SOURCES,
};
use crate::graph::CodedRows;
use crate::mapping::Mapping;
use crate::metadata_index::MetadataIndex;
use crate::record::{Id, Place};
use crate::record_encoding::{EncodedRecord, take_record};
use crate::records::{StoredRecord, TextLocation};
use crate::schema::Schema;
use crate::text_search::{Identity, SegmentTexts};
use crate::vector_fields::{FieldVector, FieldVectors, SegmentFields, VectorField};

/// What a segment is made from: rows, numbered from 0, each with a vector and a record. The same
/// row always gives the same answer.
pub trait SegmentSource: Sync {
    /// How many rows there are; fewer than 2^32 - 1.
    fn rows(&self) -> u32;

    /// Fills `out`, which is as long as the collection's dimension, with a row's vector.
    ///
    /// # Errors
    /// Any: the segment is not written then.
    fn copy_vector(&self, row: u32, out: &mut [f32]) -> Result<()>;

    /// A row's record. No two rows have the same id.
    ///
    /// # Errors
    /// Any: the segment is not written then.
    fn record(&self, row: u32) -> Result<SegmentRecord>;
}

/// A record without its own vector.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentRecord {
    /// Its name.
    pub id: Id,
    /// Its text.
    pub text: Option<String>,
    /// Its metadata, always a JSON object.
    pub metadata: Option<Arc<Value>>,
    /// Where its text stands.
    pub place: Option<Place>,
    /// Its vectors in the collection's fields.
    pub vectors: FieldVectors,
}

/// An open segment. Stays readable after its file was removed.
pub struct Segment {
    blocks: Blocks,
    header: Header,
    /// Those of the collection.
    fields: Box<[VectorField]>,
    vectors: Vectors,
    records: Range<u64>,
    record_offsets: Range<u64>,
    id_table: Range<u64>,
    sources: Range<u64>,
    /// Opened when it is first asked for, so that what is wrong with it is nobody else's problem.
    metadata_index: OnceLock<MetadataIndex<SectionBytes>>,
    texts: SegmentTexts,
    field_indexes: SegmentFields,
    /// Of vectors that are in no graph, once somebody made them; `None` where they cannot be made.
    codes: OnceLock<Option<CodedRows>>,
    filters: KnownFilters,
    fine: CodesOfGraph,
    damage: KnownDamage,
}

impl Segment {
    /// Maps a segment. Reads and checks its header; the rest is checked when it is touched. A graph
    /// that cannot be used is known to be damaged from then on, and its vectors are read all the same.
    ///
    /// # Errors
    /// `Corrupt` where the file is not a whole segment of this number and for this schema, or where
    /// nothing is left of a graph that says where its vectors are;
    /// `Version` where a newer release wrote it, `Io` where it cannot be opened.
    pub fn open(path: &Path, number: u64, schema: &Schema) -> Result<Self> {
        let mapping = File::open(path)
            .and_then(|file| Mapping::new(&file))
            .map_err(Error::io(path, "open"))?;
        let header = Header::read(path, mapping.bytes(), number, schema)?;
        // The header was found to have every section that a segment of this kind needs.
        let section = |kind| header.section(kind).unwrap_or_default();
        let mapping = Arc::new(mapping);
        let blocks = Blocks::new(path, mapping.clone(), header.salt, section(SECTION_CHECKSUMS));
        let (vectors, problem) = Vectors::open(&blocks, &mapping, &header)?;
        let segment = Self {
            vectors,
            blocks,
            records: section(SECTION_RECORDS),
            record_offsets: section(SECTION_RECORD_OFFSETS),
            id_table: section(SECTION_ID_TABLE),
            sources: section(SECTION_SOURCES),
            metadata_index: OnceLock::new(),
            texts: SegmentTexts::default(),
            field_indexes: SegmentFields::default(),
            codes: OnceLock::new(),
            filters: KnownFilters::default(),
            fine: CodesOfGraph::default(),
            damage: KnownDamage::default(),
            fields: schema.fields.as_slice().into(),
            header,
        };
        if let Some((section, offset, what)) = problem {
            segment.note(&section, offset, what);
        }
        Ok(segment)
    }

    /// The same; indexes of its words and its vectors in fields may be written beside it.
    pub(crate) fn writing_to(mut self, disk: &Disk) -> Self {
        self.texts = SegmentTexts::new(Some(disk.clone()));
        self.field_indexes = SegmentFields::new(Some(disk.clone()));
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.blocks.path()
    }

    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.blocks.mapping().bytes()
    }

    /// The segment's number, as in the name of its file.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        self.header.rows
    }

    /// Numbers in a vector.
    pub fn dimension(&self) -> usize {
        self.header.dimension
    }

    /// The length of the file.
    pub fn file_bytes(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// What tells it from other segments.
    pub(crate) fn identity(&self) -> Identity {
        Identity { number: self.header.number, salt: self.header.salt, rows: self.header.rows }
    }

    /// The indexes of its words.
    pub(crate) fn texts(&self) -> &SegmentTexts {
        &self.texts
    }

    /// The collection's fields.
    pub(crate) fn fields(&self) -> &[VectorField] {
        &self.fields
    }

    /// The indexes of its vectors in fields.
    pub(crate) fn field_indexes(&self) -> &SegmentFields {
        &self.field_indexes
    }

    /// The row of an id. A row that is lost is found too, where the id table is left: it has some 32
    /// bits of its id's hash.
    ///
    /// # Errors
    /// `Corrupt` where a byte on the way to it is damaged; `InvalidArgument` for an id longer than
    /// any that can be stored.
    pub fn find(&self, id: &Id) -> Result<Option<u32>> {
        self.find_hashed(id, id_table::hash(id, self.header.salt)?)
    }

    /// The hash of an id for [`Segment::find_hashed`]. Has the processor fetch where that begins, so it
    /// pays to ask for some ids before the first is looked for.
    ///
    /// # Errors
    /// `InvalidArgument` for an id longer than any that can be stored.
    pub(crate) fn expect(&self, id: &Id) -> Result<u64> {
        let hash = id_table::hash(id, self.header.salt)?;
        let home = id_table::home(hash, self.id_slots());
        self.blocks.expect(self.id_table.start + home * 8, 8);
        Ok(hash)
    }

    fn id_slots(&self) -> u64 {
        (self.id_table.end - self.id_table.start) / 8
    }

    /// [`Segment::find`] for an id whose hash is known.
    ///
    /// # Errors
    /// `Corrupt` where a byte on the way to it is damaged.
    pub(crate) fn find_hashed(&self, id: &Id, hash: u64) -> Result<Option<u32>> {
        let slots = self.id_slots();
        let damage = self.damage.get();
        let derived = damage.as_ref().and_then(|damage| damage.ids.as_deref());
        // Nearly all places that a search looks at are in one block.
        let mut block = self.blocks.reader();
        id_table::find(
            hash,
            slots,
            |slot| match derived {
                Some(derived) => Ok(derived.slots()[slot as usize]),
                None => block.read_u64(self.id_table.start + slot * 8),
            },
            |row| {
                let is_lost = damage.as_ref().is_some_and(|damage| damage.lost.contains(row));
                Ok(is_lost || self.encoded(row)?.record.id == *id)
            },
        )
    }

    /// A row's id.
    ///
    /// # Errors
    /// `Corrupt` where it is damaged; `InvalidArgument` where there is no such row.
    pub fn id(&self, row: u32) -> Result<Id> {
        Ok(self.encoded(row)?.record.id)
    }

    /// A row's record, with its text.
    ///
    /// # Errors
    /// `Corrupt` where it is damaged; `InvalidArgument` where there is no such row.
    pub fn record(&self, row: u32) -> Result<SegmentRecord> {
        self.check_not_lost(row)?;
        self.read_record(row)
    }

    fn read_record(&self, row: u32) -> Result<SegmentRecord> {
        let encoded = self.encoded(row)?;
        let vectors = encoded.record.vectors(&self.fields);
        let vectors = vectors.ok_or_else(|| self.impossible_vectors(&encoded))?;
        let stored = self.stored_of(encoded)?;
        Ok(SegmentRecord {
            text: stored.text.map(|location| self.text(location)).transpose()?,
            id: stored.id,
            metadata: stored.metadata,
            place: stored.place,
            vectors,
        })
    }

    /// A row's vector in the field of a number; what else its record has is not looked at.
    ///
    /// # Errors
    /// As [`Segment::record`].
    pub(crate) fn field_vector(&self, row: u32, number: u8) -> Result<Option<FieldVector>> {
        let encoded = self.encoded(row)?;
        let vector = encoded.record.vector(&self.fields, number);
        vector.ok_or_else(|| self.impossible_vectors(&encoded))
    }

    fn impossible_vectors(&self, encoded: &Encoded<'_>) -> Error {
        self.blocks.corrupt(encoded.offset, "a record's vectors are not those of its fields")
    }

    /// A row's record without its vectors, and without its text, which is not read: it says where
    /// the text stands, for [`Segment::text`].
    ///
    /// # Errors
    /// `Corrupt` where it is damaged; `InvalidArgument` where there is no such row.
    pub fn stored(&self, row: u32) -> Result<StoredRecord> {
        self.stored_of(self.encoded(row)?)
    }

    fn stored_of(&self, encoded: Encoded<'_>) -> Result<StoredRecord> {
        let Encoded { record, offset, length, text } = encoded;
        let metadata = record.metadata().ok_or_else(|| {
            self.blocks.corrupt(offset, "a record's metadata are not a JSON object")
        })?;
        let bytes = length + self.header.dimension as u64 * 4;
        Ok(StoredRecord {
            metadata,
            place: record.place(|number| self.source(number))?,
            text,
            vectors: FieldVectors::default(),
            id: record.id,
            logged_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        })
    }

    /// The text that a record of this segment speaks of.
    ///
    /// # Errors
    /// `Corrupt` where it is damaged.
    pub fn text(&self, location: TextLocation) -> Result<String> {
        let TextLocation { offset, length, checksum } = location;
        let end = offset.saturating_add(u64::from(length));
        let bytes = self.blocks.read_unchecked(offset..end)?;
        if crc32fast::hash(bytes) != checksum {
            return Err(self.blocks.corrupt(offset, "a record's text changed on the medium"));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.blocks.corrupt(offset, "a record's text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// A row's text; what else its record has is not looked at.
    ///
    /// # Errors
    /// As [`Segment::record`].
    pub(crate) fn text_of(&self, row: u32) -> Result<Option<String>> {
        self.encoded(row)?.text.map(|location| self.text(location)).transpose()
    }

    /// Starts to read the vectors and records of rows that are about to be read in order, and
    /// returns at once. Rows that do not exist are passed over.
    pub fn prefetch(&self, rows: Range<u32>) {
        let rows = rows.start.min(self.header.rows)..rows.end.min(self.header.rows);
        self.prefetch_vectors(rows.clone());
        let offset_of = |row: u32| {
            let offset = self.blocks.read_u64(self.record_offsets.start + u64::from(row) * 8);
            // Whoever reads the row is told of the damage.
            offset.map_or(0, |offset| self.records.start.saturating_add(offset) as usize)
        };
        self.blocks.mapping().will_need(offset_of(rows.start)..offset_of(rows.end));
    }

    /// Hints that a row's record will be read soon: first where it is, then itself. Rows that do not
    /// exist are passed over.
    pub(crate) fn expect_offset(&self, row: u32) {
        self.blocks.expect(self.record_offsets.start + u64::from(row) * 8, 16);
    }

    /// As [`Segment::expect_offset`], which came before.
    pub(crate) fn expect_record(&self, row: u32) {
        // Whoever reads the row is told of the damage.
        if let Ok(offset) = self.blocks.read_u64(self.record_offsets.start + u64::from(row) * 8) {
            self.blocks.expect(self.records.start.saturating_add(offset), EXPECTED_BYTES);
        }
    }

    fn check_row(&self, row: u32) -> Result<()> {
        if row < self.header.rows {
            return Ok(());
        }
        let (path, rows) = (self.path().display(), self.header.rows);
        Err(Error::InvalidArgument(format!("{path} has {rows} rows, but no row {row}")))
    }

    /// A row's record, checked, its text apart.
    fn encoded(&self, row: u32) -> Result<Encoded<'_>> {
        self.check_row(row)?;
        let place = self.record_offsets.start + u64::from(row) * 8;
        let damage = self.damage.get();
        let derived = damage.as_ref().and_then(|damage| damage.record_offsets.as_deref());
        let (start, end) = match derived {
            Some(derived) => (derived[row as usize], derived[row as usize + 1]),
            None => (self.blocks.read_u64(place)?, self.blocks.read_u64(place + 8)?),
        };
        if start > end || end > self.records.end - self.records.start {
            return Err(self.blocks.corrupt(place, "a record's offset is impossible"));
        }
        self.decode(self.records.start + start, self.records.start + end)
    }

    /// The record between two offsets, checked, its text apart.
    fn decode(&self, offset: u64, end: u64) -> Result<Encoded<'_>> {
        let bytes = self.blocks.read_unchecked(offset..end)?;
        let damaged = || self.blocks.corrupt(offset, "a record changed on the medium");

        let mut reader = Reader::new(bytes);
        let checksum = reader.u32().ok_or_else(damaged)?;
        let content = &bytes[reader.position()..];
        let record = take_record(&mut reader).ok_or_else(damaged)?;
        let (found, text) = match &record.text {
            None => (self.blocks.checksum().of(&[content]), None),
            Some(text) => {
                let location = TextLocation {
                    offset: offset + text.start as u64,
                    length: text.len() as u32,
                    checksum: reader.u32().ok_or_else(damaged)?,
                };
                let around = [&bytes[4..text.start], &bytes[text.end..]];
                (self.blocks.checksum().of(&around), Some(location))
            }
        };
        if found != checksum || reader.remaining() != 0 {
            return Err(damaged());
        }
        Ok(Encoded { record, offset, length: end - offset, text })
    }

    /// The name of a source.
    fn source(&self, number: u32) -> Result<Arc<str>> {
        let Range { start, end } = self.sources;
        let count = self.blocks.read_u64(start)?;
        let impossible = |offset| self.blocks.corrupt(offset, "a source is impossible");
        let names = count
            .checked_mul(8)
            .and_then(|bytes| (start + 16).checked_add(bytes))
            .filter(|names| u64::from(number) < count && *names <= end)
            .ok_or_else(|| impossible(start))?;
        let place = start + 8 + u64::from(number) * 8;
        let (from, to) = (self.blocks.read_u64(place)?, self.blocks.read_u64(place + 8)?);
        if from > to || to > end - names {
            return Err(impossible(place));
        }
        let name = std::str::from_utf8(self.blocks.read(names + from..names + to)?);
        name.map(Arc::from).map_err(|_| impossible(names + from))
    }
}

/// The first bytes of a record, with its id.
const EXPECTED_BYTES: u64 = 64;

/// A record as it stands in the file.
struct Encoded<'a> {
    record: EncodedRecord<'a>,
    /// Where it starts in the file.
    offset: u64,
    length: u64,
    text: Option<TextLocation>,
}

/// Where the segment of a number is.
pub fn segment_path(folder: &Path, number: u64) -> PathBuf {
    crate::generations::numbered_path(folder, number, crate::format::SEGMENT_SUFFIX)
}
