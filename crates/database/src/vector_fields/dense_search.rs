//! The nearest vectors of a snapshot in a dense field: graphs are walked, all else is compared.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use kernels::TopK;
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::dense_index::DenseIndex;
use super::field::DenseField;
use super::segment_fields::FieldIndex;
use crate::error::Result;
use crate::graph;
use crate::head::HeadSnapshot;
use crate::score::Query;
use crate::search::{
    BLOCK_ROWS, LEAST_LUCK, NARROW_PRODUCTS, QUICK_PRODUCTS, Ranking, Scratches, SearchOptions,
    TASK_ROWS,
};
use crate::snapshot::{Selection, Snapshot};
use crate::state::{Address, LiveSegment};

/// A search of one field.
pub(super) struct DenseSearch<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) number: u8,
    pub(super) field: DenseField,
    pub(super) options: &'a SearchOptions<'a>,
    /// Candidates that a walk keeps.
    pub(super) effort: usize,
    pub(super) scratches: &'a Scratches,
}

/// A segment, and what is searched of it.
struct Part<'a> {
    number: usize,
    live: &'a LiveSegment,
    index: Arc<FieldIndex>,
    selection: Selection,
}

/// A run of vectors that are compared one by one.
enum Scan {
    /// Places of a part.
    Places(usize, Range<u32>),
    /// The chosen rows of a part.
    Chosen(usize),
}

impl Part<'_> {
    fn index(&self) -> &DenseIndex {
        match &*self.index {
            FieldIndex::Dense(index) => index,
            FieldIndex::Sparse(_) => unreachable!("the index of a dense field is one"),
        }
    }

    fn accepts(&self, row: u32) -> bool {
        match &self.selection {
            Selection::Live => self.live.is_live(row),
            Selection::Rows(rows) => rows.contains(row),
        }
    }
}

impl DenseSearch<'_> {
    /// The best vectors, best first. Does not depend on the number of threads.
    ///
    /// # Errors
    /// `Corrupt` where a segment or an index is damaged.
    pub(super) fn run(&self, vector: &[f32]) -> Result<Ranking> {
        let query = Query::new(vector, self.field.metric);
        let limit = self.options.limit;
        let (mut parts, mut walks, mut scans) = (Vec::new(), Vec::new(), Vec::new());
        let mut products = 0u64;
        for (number, live) in self.snapshot.segments.iter().enumerate() {
            let index = live.segment.field_indexes().index(&live.segment, self.number)?;
            let selection = live.select(self.options.filter)?;
            let part = Part { number, live, index, selection };
            let count = part.index().count();
            let selected = match &part.selection {
                Selection::Live => u64::from(count),
                Selection::Rows(rows) => rows.len().min(count.into()),
            };
            let cost = selected.saturating_mul(self.field.dimension as u64);
            let is_narrow = selected <= limit as u64 || cost <= NARROW_PRODUCTS;
            if part.index().graph().is_some() && !self.options.exact && !is_narrow {
                walks.push(parts.len());
            } else {
                products = products.saturating_add(cost);
                match &part.selection {
                    Selection::Rows(_) => scans.push(Scan::Chosen(parts.len())),
                    Selection::Live => scans.extend(
                        (0..count)
                            .step_by(TASK_ROWS as usize)
                            .map(|start| start..count.min(start.saturating_add(TASK_ROWS)))
                            .map(|places| Scan::Places(parts.len(), places)),
                    ),
                }
            }
            parts.push(part);
        }
        let mut best = TopK::new(limit);
        for walk in walks {
            self.walk(&parts[walk], &query, &mut best)?;
        }
        if products <= QUICK_PRODUCTS {
            scans.iter().try_for_each(|scan| scan_part(&parts, scan, &query, &mut best))?;
        } else {
            let empty = || TopK::new(limit);
            let scanned = scans
                .par_iter()
                .try_fold(empty, |mut best, scan| {
                    scan_part(&parts, scan, &query, &mut best).map(|()| best)
                })
                .try_reduce(empty, |mut best, other| {
                    best.merge(other);
                    Ok(best)
                })?;
            best.merge(scanned);
        }
        for (head, records) in self.snapshot.heads.iter().enumerate() {
            self.scan_head(self.snapshot.segments.len() + head, records, &query, &mut best);
        }
        Ok(best.into_sorted())
    }

    fn walk(&self, part: &Part<'_>, query: &Query<'_>, best: &mut TopK<Address>) -> Result<()> {
        let index = part.index();
        let Some(graph) = index.graph() else { return Ok(()) };
        let prepared = graph.prepare(query.vector());
        let options = graph::SearchOptions {
            effort: self.effort,
            ahead: index.nodes_ahead(),
            ..graph::SearchOptions::new(self.options.limit, graph.coded())
        };
        let (met, accepted) = (Cell::new(0u32), Cell::new(0u32));
        let accept = |place| {
            let accepts = part.accepts(index.row(place));
            met.set(met.get() + 1);
            accepted.set(accepted.get() + u32::from(accepts));
            accepts
        };
        let started = Instant::now();
        let found =
            self.scratches.lend(|scratch| graph.search(&prepared, &options, accept, scratch));
        index.check_walks()?;
        if let Selection::Rows(rows) = &part.selection {
            let expected = rows.len() as f64 / f64::from(part.live.segment.rows());
            let luck = f64::from(accepted.get()) / f64::from(met.get().max(1)) / expected;
            if luck < LEAST_LUCK {
                return scan_chosen(part, rows, query, best);
            }
        }
        index.learn_from_walk(started.elapsed(), self.effort);
        for (score, place) in found {
            best.push(score, Address::new(part.number, index.row(place)));
        }
        Ok(())
    }

    fn scan_head(
        &self,
        part: usize,
        head: &HeadSnapshot,
        query: &Query<'_>,
        best: &mut TopK<Address>,
    ) {
        for (slot, record) in head.records.iter_from(0) {
            let Some((vector, inverse_norm)) = record.vectors.dense(self.number, self.field.metric)
            else {
                continue;
            };
            let mut score = [0.0];
            query.score_rows(vector, &[inverse_norm], &mut score);
            // A filter costs more than a score, so only what would enter is put to it.
            if score[0] >= best.threshold()
                && self.options.filter.is_none_or(|filter| filter.matches(record))
            {
                best.push(score[0], Address::new(part, slot));
            }
        }
    }
}

fn scan_part(
    parts: &[Part<'_>],
    scan: &Scan,
    query: &Query<'_>,
    best: &mut TopK<Address>,
) -> Result<()> {
    let (part, places) = match scan {
        Scan::Places(part, places) => (&parts[*part], places.clone()),
        Scan::Chosen(part) => {
            let part = &parts[*part];
            return match &part.selection {
                Selection::Rows(rows) => scan_chosen(part, rows, query, best),
                Selection::Live => Ok(()),
            };
        }
    };
    let index = part.index();
    let mut scores = [0.0; BLOCK_ROWS];
    for start in places.clone().step_by(BLOCK_ROWS) {
        let block = start..places.end.min(start + BLOCK_ROWS as u32);
        let scores = &mut scores[..block.len()];
        index.score(query, block.clone(), scores)?;
        for (&score, place) in scores.iter().zip(block) {
            let row = index.row(place);
            if score >= best.threshold() && part.accepts(row) {
                best.push(score, Address::new(part.number, row));
            }
        }
    }
    Ok(())
}

fn scan_chosen(
    part: &Part<'_>,
    rows: &RoaringBitmap,
    query: &Query<'_>,
    best: &mut TopK<Address>,
) -> Result<()> {
    let index = part.index();
    let mut score = [0.0];
    for (row, place) in rows.iter().filter_map(|row| Some((row, index.place(row)?))) {
        index.score(query, place..place + 1, &mut score)?;
        best.push(score[0], Address::new(part.number, row));
    }
    Ok(())
}
