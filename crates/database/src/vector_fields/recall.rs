//! How good approximate searches in a dense field are, measured against exact ones.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::field::{DenseField, FieldKind, field_named};
use super::search::FieldQuery;
use super::segment_fields::FieldIndex;
use super::vectors::FieldVector;
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::recall::{evenly, measure};
use crate::search::SearchOptions;
use crate::snapshot::Snapshot;
use crate::state::Address;
use crate::upkeep::Progress;
use crate::validate::validate_queries;

impl Collection {
    /// As [`Collection::recall`], of searches in a dense field: records without a vector there are not
    /// looked for.
    ///
    /// # Errors
    /// As [`Collection::recall`]; `InvalidArgument` for a field that is not there, or is sparse: its
    /// searches are exact.
    pub fn recall_field(
        &self,
        field: &str,
        queries: &[f32],
        options: &SearchOptions<'_>,
        progress: Progress<'_>,
    ) -> Result<f64> {
        let (number, dense) = self.dense_field(field)?;
        validate_queries(queries, queries.len() / dense.dimension, dense.dimension, dense.metric)?;
        self.contain(|| {
            self.recall_in(&self.snapshot()?, number, dense, (queries, &[]), options, progress)
        })
    }

    /// As [`Collection::recall_of_sample`], of searches in a dense field, with the vectors that `sample`
    /// records have there.
    ///
    /// # Errors
    /// As [`Collection::recall_field`].
    pub fn recall_field_of_sample(
        &self,
        field: &str,
        sample: usize,
        options: &SearchOptions<'_>,
        progress: Progress<'_>,
    ) -> Result<f64> {
        let (number, dense) = self.dense_field(field)?;
        self.contain(|| {
            let snapshot = self.snapshot()?;
            let addresses = evenly(&with_vectors(&snapshot, number)?, sample);
            let mut queries = Vec::new();
            for address in &addresses {
                let record = snapshot.record(*address)?;
                let vector = record.as_ref().and_then(|record| record.vectors.get(number));
                if let Some(FieldVector::Dense(vector)) = vector {
                    queries.extend_from_slice(vector);
                }
            }
            self.recall_in(&snapshot, number, dense, (&queries, &addresses), options, progress)
        })
    }

    fn dense_field(&self, field: &str) -> Result<(u8, DenseField)> {
        match field_named(&self.schema().fields, field)? {
            (number, FieldKind::Dense(dense)) => Ok((number, dense)),
            (_, FieldKind::Sparse) => Err(Error::InvalidArgument(format!(
                "field '{field}' is sparse: searches in it are always exact"
            ))),
        }
    }

    /// The queries, one behind the other, and whose own they are, if they are records'.
    fn recall_in(
        &self,
        snapshot: &Snapshot,
        number: u8,
        dense: DenseField,
        (queries, own): (&[f32], &[Address]),
        options: &SearchOptions<'_>,
        progress: Progress<'_>,
    ) -> Result<f64> {
        options.validate()?;
        let kind = FieldKind::Dense(dense);
        let queries: Vec<&[f32]> = queries.chunks_exact(dense.dimension).collect();
        let limit = options.limit + usize::from(!own.is_empty());
        measure(queries.len(), own, limit, progress, &|block, exact| {
            let options = SearchOptions { limit, exact: exact || options.exact, ..*options };
            let rank = |query: &&[f32]| {
                self.rank_field(snapshot, number, kind, &FieldQuery::Dense(query), &options)
            };
            queries[block].par_iter().map(rank).collect()
        })
    }
}

/// The live rows of each part that have a vector in a dense field.
fn with_vectors(snapshot: &Snapshot, number: u8) -> Result<Vec<RoaringBitmap>> {
    let mut parts = Vec::with_capacity(snapshot.segments.len() + snapshot.heads.len());
    for live in snapshot.segments.iter() {
        let index = live.segment.field_indexes().index(&live.segment, number)?;
        let FieldIndex::Dense(index) = &*index else { continue };
        let rows = (0..index.count()).map(|place| index.row(place));
        parts.push(rows.filter(|row| live.is_live(*row)).collect());
    }
    for head in &snapshot.heads {
        let with = head.records.iter_from(0);
        let with = with.filter(|(_, record)| record.vectors.get(number).is_some());
        parts.push(with.map(|(slot, _)| slot).collect());
    }
    Ok(parts)
}
