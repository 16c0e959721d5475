//! The bytes of an index: a header, and a body in pages that are checked when they are first read.
//!
//! Opening reads the header and one checksum a page. Every read after that goes through
//! [`Section::get`], which refuses what lies outside of the body, and checks the pages that it has
//! not seen yet. Whatever the bytes are, nothing outside of them is read.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::format::{
    METADATA_INDEX_HEADER_BYTES, METADATA_INDEX_MAGIC, METADATA_INDEX_PAGE_BYTES,
    METADATA_INDEX_VERSION,
};

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
pub(super) struct Section<B> {
    bytes: B,
    body: Range<usize>,
    page_checksums: Vec<u32>,
    /// One bit a page whose checksum was compared.
    checked: Vec<AtomicU64>,
    path: PathBuf,
    /// Where in the file the bytes start, for error messages.
    file_offset: u64,
}

/// Puts header and checksums in front of a body.
pub(super) fn assemble(contents: Contents, body: &[u8]) -> Vec<u8> {
    let pages = body.chunks(METADATA_INDEX_PAGE_BYTES);
    let table: Vec<u8> = pages.flat_map(|page| crc32fast::hash(page).to_le_bytes()).collect();
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

impl<B: AsRef<[u8]>> Section<B> {
    /// Reads the header and the checksums. The bytes must be the section and nothing else.
    ///
    /// # Errors
    /// `Corrupt` where they are not what was written, `Version` for those of a newer release.
    pub(super) fn open(bytes: B, path: &Path, file_offset: u64) -> Result<(Self, Contents)> {
        let corrupt = |offset: usize, reason: &str| Error::Corrupt {
            path: path.to_owned(),
            offset: file_offset + offset as u64,
            reason: format!("the metadata index {reason}"),
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
        let pages = body_bytes.div_ceil(METADATA_INDEX_PAGE_BYTES);
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
        let page_checksums = table
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("chunks of 4")))
            .collect();
        let body = reader.position()..all.len();
        let section = Self {
            body,
            page_checksums,
            checked: (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            path: path.to_owned(),
            file_offset,
            bytes,
        };
        Ok((section, Contents { rows, keys, directory, unindexed }))
    }

    /// Bytes of the body.
    pub(super) fn get(&self, offset: u64, length: u64) -> Result<&[u8]> {
        let body = self.body();
        let range = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= body.len()).then_some(start..end)
        });
        let Some(range) = range else {
            return Err(self.corrupt(offset, "points outside of itself"));
        };
        if !range.is_empty() {
            let last_page = (range.end - 1) / METADATA_INDEX_PAGE_BYTES;
            for page in range.start / METADATA_INDEX_PAGE_BYTES..=last_page {
                self.check_page(page)?;
            }
        }
        // In bounds: `range` was compared with the body's length.
        Ok(&body[range])
    }

    pub(super) fn u64(&self, offset: u64) -> Result<u64> {
        Ok(u64::from_le_bytes(self.get(offset, 8)?.try_into().expect("8 bytes")))
    }

    pub(super) fn u32(&self, offset: u64) -> Result<u32> {
        Ok(u32::from_le_bytes(self.get(offset, 4)?.try_into().expect("4 bytes")))
    }

    /// Reads and checks every page.
    pub(super) fn check_all(&self) -> Result<()> {
        (0..self.page_checksums.len()).try_for_each(|page| {
            self.checked[page / 64].store(0, Ordering::Relaxed);
            self.check_page(page)
        })
    }

    pub(super) fn corrupt(&self, offset: u64, reason: &str) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            offset: self.file_offset.saturating_add(self.body.start as u64).saturating_add(offset),
            reason: format!("the metadata index {reason}"),
        }
    }

    fn body(&self) -> &[u8] {
        // A container whose bytes change their length is not one; even then this does not panic.
        self.bytes.as_ref().get(self.body.clone()).unwrap_or_default()
    }

    fn check_page(&self, page: usize) -> Result<()> {
        let (word, bit) = (&self.checked[page / 64], 1 << (page % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let start = page * METADATA_INDEX_PAGE_BYTES;
        let body = self.body();
        let end = body.len().min(start + METADATA_INDEX_PAGE_BYTES);
        let bytes = body.get(start..end).unwrap_or_default();
        if crc32fast::hash(bytes) != self.page_checksums[page] {
            return Err(self.corrupt(start as u64, "has a page that does not match its checksum"));
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }
}
