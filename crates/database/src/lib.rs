//! A durable vector collection: checksummed log, exact search, metadata filters.
//!
//! A [`Database`] is one folder with one writer. Each [`Collection`] in it is a log on disk, which
//! is the truth, and everything but the texts in memory, which is where searches happen. See
//! `docs/file-format.md` for the bytes.
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
//! let options = SearchOptions { limit: 1, filter: Some(&steep) };
//! assert_eq!(notes.search(&[0.9, 0.1], &options)?[0].id, "north".into());
//! database.close()?;
//! # Ok(())
//! # }
//! ```

mod bytes;
mod collection;
mod compact;
mod database;
mod error;
mod facet;
mod files;
mod filter;
mod flusher;
mod folder;
pub mod format;
mod frame;
mod frames;
mod generations;
pub mod graph;
mod group_by;
mod group_commit;
mod log;
mod mapping;
pub mod metadata_index;
mod order_by;
mod record;
mod record_encoding;
mod records;
mod replay;
mod schema;
mod score;
mod search;
pub mod segment;
mod state;
mod store;
mod transaction;
mod validate;
mod vectors;
mod verify;
mod writer;

pub use collection::{Collection, CollectionStats, Cursor, Page};
pub use database::{Database, DatabaseStats, Durability, Options, Recovery};
pub use error::{Error, Result};
pub use facet::FacetCounts;
pub use filter::{Fields, Filter, FilterError, Key};
pub use group_by::{Groups, RankedGroups};
pub use metadata_index::{Estimate, FieldSource, MetadataIndex, MetadataIndexBuilder};
pub use order_by::{Direction, OrderBy};
pub use record::{Batch, Document, Hit, Id, Place, Record, ScoredId, Transaction, Written};
pub use schema::{Metric, Model, Schema};
pub use search::SearchOptions;
pub use verify::{CollectionReport, Problem, VerifyReport, verify};
