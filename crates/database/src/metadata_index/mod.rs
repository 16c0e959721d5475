//! An index of a segment's metadata: from a filter to a bitmap of rows, exactly.
//!
//! [`MetadataIndexBuilder`] takes the fields of each row and writes the index once;
//! [`MetadataIndex`] opens the bytes, usually those of a mapped file, and reads what a question
//! needs. Every key is indexed, nested ones too, without a schema. The answers are those of
//! [`Filter::accepts`](crate::Filter::accepts) for each row: where the index alone cannot tell, it
//! asks a [`FieldSource`] for the fields of the rows in question, and of no others.
//!
//! What is indexed is bounded, so that the index stays small beside what it indexes. A distinct
//! value of a key takes its own bytes (9 for a number) and 17 more; if several rows have it, also 8
//! bytes and at most 4 for each of them, as a roaring bitmap where that is smaller. Beyond these
//! limits rows are told apart by less and then looked at:
//!
//! * Of a string longer than [`MAX_INDEXED_STRING_BYTES`] the index keeps
//!   [`LONG_STRING_PREFIX_BYTES`] and a checksum. Equality looks at the rows with the same two,
//!   order at those whose prefix is the operand's, `$contains` at all of them.
//! * Of an array with more than [`MAX_INDEXED_ELEMENTS`] elements it keeps a checksum: `$contains`
//!   looks at all such rows of the key. Equality of arrays and objects looks at the rows with the
//!   same checksum.
//! * A key longer than [`MAX_INDEXED_KEY_BYTES`], and keys beyond the [`MAX_INDEXED_KEYS`] that
//!   most rows of the segment have, are not indexed: a test of such a key looks at all rows that
//!   have one.
//!
//! ```
//! use database::{Fields, FieldSource, Filter, Id, MetadataIndex, MetadataIndexBuilder, Result};
//! use serde_json::{Value, json};
//!
//! struct Segment(Vec<(Id, Value)>);
//!
//! impl Segment {
//!     fn fields(&self, row: usize) -> Fields<'_> {
//!         let (id, metadata) = &self.0[row];
//!         Fields { id, metadata: Some(metadata), source: None, line: None }
//!     }
//! }
//!
//! impl FieldSource for Segment {
//!     fn with_fields(&self, row: u32, see: &mut dyn FnMut(&Fields<'_>)) -> Result<()> {
//!         see(&self.fields(row as usize));
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let segment = Segment(vec![
//!     ("a".into(), json!({"lang": "en", "year": 2019})),
//!     ("b".into(), json!({"lang": "en", "year": 2023})),
//!     ("c".into(), json!({"lang": "de", "year": 2023.0})),
//! ]);
//! let mut builder = MetadataIndexBuilder::default();
//! for row in 0..3 {
//!     builder.push(&segment.fields(row))?;
//! }
//! let index = MetadataIndex::open(builder.finish(), "segment".as_ref(), 0)?;
//! let filter = Filter::parse(&json!({"year": {"$gte": 2020}, "lang": {"$ne": "en"}}))?;
//! let rows = index.evaluate(&filter, None, &segment)?;
//! assert_eq!(rows.iter().collect::<Vec<_>>(), [2]);
//! # Ok(())
//! # }
//! ```
//!
//! [`MAX_INDEXED_STRING_BYTES`]: crate::format::MAX_INDEXED_STRING_BYTES
//! [`LONG_STRING_PREFIX_BYTES`]: crate::format::LONG_STRING_PREFIX_BYTES
//! [`MAX_INDEXED_ELEMENTS`]: crate::format::MAX_INDEXED_ELEMENTS
//! [`MAX_INDEXED_KEY_BYTES`]: crate::format::MAX_INDEXED_KEY_BYTES
//! [`MAX_INDEXED_KEYS`]: crate::format::MAX_INDEXED_KEYS

mod build;
mod checksum;
mod columns;
mod dictionary;
mod directory;
mod estimate;
mod evaluate;
mod facets;
mod paths;
mod postings;
mod section;
mod select;
mod sorted_rows;

use std::path::Path;

use roaring::RoaringBitmap;

pub use build::MetadataIndexBuilder;
pub use estimate::Estimate;

use crate::error::Result;
use crate::filter::{Fields, Key};
use crate::format::MAX_INDEXED_ROWS;
use directory::{Directory, Parts};
use postings::Postings;
use section::{Contents, Section};

/// Where an index looks up the rows about which its own bytes do not decide.
pub trait FieldSource {
    /// Shows the fields of a row of the segment.
    ///
    /// # Errors
    /// Whatever keeps it from reading them; it is handed through.
    fn with_fields(&self, row: u32, see: &mut dyn FnMut(&Fields<'_>)) -> Result<()>;
}

/// The index of a segment, in bytes that are read when they are needed and checked when they are
/// first read.
pub struct MetadataIndex<B> {
    section: Section<B>,
    contents: Contents,
}

impl<B: AsRef<[u8]>> MetadataIndex<B> {
    /// Opens the bytes of an index, which start at `file_offset` of the file at `path`; both are
    /// for the words of errors. Reads the header and 4 bytes for each 16 KiB.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not what was written, `Version` for those of a newer release.
    pub fn open(bytes: B, path: &Path, file_offset: u64) -> Result<Self> {
        let (section, contents) = section::open(bytes, path, file_offset)?;
        if contents.rows > MAX_INDEXED_ROWS {
            return Err(section.corrupt(0, "has more rows than an index can have"));
        }
        Ok(Self { section, contents })
    }

    /// Rows of the segment.
    pub fn rows(&self) -> u32 {
        self.contents.rows
    }

    /// The keys that are indexed, in the order of their bytes: metadata keys with a dot before
    /// each nested one, and `$id`, `$source` and `$line`.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged.
    pub fn keys(&self) -> Result<Vec<String>> {
        let directory = self.directory();
        (0..self.contents.keys)
            .map(|key| {
                let name = directory.name(key)?.to_vec();
                String::from_utf8(name)
                    .map_err(|_| self.section.corrupt(0, "has a key that is no text"))
            })
            .collect()
    }

    /// Compares every byte with its checksum.
    ///
    /// # Errors
    /// `Corrupt` names the first page that is damaged.
    pub fn verify(&self) -> Result<()> {
        self.section.check_all()
    }

    fn directory(&self) -> Directory<'_, B> {
        Directory {
            section: &self.section,
            offset: self.contents.directory,
            keys: self.contents.keys,
        }
    }

    fn postings(&self) -> Postings<'_, B> {
        Postings::new(&self.section, self.contents.rows)
    }

    /// The parts of a key, or `None` for one that is not indexed: only the rows in
    /// [`MetadataIndex::unindexed`] can have it.
    fn parts(&self, key: &Key) -> Result<Option<Parts>> {
        self.directory().find(key.name())
    }

    /// The rows that have keys which are not indexed.
    fn unindexed(&self) -> Result<RoaringBitmap> {
        self.postings().bitmap(self.contents.unindexed)
    }

    fn all_rows(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.contents.rows);
        all
    }
}
