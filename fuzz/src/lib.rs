//! What the fuzz targets share: a sound database to spoil, what reads files, and checksums.

mod checksums;
mod reading;
mod sound;

pub use checksums::{
    pack, seal_end, seal_graph, seal_log, seal_metadata_index, seal_segment, unpack,
};
pub use reading::{Rows, read_collection, read_database};
pub use sound::{Sound, scratch_folder, with_folder};
