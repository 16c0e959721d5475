//! A durable vector collection: checksummed log, memory-mapped segments, graph index, filters.
//!
//! A [`Database`] is one folder with one writer. A write to a [`Collection`] is in its log before
//! it counts, and in a head in memory, which is searched exactly. In the background heads become
//! immutable segments on disk, and those are merged into larger ones with a graph, which finds the
//! nearest vectors without looking at all of them. See `docs/file-format.md` for the bytes.
//!
//! ```
//! use database::{Batch, Database, Filter, Metric, Options, Schema, SearchOptions};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("notes.rac");
//! let database = Database::open(path, &Options::default())?;
//! let notes = database.collection("notes", Some(Schema::new(2, Metric::Cosine)))?;
//! notes.upsert(Batch {
//!     ids: vec!["north".into(), "east".into()],
//!     vectors: vec![0.0, 1.0, 1.0, 0.0],
//!     metadata: vec![Some(json!({"degrees": 0})), Some(json!({"degrees": 90}))],
//!     ..Batch::default()
//! })?;
//! let steep = Filter::parse(&json!({"degrees": {"$lt": 90}}))?;
//! let options = SearchOptions { filter: Some(&steep), ..SearchOptions::new(1) };
//! assert_eq!(notes.search(&[0.9, 0.1], &options)?[0].id, "north".into());
//! database.close()?;
//! # Ok(())
//! # }
//! ```

mod background;
mod backup;
mod bit_packing;
mod bytes;
mod collection;
mod containment;
mod copying;
mod database;
mod database_snapshot;
mod derived_files;
pub mod disk;
mod error;
mod facet;
mod files;
mod filter;
mod flusher;
mod folder;
mod follower;
pub mod format;
mod frame;
mod frames;
mod fusion;
mod generations;
pub mod graph;
mod group_by;
mod group_commit;
mod grouped_search;
mod head;
mod held_file;
mod index_file;
mod index_options;
mod intact_frames;
mod listing;
mod log;
mod manifest;
mod mapping;
mod merge_policy;
pub mod metadata_index;
mod opening;
mod order_by;
mod pace;
mod page;
mod paged;
mod prepared;
mod process;
mod publish;
mod reader;
mod recall;
mod record;
mod record_encoding;
mod records;
mod repair;
mod replay;
mod restore;
mod salvage;
mod schema;
mod score;
mod search;
pub mod segment;
mod set_aside;
mod snapshot;
mod sources;
pub mod sparse_index;
mod sparse_vector;
mod state;
mod stats;
mod store;
mod text_search;
mod transaction;
mod upkeep;
mod validate;
mod vector_fields;
mod vectors;
mod verify;
mod view;
mod writer;

pub use collection::{Collection, Cursor, IdKinds, Page};
pub use containment::DamagedFile;
pub use database::{Database, DatabaseStats, Durability, Options, Recovery};
pub use database_snapshot::DatabaseSnapshot;
pub use error::{Error, Result};
pub use facet::FacetCounts;
pub use filter::{Fields, Filter, FilterError, Key};
pub use group_by::{Groups, RankedGroups};
pub use grouped_search::{Group, GroupBy};
pub use index_options::IndexOptions;
pub use kernels::ElementType;
pub use metadata_index::{Estimate, FieldSource, MetadataIndex, MetadataIndexBuilder};
pub use order_by::{Direction, OrderBy};
pub use prepared::PreparedSearch;
pub use record::{
    Batch, Document, FieldColumns, Hit, Id, Place, Record, ScoredId, Transaction, Written,
};
pub use restore::{restore, restore_on};
pub use schema::{Metric, Model, Schema};
pub use search::SearchOptions;
pub use sparse_index::{SparseIndex, SparseScorer};
pub use sparse_vector::SparseVector;
pub use stats::{CollectionStats, FieldStats};
pub use text_search::{Fusion, Language, TextQuery};
pub use upkeep::Progress;
pub use vector_fields::{
    DenseField, FieldKind, FieldQuery, FieldVector, FieldVectors, FusedQuery, VectorField,
};
pub use verify::{CollectionReport, Problem, VerifyReport, verify};
