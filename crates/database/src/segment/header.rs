//! The first block of a segment: what the file is, and where its sections are.

use std::ops::Range;
use std::path::Path;

use kernels::ElementType;

use super::blocks::checksum_blocks;
use super::id_table;
use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::format::{
    FORMAT_VERSION, SECTION_CHECKSUMS, SECTION_GRAPH, SECTION_ID_TABLE, SECTION_INVERSE_NORMS,
    SECTION_METADATA_INDEX, SECTION_RECORD_OFFSETS, SECTION_RECORDS, SECTION_SOURCES,
    SECTION_VECTORS, SEGMENT_BLOCK_BYTES, SEGMENT_HEADER_FIXED_BYTES, SEGMENT_MAGIC,
};
use crate::schema::{Metric, Schema, element_code, element_from_code};

const BLOCK: u64 = SEGMENT_BLOCK_BYTES as u64;

/// Whether a header is what was written.
pub(super) fn checksum_matches(block: &[u8; SEGMENT_BLOCK_BYTES]) -> bool {
    let (content, checksum) = block.split_at(SEGMENT_BLOCK_BYTES - 4);
    crc32fast::hash(content).to_le_bytes() == checksum
}

const SECTION_KINDS: [u32; 9] = [
    SECTION_VECTORS,
    SECTION_INVERSE_NORMS,
    SECTION_RECORDS,
    SECTION_RECORD_OFFSETS,
    SECTION_ID_TABLE,
    SECTION_SOURCES,
    SECTION_CHECKSUMS,
    SECTION_GRAPH,
    SECTION_METADATA_INDEX,
];

/// A part of the file: what it holds, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: u32,
    pub(super) range: Range<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    /// Goes into every checksum of the file, so that what is left of another segment in a reused
    /// disk block is not taken for a part of this one; also the key of the id table's hash.
    pub(super) salt: u64,
    pub(super) rows: u32,
    pub(super) dimension: usize,
    pub(super) element: ElementType,
    pub(super) metric: Metric,
    /// In the order of the file.
    pub(super) sections: Vec<Section>,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_BLOCK_BYTES);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.sections.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.file_bytes().to_le_bytes());
        bytes.extend_from_slice(&self.rows.to_le_bytes());
        bytes.extend_from_slice(&(self.dimension as u32).to_le_bytes());
        bytes.extend_from_slice(&[self.metric.code(), element_code(self.element)]);
        bytes.resize(SEGMENT_HEADER_FIXED_BYTES, 0);
        for Section { kind, range } in &self.sections {
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&0u32.to_le_bytes());
            bytes.extend_from_slice(&range.start.to_le_bytes());
            bytes.extend_from_slice(&(range.end - range.start).to_le_bytes());
        }
        bytes.resize(SEGMENT_BLOCK_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header of a file of so many bytes.
    ///
    /// # Errors
    /// `Version` for a file of a newer release; `Corrupt` for any other that is not a whole
    /// segment of this number and for this schema.
    pub(super) fn read(path: &Path, file: &[u8], number: u64, schema: &Schema) -> Result<Self> {
        let corrupt = |offset, reason: &str| Err(Error::corrupt(path, offset, reason));
        if !file.starts_with(&SEGMENT_MAGIC) {
            return corrupt(0, "this is not a segment");
        }
        let Some(block) = file.first_chunk::<SEGMENT_BLOCK_BYTES>() else {
            return corrupt(file.len() as u64, "the file ends too early");
        };
        let mut reader = Reader::new(&block[SEGMENT_MAGIC.len()..]);
        let version = reader.u32().unwrap_or_default();
        if version > FORMAT_VERSION {
            return Err(Error::Version {
                path: path.to_owned(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        if !checksum_matches(block) {
            return corrupt(0, "the header's checksum does not match");
        }
        let Some(header) = Self::parse(block) else {
            return corrupt(0, "the header's checksum matches but its content is impossible");
        };
        if header.file_bytes() != file.len() as u64 {
            let offset = header.file_bytes().min(file.len() as u64);
            return corrupt(offset, "the file is not as long as its header says");
        }
        if header.number != number {
            return corrupt(16, "the header's number is not the file name's");
        }
        if header.dimension != schema.dimension
            || header.metric != schema.metric
            || header.element != schema.element
        {
            return corrupt(44, "the segment was made for a collection of another kind");
        }
        Ok(header)
    }

    /// The section of a kind, where the segment has one.
    pub(super) fn section(&self, kind: u32) -> Option<Range<u64>> {
        self.sections.iter().find(|section| section.kind == kind).map(|s| s.range.clone())
    }

    /// The last section ends the file.
    fn file_bytes(&self) -> u64 {
        self.sections.last().map_or(BLOCK, |section| section.range.end)
    }

    fn parse(block: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(&block[..SEGMENT_BLOCK_BYTES - 4]);
        reader.take(SEGMENT_MAGIC.len() + size_of_val(&FORMAT_VERSION))?;
        let section_count = reader.u32()? as usize;
        let number = reader.u64()?;
        let salt = reader.u64()?;
        let file_bytes = reader.u64()?;
        let rows = reader.u32()?;
        let dimension = reader.u32()? as usize;
        let [metric, element] = reader.array()?;
        let metric = Metric::from_code(metric)?;
        let element = element_from_code(element)?;
        reader.take(SEGMENT_HEADER_FIXED_BYTES - reader.position())?;
        let mut sections = Vec::new();
        for _ in 0..section_count {
            let kind = reader.u32()?;
            let (0, start, length) = (reader.u32()?, reader.u64()?, reader.u64()?) else {
                return None;
            };
            sections.push(Section { kind, range: start..start.checked_add(length)? });
        }
        let header = Self { number, salt, rows, dimension, metric, element, sections };
        (header.file_bytes() == file_bytes && header.is_possible()).then_some(header)
    }

    /// Whether the sections are those of so many rows and follow one another. What this says of
    /// their lengths, the readers of the sections rely on.
    fn is_possible(&self) -> bool {
        let mut end = BLOCK;
        for Section { range, .. } in &self.sections {
            if range.start != end.next_multiple_of(BLOCK) || range.end > u64::MAX / 2 {
                return false;
            }
            end = range.end;
        }
        let length = |kind| self.section(kind).map(|range| range.end - range.start);
        let rows = u64::from(self.rows);
        let is_indexed = length(SECTION_GRAPH).is_some();
        let vectors = rows.checked_mul(self.element.row_bytes(self.dimension) as u64);
        let norms = (self.metric == Metric::Cosine).then_some(rows * 4);
        let blocks = self.section(SECTION_CHECKSUMS).map_or(0, |range| range.start / BLOCK);
        let last = self.sections.last().map(|section| section.kind);
        let known = SECTION_KINDS.iter().filter(|kind| length(**kind).is_some()).count();
        // No kind comes twice, and none is unknown.
        self.sections.len() == known
            && last == Some(SECTION_CHECKSUMS)
            && length(SECTION_CHECKSUMS) == Some(checksum_blocks(blocks) * BLOCK)
            && length(SECTION_VECTORS) == vectors.filter(|_| !is_indexed)
            && length(SECTION_INVERSE_NORMS) == norms.filter(|_| !is_indexed)
            && length(SECTION_RECORDS).is_some()
            && length(SECTION_RECORD_OFFSETS) == Some((rows + 1) * 8)
            && length(SECTION_ID_TABLE) == Some(id_table::slots(self.rows) * 8)
            && length(SECTION_SOURCES).is_some()
    }
}
