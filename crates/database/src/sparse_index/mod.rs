//! An inverted index of sparse vectors: from a query to the rows with the greatest dot products,
//! exactly.
//!
//! For each index that a vector has there is a list of the rows that have it, with their values, in
//! blocks; each list and each block knows its greatest and its least value, which bound what it can
//! add to a score ([`postings`]). It is written once from the vectors of a segment's rows
//! ([`write`]) and read where its bytes lie, usually in a mapped file. A row is found where it has
//! an index in common with the query, and its score is that of [`SparseVector::dot`], to the last
//! bit ([`search`]). `docs/file-format.md` has the bytes.
//!
//! ```
//! use database::{Result, SparseIndex, SparseVector};
//!
//! # fn main() -> Result<()> {
//! let vectors = [
//!     Some(SparseVector::new(vec![2, 9], vec![1.0, 0.5])?),
//!     None,
//!     Some(SparseVector::new(vec![9, u32::MAX], vec![2.0, -1.0])?),
//! ];
//! let source = |row: u32| Ok(vectors[row as usize].clone());
//! let index = SparseIndex::build(3, &source)?;
//! let query = SparseVector::new(vec![2, 9], vec![1.0, 1.0])?;
//! assert_eq!(index.search(&query, 10, f32::NEG_INFINITY, &|_| true)?, [(2.0, 2), (1.5, 0)]);
//! assert_eq!(index.search(&query, 10, 1.75, &|_| true)?, [(2.0, 2)]);
//! assert_eq!(index.search(&query, 10, f32::NEG_INFINITY, &|row| row < 2)?, [(1.5, 0)]);
//! # Ok(())
//! # }
//! ```

mod directory;
pub(crate) mod header;
mod postings;
mod scan;
mod search;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use std::path::Path;

use self::directory::Directory;
use self::header::{Contents, Header, KIND};
use self::search::Search;
use crate::error::Result;
use crate::format::{CHECKED_PAGE_BYTES, MAX_SEGMENT_ROWS};
use crate::index_file::write::MemoryTarget;
use crate::paged::Pages;
use crate::sparse_vector::SparseVector;
use crate::text_search::Identity;

pub use self::scan::SparseScorer;
pub use self::write::VectorSource;

/// The index of a segment's sparse vectors, in bytes that are checked when they are first read.
pub struct SparseIndex<B> {
    pages: Pages<B>,
    /// What it is the index of.
    pub(crate) header: Header,
}

impl SparseIndex<Vec<u8>> {
    /// The index of so many rows, in memory.
    ///
    /// # Errors
    /// `InvalidArgument` for more than 2^30 rows, and what the source says.
    pub fn build(rows: u32, source: &VectorSource<'_>) -> Result<Self> {
        let identity = Identity { number: 0, salt: 0, rows };
        let bytes = write::write_index(MemoryTarget::new(), identity, "", source)?;
        Self::open(bytes, Path::new("a sparse index in memory"))
    }
}

impl<B: AsRef<[u8]>> SparseIndex<B> {
    /// Opens the bytes of an index; `path` is for the words of errors. Reads the header and 4 bytes
    /// for each 16 KiB.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not what was written, `Version` for those of another release.
    pub fn open(bytes: B, path: &Path) -> Result<Self> {
        let header = Header::read(path, bytes.as_ref())?;
        let pages = KIND.open_body(path, bytes, header.contents.body)?;
        if header.identity.rows > MAX_SEGMENT_ROWS {
            return Err(pages.corrupt(0, "has more rows than an index can have"));
        }
        Ok(Self { pages, header })
    }

    /// The bytes that it was opened with.
    pub fn bytes(&self) -> &B {
        self.pages.bytes()
    }

    /// Rows of the segment.
    pub fn rows(&self) -> u32 {
        self.header.identity.rows
    }

    /// Rows that have a vector.
    pub fn vectors(&self) -> u64 {
        self.contents().vectors
    }

    /// Numbers of all vectors.
    pub fn numbers(&self) -> u64 {
        self.contents().numbers
    }

    /// Different indices of all vectors.
    pub fn indices(&self) -> u64 {
        self.contents().lists
    }

    /// What it takes of memory beside its bytes.
    pub fn table_bytes(&self) -> u64 {
        self.contents().body.bytes.div_ceil(CHECKED_PAGE_BYTES as u64) * 4
    }

    /// Compares every byte with its checksum.
    ///
    /// # Errors
    /// `Corrupt` names the first page that is damaged.
    pub fn verify(&self) -> Result<()> {
        self.pages.check_all()
    }

    /// The rows that have an index in common with the query, that score `floor` or more and that
    /// `accept` lets in: at most `limit` of them, the best first, and of equal ones the one with the
    /// smaller number. `accept` is asked only for rows that would be among them.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged.
    pub fn search(
        &self,
        query: &SparseVector,
        limit: usize,
        floor: f32,
        accept: &dyn Fn(u32) -> bool,
    ) -> Result<Vec<(f32, u32)>> {
        Search::new(self, query)?.run(limit, floor, accept)
    }

    fn contents(&self) -> &Contents {
        &self.header.contents
    }

    fn directory(&self) -> Directory<'_, B> {
        let Contents { directory, lists, .. } = *self.contents();
        Directory { pages: &self.pages, offset: directory, lists }
    }
}
