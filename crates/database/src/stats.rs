//! What a collection takes.

use crate::error::Result;
use crate::state::{LiveSegment, State};
use crate::vector_fields::VectorField;
use crate::view::View;

/// What is known of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldStats {
    /// The field.
    pub field: VectorField,
    /// Vectors that a graph finds, of records that were deleted meanwhile, too; the others are
    /// compared one by one, or are sparse. Counts the segments whose index was opened: by a search
    /// in the field, or because this process wrote it.
    pub graph_vectors: u64,
}

/// What a collection takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionStats {
    /// Live records.
    pub records: usize,
    /// Live records that a graph finds; the others are compared one by one.
    pub indexed_records: usize,
    /// Entries of the document registry.
    pub documents: usize,
    /// Segments, which hold what is no longer in memory.
    pub segments: usize,
    /// Bytes of all logs and segments.
    pub file_bytes: u64,
    /// Of these, bytes of live records.
    pub live_bytes: u64,
    /// Of these, bytes that a compaction would free, a share of each segment's.
    pub dead_bytes: u64,
    /// Files that are known to be damaged or missing, or were so when the collection was opened.
    pub damaged_files: usize,
    /// The number of the log that takes the writes.
    pub generation: u64,
    /// The collection's fields, in the order of their names.
    pub fields: Vec<FieldStats>,
    /// An estimate of the memory in use. Segments are mapped files, which the operating system
    /// keeps in memory as it sees fit, and they are not counted.
    pub memory_bytes: u64,
}

impl CollectionStats {
    /// `end` is where the newest log ends.
    pub(crate) fn of(view: &View, state: &State, end: u64) -> Result<Self> {
        let generation = state.active_head().log().generation;
        let mut stats = Self {
            records: state.len(),
            documents: state.documents().len(),
            segments: state.segments().len(),
            indexed_records: 0,
            file_bytes: 0,
            live_bytes: 0,
            dead_bytes: 0,
            damaged_files: state.set_aside().len() + view.mended().len(),
            generation,
            fields: (0..)
                .zip(&view.schema().fields)
                .map(|(n, field)| field_stats(state, n, field))
                .collect(),
            memory_bytes: state.memory_bytes(),
        };
        for live in state.segments().iter() {
            stats.damaged_files += usize::from(live.segment.damage_version() > 0);
            let (bytes, rows) = (live.segment.file_bytes(), u64::from(live.segment.rows()));
            let dead =
                (u128::from(bytes) * u128::from(live.dead.len()) / u128::from(rows.max(1))) as u64;
            stats.file_bytes += bytes;
            stats.dead_bytes += dead;
            stats.live_bytes += bytes - dead;
            if live.segment.is_indexed() {
                stats.indexed_records += live.live_rows() as usize;
            }
        }
        for head in state.heads() {
            let log = head.log();
            let end = match log.generation == generation {
                true => end,
                false => log.length()?,
            };
            stats.file_bytes += end;
            stats.live_bytes += head.live_bytes();
            stats.dead_bytes += (end - log.first_frame).saturating_sub(head.live_bytes());
        }
        Ok(stats)
    }
}

fn field_stats(state: &State, number: u8, field: &VectorField) -> FieldStats {
    let known = |live: &LiveSegment| live.segment.field_indexes().known(number);
    let graphs = state.segments().iter().filter_map(known);
    let graph_vectors = graphs.map(|index| u64::from(index.graph_rows())).sum();
    FieldStats { field: field.clone(), graph_vectors }
}
