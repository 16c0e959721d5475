//! Bytes in pages that are checked when they are first read.
//!
//! Every read goes through [`Pages::get`], which refuses what lies outside of the body, and
//! compares the pages that it has not seen yet with their checksums. Whatever the bytes are,
//! nothing outside of them is read.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::format::CHECKED_PAGE_BYTES;

/// What errors say of the bytes.
pub(crate) struct Origin<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Where in the file the bytes start.
    pub(crate) file_offset: u64,
    /// What they are: "the metadata index".
    pub(crate) what: &'static str,
}

/// A body of bytes with a checksum for each [`CHECKED_PAGE_BYTES`] of them.
pub(crate) struct Pages<B> {
    bytes: B,
    body: Range<usize>,
    checksums: Vec<u32>,
    /// One bit a page whose checksum was compared.
    checked: Vec<AtomicU64>,
    path: PathBuf,
    file_offset: u64,
    what: &'static str,
}

/// How many pages so many bytes have.
pub(crate) fn pages_of(bytes: usize) -> usize {
    bytes.div_ceil(CHECKED_PAGE_BYTES)
}

/// The checksums of a body's pages, as they are written.
pub(crate) fn checksum_table(body: &[u8]) -> Vec<u8> {
    let pages = body.chunks(CHECKED_PAGE_BYTES);
    pages.flat_map(|page| crc32fast::hash(page).to_le_bytes()).collect()
}

impl<B: AsRef<[u8]>> Pages<B> {
    /// `table` has a checksum for each page of the body, which is a part of the bytes.
    pub(crate) fn new(bytes: B, body: Range<usize>, table: &[u8], origin: &Origin<'_>) -> Self {
        let checksums: Vec<u32> =
            table.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Self {
            checked: (0..checksums.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            bytes,
            body,
            checksums,
            path: origin.path.to_owned(),
            file_offset: origin.file_offset,
            what: origin.what,
        }
    }

    /// Everything that the body is a part of.
    pub(crate) fn bytes(&self) -> &B {
        &self.bytes
    }

    /// Bytes of the body.
    pub(crate) fn get(&self, offset: u64, length: u64) -> Result<&[u8]> {
        let body = self.body();
        let range = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= body.len()).then_some(start..end)
        });
        let Some(range) = range else {
            return Err(self.corrupt(offset, "points outside of itself"));
        };
        if !range.is_empty() {
            let last_page = (range.end - 1) / CHECKED_PAGE_BYTES;
            for page in range.start / CHECKED_PAGE_BYTES..=last_page {
                self.check_page(page)?;
            }
        }
        // In bounds: `range` was compared with the body's length.
        Ok(&body[range])
    }

    pub(crate) fn u64(&self, offset: u64) -> Result<u64> {
        Ok(u64::from_le_bytes(self.get(offset, 8)?.try_into().expect("8 bytes")))
    }

    pub(crate) fn u32(&self, offset: u64) -> Result<u32> {
        Ok(u32::from_le_bytes(self.get(offset, 4)?.try_into().expect("4 bytes")))
    }

    /// Reads and checks every page.
    pub(crate) fn check_all(&self) -> Result<()> {
        (0..self.checksums.len()).try_for_each(|page| {
            self.checked[page / 64].store(0, Ordering::Relaxed);
            self.check_page(page)
        })
    }

    pub(crate) fn corrupt(&self, offset: u64, reason: &str) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            offset: self.file_offset.saturating_add(self.body.start as u64).saturating_add(offset),
            reason: format!("{} {reason}", self.what),
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
        self.compare_page(page)?;
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }

    #[cold]
    fn compare_page(&self, page: usize) -> Result<()> {
        let start = page * CHECKED_PAGE_BYTES;
        let body = self.body();
        let end = body.len().min(start + CHECKED_PAGE_BYTES);
        let bytes = body.get(start..end).unwrap_or_default();
        match crc32fast::hash(bytes) == self.checksums[page] {
            true => Ok(()),
            false => Err(self.corrupt(start as u64, "has a page that does not match its checksum")),
        }
    }
}
