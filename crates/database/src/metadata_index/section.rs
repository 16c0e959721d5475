//! The bytes of an index: a header, and a body in pages that are checked when they are first read.
//! Opening reads the header and one checksum a page.

use std::path::Path;

use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::format::{METADATA_INDEX_HEADER_BYTES, METADATA_INDEX_MAGIC, METADATA_INDEX_VERSION};
use crate::paged::{Origin, Pages, checksum_table, pages_of};

/// What errors call it.
const WHAT: &str = "the metadata index";

/// What the header says of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// Rows of the segment.
    pub(super) rows: u32,
    /// Number of keys.
    pub(super) keys: u32,
    /// Where in the body the key directory starts.
    pub(super) directory: u64,
    /// The rows that have keys which are not in the directory.
    pub(super) unindexed: u64,
}

/// Checked access to the bytes of an index.
pub(super) type Section<B> = Pages<B>;

/// Puts header and checksums in front of a body.
pub(super) fn assemble(contents: Contents, body: &[u8]) -> Vec<u8> {
    let table = checksum_table(body);
    let mut bytes = Vec::with_capacity(METADATA_INDEX_HEADER_BYTES + table.len() + body.len());
    bytes.extend_from_slice(&METADATA_INDEX_MAGIC);
    bytes.extend_from_slice(&METADATA_INDEX_VERSION.to_le_bytes());
    bytes.extend_from_slice(&contents.rows.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&contents.directory.to_le_bytes());
    bytes.extend_from_slice(&contents.unindexed.to_le_bytes());
    bytes.extend_from_slice(&contents.keys.to_le_bytes());
    let checksum = header_checksum(&bytes, &table);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&table);
    bytes.extend_from_slice(body);
    bytes
}

fn header_checksum(header: &[u8], table: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(table);
    hasher.finalize()
}

/// Reads the header and the checksums. The bytes must be the section and nothing else.
///
/// # Errors
/// `Corrupt` where they are not what was written, `Version` for those of a newer release.
pub(super) fn open<B: AsRef<[u8]>>(
    bytes: B,
    path: &Path,
    file_offset: u64,
) -> Result<(Section<B>, Contents)> {
    let corrupt = |offset: usize, reason: &str| Error::Corrupt {
        path: path.to_owned(),
        offset: file_offset + offset as u64,
        reason: format!("{WHAT} {reason}"),
    };
    let all = bytes.as_ref();
    let mut reader = Reader::new(all);
    if reader.array() != Some(METADATA_INDEX_MAGIC) {
        return Err(corrupt(0, "does not start with its magic"));
    }
    let short = || corrupt(all.len(), "ends inside of its header");
    let version = reader.u32().ok_or_else(short)?;
    if version > METADATA_INDEX_VERSION {
        return Err(Error::Version {
            path: path.to_owned(),
            found: version,
            supported: METADATA_INDEX_VERSION,
        });
    }
    let rows = reader.u32().ok_or_else(short)?;
    let body_bytes = reader.u64().ok_or_else(short)?;
    let directory = reader.u64().ok_or_else(short)?;
    let unindexed = reader.u64().ok_or_else(short)?;
    let keys = reader.u32().ok_or_else(short)?;
    let checked_header = &all[..reader.position()];
    let checksum = reader.u32().ok_or_else(short)?;
    let wrong_length = || corrupt(all.len(), "is not as long as it says");
    let body_bytes = usize::try_from(body_bytes).map_err(|_| wrong_length())?;
    let pages = pages_of(body_bytes);
    if pages > reader.remaining() / 4 {
        return Err(wrong_length());
    }
    let table = reader.take(pages * 4).ok_or_else(wrong_length)?;
    if header_checksum(checked_header, table) != checksum || version != METADATA_INDEX_VERSION {
        return Err(corrupt(0, "has a header that does not match its checksum"));
    }
    if reader.remaining() != body_bytes {
        return Err(wrong_length());
    }
    let body = reader.position()..all.len();
    let table = table.to_vec();
    let origin = Origin { path, file_offset, what: WHAT };
    let section = Pages::new(bytes, body, &table, &origin);
    Ok((section, Contents { rows, keys, directory, unindexed }))
}
