//! The first bytes of the index of a dense field: what it is an index of, and where its parts are.

use std::ops::Range;
use std::path::Path;

use super::super::field::DenseField;
use crate::bytes::Reader;
use crate::error::Result;
use crate::format::{
    DENSE_INDEX_FLAT, DENSE_INDEX_GRAPH, DENSE_INDEX_MAGIC, DENSE_INDEX_VERSION,
    INDEX_FILE_HEADER_BYTES, MAX_DIMENSION, MAX_FIELD_NAME_BYTES, SEGMENT_BLOCK_BYTES,
};
use crate::index_file::{Body, Kind};
use crate::schema::{Metric, element_code, element_from_code};
use crate::text_search::Identity;

/// An index of the vectors in a dense field.
pub(super) const KIND: Kind = Kind {
    magic: DENSE_INDEX_MAGIC,
    versions: &[DENSE_INDEX_VERSION],
    what: "the index of vectors",
};

/// Where the vectors begin in the body: a page of the file is as long as a segment's block.
pub(super) const VECTORS_START: u64 = (SEGMENT_BLOCK_BYTES - INDEX_FILE_HEADER_BYTES) as u64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: Identity,
    pub(super) name: String,
    pub(super) field: DenseField,
    /// Whether the vectors are in a graph.
    pub(super) is_graph: bool,
    /// How many there are.
    pub(super) count: u32,
    /// Their bytes, or those of the graph.
    pub(super) vector_bytes: u64,
    pub(super) body: Body,
}

/// Where things are in the body.
pub(super) struct Parts {
    pub(super) vectors: Range<u64>,
    /// Empty where every row has a vector.
    pub(super) rows: Range<u64>,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { identity, name, field, is_graph, count, vector_bytes, body } = self;
        let form = if *is_graph { DENSE_INDEX_GRAPH } else { DENSE_INDEX_FLAT };
        let mut bytes = identity.rows.to_le_bytes().to_vec();
        bytes.extend_from_slice(&identity.number.to_le_bytes());
        bytes.extend_from_slice(&identity.salt.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&(field.dimension as u32).to_le_bytes());
        bytes.extend_from_slice(&[field.metric.code(), element_code(field.element), form, 0]);
        bytes.extend_from_slice(&body.table_checksum.to_le_bytes());
        bytes.extend_from_slice(&vector_bytes.to_le_bytes());
        bytes.extend_from_slice(&body.bytes.to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        KIND.header(&bytes)
    }

    /// Reads the header of a file of these first bytes.
    ///
    /// # Errors
    /// `Corrupt` where it is not what was written, `Version` for what another release wrote.
    pub(super) fn read(path: &Path, file: &[u8]) -> Result<Self> {
        KIND.read_header(path, file, Self::parse)
    }

    /// What follows the version.
    fn parse(mut reader: Reader<'_>) -> Option<Self> {
        let rows = reader.u32()?;
        let (number, salt) = (reader.u64()?, reader.u64()?);
        let (count, dimension) = (reader.u32()?, reader.u32()? as usize);
        let [metric, element, form, 0] = reader.array()? else { return None };
        let table_checksum = reader.u32()?;
        let vector_bytes = reader.u64()?;
        let body = Body { bytes: reader.u64()?, table_checksum };
        let name = reader.text().filter(|name| name.len() <= MAX_FIELD_NAME_BYTES)?.to_owned();
        let (metric, element) = (Metric::from_code(metric)?, element_from_code(element)?);
        let is_graph = match form {
            DENSE_INDEX_FLAT => false,
            DENSE_INDEX_GRAPH => true,
            _ => return None,
        };
        let is_possible = count <= rows && (1..=MAX_DIMENSION).contains(&dimension);
        is_possible.then_some(Self {
            identity: Identity { number, salt, rows },
            name,
            field: DenseField { dimension, metric, element },
            is_graph,
            count,
            vector_bytes,
            body,
        })
    }

    /// Where things are, if they are as long as so many vectors make them.
    pub(super) fn parts(&self) -> Option<Parts> {
        let count = u64::from(self.count);
        let flat = count * self.field.row_bytes() as u64;
        if !self.is_graph && self.vector_bytes != flat {
            return None;
        }
        let has_norms = !self.is_graph && self.field.metric == Metric::Cosine;
        let end = VECTORS_START.checked_add(self.vector_bytes)?;
        let rows = end.checked_add(if has_norms { count * 4 } else { 0 })?;
        let table = if self.count < self.identity.rows { count * 4 } else { 0 };
        let body_end = rows.checked_add(table)?;
        let parts = Parts { vectors: VECTORS_START..end, rows: rows..body_end };
        (body_end == self.body.bytes).then_some(parts)
    }
}
