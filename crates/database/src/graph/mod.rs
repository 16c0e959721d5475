//! An approximate index of vectors: a graph whose nodes carry codes of their neighbours.
//!
//! A node's record holds its vector, the numbers of its neighbours and, for each neighbour, a code
//! of one bit a coordinate relative to the node, so that a walk reads one record a step: from it
//! come the exact score of the node and the estimates of all of its neighbours (Y. Gou et al.,
//! "SymphonyQG: Towards Symphonious Integration of Quantization and Graph for Approximate Nearest
//! Neighbor Search", SIGMOD 2025). `docs/search-index.md` explains it with figures, and
//! `docs/file-format.md` the bytes.
//!
//! ```
//! use std::ops::ControlFlow;
//! use database::Metric;
//! use database::graph::{BuildOptions, Graph, Rows, Scratch, SearchOptions, build};
//!
//! struct Circle;
//! impl Rows for Circle {
//!     fn count(&self) -> u32 {
//!         360
//!     }
//!     fn copy(&self, row: u32, out: &mut [f32]) {
//!         let angle = (row as f32).to_radians();
//!         out.copy_from_slice(&[angle.cos(), angle.sin()]);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut region = Vec::new();
//! let options = BuildOptions::new(2, Metric::Cosine);
//! build(&Circle, &options, &|_, _| ControlFlow::Continue(()), &mut region)?;
//! let graph = Graph::open(region)?;
//! let query = graph.prepare(&[0.0, 3.0]);
//! let options = SearchOptions::new(1, 2);
//! let found = graph.search(&query, &options, |_row| true, &mut Scratch::default());
//! assert_eq!(found[0].1, 90);
//! # Ok(())
//! # }
//! ```

mod adjacency;
mod best_estimates;
mod build;
mod chosen_rows;
mod coded_rows;
mod compare;
mod edges;
mod entries;
mod error;
mod fine_codes;
mod fine_rows;
mod fine_walk;
mod header;
pub mod layout;
mod neighbour_lists;
mod open;
mod order;
mod partition;
mod point_codes;
mod progress;
mod prune;
mod query;
mod random;
mod refine;
mod salvage;
mod scattered_bytes;
mod search;
mod space;
mod walk;
mod write;

pub use build::{BuildOptions, build};
pub use chosen_rows::ChosenRows;
pub use coded_rows::CodedRows;
pub use error::GraphError;
pub use fine_rows::FineRows;
pub use kernels::ElementType;
pub use open::{Graph, Region};
pub use query::Query;
pub use search::{
    SearchOptions, coded_effort, default_effort, filtered_effort, is_short, shared_effort,
};
pub use walk::Scratch;

/// Random access to the vectors that a graph is built of. Numbers of rows are numbers of nodes.
pub trait Rows: Sync {
    /// How many there are.
    fn count(&self) -> u32;
    /// Copies the vector of a row below `count()`, all of whose elements are finite.
    fn copy(&self, row: u32, out: &mut [f32]);
}
