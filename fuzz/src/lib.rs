//! What the fuzz targets share: a sound database to spoil, what reads files, and checksums.

mod checksums;
mod index_files;
mod reading;
mod sound;

pub use checksums::{
    DENSE_INDEX, IndexLayout, SPARSE_INDEX, TEXT_INDEX, pack, seal_end, seal_graph, seal_index,
    seal_log, seal_metadata_index, seal_segment, unpack,
};
pub use index_files::read_with_index;
pub use reading::{Rows, read_collection, read_database};
pub use sound::{Sound, scratch_folder, with_folder};
