//! An inverted index of words in bytes that are read where they lie.
//!
//! For each term, in the order of their bytes, it has the rows that have it and how often; for each
//! row, how many words it has. [`IndexWriter`] writes it in one go from terms that come in order,
//! whether out of memory ([`super::builder`]) or out of other indexes ([`merge`]), and holds
//! no more than the postings of one term and four bytes a row. [`TextIndex`] reads what a search
//! needs. `docs/file-format.md` has the bytes.

pub(crate) mod header;
pub(crate) mod merge;
pub(crate) mod postings;
mod terms;
#[cfg(test)]
mod tests;
pub(crate) mod varint;
pub(crate) mod write;

use std::ops::Range;
use std::path::Path;

use self::header::{Contents, Header, KIND};
use self::postings::Cursor;
use self::terms::Terms;
use crate::error::Result;
use crate::format::NO_TEXT;
use crate::paged::Pages;

/// An index, usually a mapped file.
pub(crate) struct TextIndex<B> {
    pages: Pages<B>,
    header: Header,
    contents: Contents,
}

impl<B: AsRef<[u8]>> TextIndex<B> {
    /// Opens the bytes of an index; `path` is for the words of errors. Reads the header and 4 bytes
    /// for each 16 KiB.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not what was written, `Version` for those of another release.
    pub(crate) fn open(bytes: B, path: &Path) -> Result<Self> {
        let header = Header::read(path, bytes.as_ref())?;
        let contents = header.contents;
        let pages = KIND.open_body(path, bytes, contents.body)?;
        Ok(Self { pages, header, contents })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn bytes(&self) -> &B {
        self.pages.bytes()
    }

    pub(crate) fn rows(&self) -> u32 {
        self.header.identity.rows
    }

    /// Rows that have a text.
    pub(crate) fn texts(&self) -> u64 {
        self.contents.texts
    }

    /// Words of all texts.
    pub(crate) fn words(&self) -> u64 {
        self.contents.words
    }

    /// Words of a row; `None` where it has no text.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged.
    pub(crate) fn length(&self, row: u32) -> Result<Option<u32>> {
        let place = self.contents.lengths.saturating_add(u64::from(row) * 4);
        Ok(Some(self.pages.u32(place)?).filter(|length| *length != NO_TEXT))
    }

    /// Words of each of these rows, which exist, 4 bytes each.
    ///
    /// # Errors
    /// As [`TextIndex::length`].
    pub(crate) fn lengths(&self, rows: Range<u32>) -> Result<&[[u8; 4]]> {
        let place = self.contents.lengths.saturating_add(u64::from(rows.start) * 4);
        Ok(self.pages.get(place, rows.len() as u64 * 4)?.as_chunks().0)
    }

    /// The postings of a term.
    ///
    /// # Errors
    /// As [`TextIndex::length`].
    pub(crate) fn find(&self, term: &str) -> Result<Option<Cursor<'_, B>>> {
        let Some(number) = self.group_of(term.as_bytes())? else {
            return Ok(None);
        };
        let mut group = self.group(number)?;
        while let Some((found, stored)) = group.next().ok_or_else(|| self.impossible_terms())? {
            if found == term.as_bytes() {
                return Cursor::new(self, stored).map(Some);
            }
        }
        Ok(None)
    }

    pub(crate) fn terms(&self) -> Terms<'_, B> {
        Terms::new(self)
    }

    /// What it takes of memory beside its bytes.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.contents.body.bytes.div_ceil(crate::format::CHECKED_PAGE_BYTES as u64) * 4
    }

    /// Compares every byte with its checksum.
    ///
    /// # Errors
    /// `Corrupt` names the first page that is damaged.
    pub(crate) fn verify(&self) -> Result<()> {
        self.pages.check_all()
    }
}
