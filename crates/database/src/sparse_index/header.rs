//! The first bytes of a sparse index: what it is an index of, and where its parts are.

use std::path::Path;

use crate::bytes::Reader;
use crate::error::Result;
use crate::format::{MAX_SPARSE_INDEX_NAME_BYTES, SPARSE_INDEX_MAGIC, SPARSE_INDEX_VERSION};
use crate::index_file::{Body, Kind};
use crate::text_search::Identity;

/// An index of sparse vectors.
pub(super) const KIND: Kind =
    Kind { magic: SPARSE_INDEX_MAGIC, versions: &[SPARSE_INDEX_VERSION], what: "the sparse index" };

/// What is in an index, and where in its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) body: Body,
    /// Different indices.
    pub(crate) lists: u64,
    /// Rows that have a vector.
    pub(crate) vectors: u64,
    /// Numbers of all vectors.
    pub(crate) numbers: u64,
    /// Where the directory is.
    pub(crate) directory: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    /// What has the vectors.
    pub(crate) name: String,
    pub(crate) contents: Contents,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { identity, name, contents } = self;
        let mut bytes = identity.rows.to_le_bytes().to_vec();
        for number in [
            identity.number,
            identity.salt,
            contents.body.bytes,
            contents.lists,
            contents.vectors,
            contents.numbers,
            contents.directory,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&contents.body.table_checksum.to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        KIND.header(&bytes)
    }

    /// Reads the header of a file of these first bytes.
    ///
    /// # Errors
    /// `Corrupt` where it is not what was written, `Version` for what another release wrote.
    pub(crate) fn read(path: &Path, file: &[u8]) -> Result<Self> {
        KIND.read_header(path, file, Self::parse)
    }

    /// What follows the version.
    fn parse(mut reader: Reader<'_>) -> Option<Self> {
        let rows = reader.u32()?;
        let (number, salt) = (reader.u64()?, reader.u64()?);
        let body_bytes = reader.u64()?;
        let contents = Contents {
            lists: reader.u64()?,
            vectors: reader.u64()?,
            numbers: reader.u64()?,
            directory: reader.u64()?,
            body: Body { bytes: body_bytes, table_checksum: reader.u32()? },
        };
        let name = reader.text().filter(|name| name.len() <= MAX_SPARSE_INDEX_NAME_BYTES)?;
        Some(Self { identity: Identity { number, salt, rows }, name: name.to_owned(), contents })
    }
}
