//! What the files of derived indexes have in common: a header of [`INDEX_FILE_HEADER_BYTES`] that
//! begins with a magic and a version and ends with its checksum, a body in pages, and a checksum for
//! each page.

pub(crate) mod bytes;
pub(crate) mod write;

use std::path::Path;

use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::format::INDEX_FILE_HEADER_BYTES;
use crate::paged::{Origin, Pages, pages_of};

/// What a header says of the body behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) bytes: u64,
    /// The checksum of the pages' checksums.
    pub(crate) table_checksum: u32,
}

/// A kind of index.
pub(crate) struct Kind {
    pub(crate) magic: [u8; 8],
    /// The versions behind the magic, each the only one that can be read.
    pub(crate) versions: &'static [u32],
    /// What errors call it: "the text index".
    pub(crate) what: &'static str,
}

impl Kind {
    /// A header with `fields` behind its magic and its versions. They must fit.
    pub(crate) fn header(&self, fields: &[u8]) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.versions.iter().flat_map(|version| version.to_le_bytes()));
        bytes.extend_from_slice(fields);
        debug_assert!(bytes.len() <= INDEX_FILE_HEADER_BYTES - 4, "{} are too many", bytes.len());
        bytes.resize(INDEX_FILE_HEADER_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header of a file of these first bytes; `parse` gets what is behind the versions.
    ///
    /// # Errors
    /// `Corrupt` where it is not what was written, `Version` for what another release wrote.
    pub(crate) fn read_header<H>(
        &self,
        path: &Path,
        file: &[u8],
        parse: impl FnOnce(Reader<'_>) -> Option<H>,
    ) -> Result<H> {
        let corrupt = |reason: &str| Error::corrupt(path, 0, format!("{} {reason}", self.what));
        let Some(block) = file.first_chunk::<INDEX_FILE_HEADER_BYTES>() else {
            return Err(corrupt("ends inside of its header"));
        };
        let (content, checksum) = block.split_at(INDEX_FILE_HEADER_BYTES - 4);
        let mut reader = Reader::new(content);
        if reader.array() != Some(self.magic) {
            return Err(corrupt("does not start with its magic"));
        }
        if crc32fast::hash(content).to_le_bytes() != checksum {
            return Err(corrupt("has a header that does not match its checksum"));
        }
        for &supported in self.versions {
            let found = reader.u32().unwrap_or_default();
            if found != supported {
                return Err(Error::Version { path: path.to_owned(), found, supported });
            }
        }
        parse(reader)
            .ok_or_else(|| corrupt("has a header that matches its checksum but is impossible"))
    }

    /// The body of a file, whose pages are checked when they are first read.
    ///
    /// # Errors
    /// `Corrupt` where the file is longer or shorter, or the checksums do not match theirs.
    pub(crate) fn open_body<B: AsRef<[u8]>>(
        &self,
        path: &Path,
        bytes: B,
        body: Body,
    ) -> Result<Pages<B>> {
        let what = self.what;
        let wrong_length = || Error::corrupt(path, 0, format!("{what} is not as long as it says"));
        let start = INDEX_FILE_HEADER_BYTES;
        let all = bytes.as_ref();
        let body_bytes = usize::try_from(body.bytes).map_err(|_| wrong_length())?;
        let end = start.checked_add(body_bytes).filter(|end| *end <= all.len());
        let end = end.ok_or_else(wrong_length)?;
        let table = &all[end..];
        if table.len() != pages_of(body_bytes) * 4 {
            return Err(wrong_length());
        }
        if crc32fast::hash(table) != body.table_checksum {
            let reason = format!("{what} has checksums that do not match theirs");
            return Err(Error::corrupt(path, end as u64, reason));
        }
        let table = table.to_vec();
        let origin = Origin { path, file_offset: 0, what };
        Ok(Pages::new(bytes, start..end, &table, &origin))
    }
}
