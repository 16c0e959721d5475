//! Search by words: BM25 over the texts of a snapshot, and its fusion with search by vectors.
//!
//! The index of words is derived and in memory alone, so nothing of it can be lost, damaged or
//! behind: each segment's and each head's is made from its texts when the first search by words in
//! a language comes to it, and lives as long as the segment or head. What a flush or a merge
//! writes is indexed by it in the languages that were searched in before.
//!
//! A row of an index is a row of its segment, so a snapshot's dead rows and a filter's bitmap count
//! for words as they do for vectors, and a search sees exactly the records of its snapshot.

mod analyzer;
mod caches;
mod fusion;
mod index;
mod language;
mod ranking;

pub use analyzer::TextQuery;
pub(crate) use caches::{HeadTexts, SegmentTexts};
pub use fusion::Fusion;
pub use language::Language;
