//! The first bytes of a text index: what it is an index of, and where its parts are.

use std::path::Path;

use super::super::language::Language;
use crate::bytes::Reader;
use crate::error::Result;
use crate::filter::Key;
use crate::format::{
    ANALYSIS_VERSION, MAX_TEXT_FIELD_BYTES, TERMS_A_GROUP, TEXT_INDEX_MAGIC, TEXT_INDEX_VERSION,
};
use crate::index_file::{Body, Kind};

/// An index of words.
pub(super) const KIND: Kind = Kind {
    magic: TEXT_INDEX_MAGIC,
    versions: &[TEXT_INDEX_VERSION, ANALYSIS_VERSION],
    what: "the text index",
};

/// Bytes of a language's code, filled up with zeros.
const LANGUAGE_BYTES: usize = 8;

/// What is indexed: which words of the records, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IndexKey {
    pub(crate) language: Language,
    /// What has the words; `None` for the texts.
    pub(crate) field: Option<Key>,
}

/// The segment that an index is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) number: u64,
    /// Tells the segment from others that had its number.
    pub(crate) salt: u64,
    pub(crate) rows: u32,
}

/// What is in an index, and where in its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) body: Body,
    pub(crate) terms: u64,
    /// Rows that have a text.
    pub(crate) texts: u64,
    /// Words of all texts.
    pub(crate) words: u64,
    /// Where the offsets of the groups of terms are.
    pub(crate) groups: u64,
    /// Where the words of each row are.
    pub(crate) lengths: u64,
}

impl Contents {
    pub(crate) fn group_count(&self) -> u64 {
        self.terms.div_ceil(TERMS_A_GROUP)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    pub(crate) key: IndexKey,
    pub(crate) contents: Contents,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { identity, key, contents } = self;
        let mut bytes = Vec::new();
        for number in [
            identity.number,
            identity.salt,
            contents.body.bytes,
            contents.terms,
            contents.texts,
            contents.words,
            contents.groups,
            contents.lengths,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&identity.rows.to_le_bytes());
        bytes.extend_from_slice(&contents.body.table_checksum.to_le_bytes());
        let mut language = [0; LANGUAGE_BYTES];
        language[..key.language.code().len()].copy_from_slice(key.language.code().as_bytes());
        bytes.extend_from_slice(&language);
        let field = key.field.as_ref().map_or("", Key::name);
        bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
        bytes.extend_from_slice(field.as_bytes());
        KIND.header(&bytes)
    }

    /// Reads the header of a file of these first bytes.
    ///
    /// # Errors
    /// `Corrupt` where it is not what was written, `Version` for what another release wrote.
    pub(crate) fn read(path: &Path, file: &[u8]) -> Result<Self> {
        KIND.read_header(path, file, Self::parse)
    }

    /// What follows the versions.
    fn parse(mut reader: Reader<'_>) -> Option<Self> {
        let (number, salt) = (reader.u64()?, reader.u64()?);
        let body_bytes = reader.u64()?;
        let mut contents = Contents {
            body: Body::default(),
            terms: reader.u64()?,
            texts: reader.u64()?,
            words: reader.u64()?,
            groups: reader.u64()?,
            lengths: reader.u64()?,
        };
        let rows = reader.u32()?;
        contents.body = Body { bytes: body_bytes, table_checksum: reader.u32()? };
        let language: [u8; LANGUAGE_BYTES] = reader.array()?;
        let code = std::str::from_utf8(&language).ok()?.trim_end_matches('\0');
        let field = reader.text().filter(|field| field.len() <= MAX_TEXT_FIELD_BYTES)?;
        let key = IndexKey {
            language: Language::parse(code).ok()?,
            field: match field {
                "" => None,
                name => Some(Key::parse(name).ok()?),
            },
        };
        Some(Self { identity: Identity { number, salt, rows }, key, contents })
    }
}
