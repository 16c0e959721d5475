//! Search by words: BM25 over the texts of a snapshot, and its fusion with search by vectors.
//!
//! Each segment has an index of its words in a file of its own beside it ([`segment_texts`]), each
//! head one in memory ([`head_texts`]), by language and field. They are derived, so nothing of them
//! can be lost or behind: the first search by words makes what is not there, and the segments of
//! flushes and merges are indexed from then on ([`keeping_up`]), because the files that are there
//! say what is searched.
//!
//! A row of an index is a row of its segment, so a snapshot's dead rows and a filter's bitmap count
//! for words as they do for vectors, and a search sees exactly the records of its snapshot.

mod analyzer;
mod best_rows;
mod bm25;
mod builder;
mod field;
mod files;
mod fusion;
mod head_texts;
mod index;
mod keeping_up;
mod language;
mod query;
mod ranking;
mod segment_texts;

pub(crate) use files::verify_index;
pub use fusion::Fusion;
pub(crate) use head_texts::HeadTexts;
pub(crate) use index::header::{Identity, IndexKey};
pub use language::Language;
pub use query::TextQuery;
pub(crate) use segment_texts::{Origins, SegmentTexts};
