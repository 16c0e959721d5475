//! Indexing vectors in fields: what flushes and merges write, and what is missing.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::atomic::{AtomicU64, Ordering};

use super::field::{DenseField, FieldKind};
use crate::collection::Collection;
use crate::error::Result;
use crate::index_options::IndexOptions;
use crate::schema::{Metric, Schema};
use crate::segment::Segment;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::store::Store;
use crate::upkeep::Progress;

impl Store {
    /// Indexes the fields of a new segment before searches meet it.
    pub(crate) fn prepare_fields(&self, segment: Option<&Segment>) {
        let Some(segment) = segment else { return };
        for number in 0..self.schema().fields.len() {
            // What cannot be read is the news of the search that needs it.
            let _ = segment.field_indexes().index(segment, number as u8);
        }
    }

    /// Builds the graphs that the fields of a segment want, on the ambient thread pool.
    ///
    /// # Errors
    /// `Interrupted` where `progress` says so.
    pub(crate) fn build_field_graphs(
        &self,
        segment: Option<&Segment>,
        progress: Progress<'_>,
    ) -> Result<()> {
        let Some(segment) = segment else { return Ok(()) };
        for (number, field, rows) in
            graphs_of(self.schema(), &self.index(), self.limits().merged_rows)
        {
            if segment.field_indexes().wants_graph(number, rows) {
                let schema = field.schema();
                let options = field_index(&self.index(), self.schema()).build_options(&schema);
                segment.field_indexes().build_graph(segment, number, &options, progress)?;
            }
        }
        Ok(())
    }

    /// As [`Store::build_field_graphs`], of all segments.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn build_missing_field_graphs(&self, progress: Progress<'_>) -> Result<()> {
        if self.schema().fields.is_empty() {
            return Ok(());
        }
        let segments = self.state()?.segments().clone();
        segments.iter().try_for_each(|live| self.build_field_graphs(Some(&live.segment), progress))
    }

    /// Whether segments that are known to be indexed lack graphs of their fields.
    pub(crate) fn lacks_field_graphs(&self, state: &State) -> bool {
        let fields = graphs_of(self.schema(), &self.index(), self.limits().merged_rows);
        fields.into_iter().any(|(number, _, rows)| {
            state
                .segments()
                .iter()
                .any(|live| live.segment.field_indexes().wants_graph(number, rows.clone()))
        })
    }
}

impl Collection {
    /// Has the background build the graphs that a search of fields misses.
    pub(super) fn look_after_fields(&self, snapshot: &Snapshot) -> Result<()> {
        let fields = graphs_of(self.schema(), &self.index(), u64::MAX);
        let lacks = fields.into_iter().any(|(number, _, rows)| {
            snapshot
                .segments
                .iter()
                .any(|live| live.segment.field_indexes().wants_graph(number, rows.clone()))
        });
        if lacks { self.look_after_damage() } else { Ok(()) }
    }
}

/// How fields are indexed: as the records' own vectors, or by default where those cannot be.
fn field_index(index: &IndexOptions, schema: &Schema) -> IndexOptions {
    if schema.metric == Metric::Hamming { IndexOptions::default() } else { *index }
}

/// The fields that get graphs, and of how many vectors.
fn graphs_of(
    schema: &Schema,
    index: &IndexOptions,
    most_rows: u64,
) -> Vec<(u8, DenseField, RangeInclusive<u32>)> {
    let least = field_index(index, schema).minimum_rows;
    if least == u32::MAX {
        return Vec::new();
    }
    let most = u32::try_from(most_rows).unwrap_or(u32::MAX);
    (0..)
        .zip(&schema.fields)
        .filter_map(|(number, field)| match field.kind {
            FieldKind::Dense(dense) if dense.metric != Metric::Hamming => {
                Some((number, dense, least..=most))
            }
            FieldKind::Dense(_) | FieldKind::Sparse => None,
        })
        .collect()
}

/// Progress whose whole stays what it was when further work begins behind what it was told of.
pub(crate) struct BehindProgress<'a> {
    progress: Progress<'a>,
    whole: AtomicU64,
}

impl<'a> BehindProgress<'a> {
    pub(crate) fn new(progress: Progress<'a>) -> Self {
        Self { progress, whole: AtomicU64::new(1) }
    }

    /// Told by the work in front.
    pub(crate) fn tell(&self, done: u64, whole: u64) -> ControlFlow<()> {
        self.whole.store(whole, Ordering::Relaxed);
        (self.progress)(done, whole)
    }

    /// Told by what is behind it.
    pub(crate) fn tell_behind(&self) -> ControlFlow<()> {
        let whole = self.whole.load(Ordering::Relaxed);
        (self.progress)(whole, whole)
    }
}
