//! The vectors of a collection, in slabs of a fixed number of rows.
//!
//! Growth never copies a vector: a full slab stays where it is and another one is added. Clones
//! share their slabs and are cheap, which is what lets a search work on a snapshot without a lock;
//! a write to a slab that a snapshot still holds copies that slab (at most [`SLAB_BYTES`], or one
//! vector where that is larger) and leaves the snapshot alone.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use kernels::{Backend, ElementType, RowFactors, code_stride, quantize_row};

use crate::schema::Metric;
use crate::score;

/// A slab is as many rows as fit here, a power of two, so that it stays in a core's cache.
const SLAB_BYTES: usize = 1 << 20;

/// More rows would only make the copy of a shared slab of tiny vectors slower.
const MAX_SLAB_ROWS: usize = 4096;

/// Vectors of fewer numbers are scored as they are: their codes would not be smaller.
const LEAST_CODED_DIMENSION: usize = 64;

/// All vectors by slot.
#[derive(Clone)]
pub(crate) struct Vectors {
    dimension: usize,
    metric: Metric,
    rows_per_slab: usize,
    /// `None` once every row of a slab is gone: its memory went back.
    slabs: Arc<Vec<Option<Arc<Slab>>>>,
}

/// A fixed number of rows, one after the other.
#[derive(Clone)]
pub(crate) struct Slab {
    dimension: usize,
    /// Empty where there are `bits`.
    values: Box<[f32]>,
    /// Packed bits, for Hamming; empty for the other metrics.
    bits: Box<[u8]>,
    /// For cosine, [`score::inverse_norm`] of each row; empty for the other metrics.
    inverse_norms: Box<[f32]>,
    /// One-byte codes of each row, [`code_stride`] apart, which a search looks at first; empty for
    /// small dimensions.
    codes: Box<[i8]>,
    /// What the codes of each row stand for; empty where there are none.
    factors: Box<[RowFactors]>,
    live: Box<[bool]>,
    live_rows: usize,
    /// Rows from here on were never written.
    used_rows: usize,
}

impl Vectors {
    pub(crate) fn new(dimension: usize, metric: Metric) -> Self {
        let fitting = (SLAB_BYTES / (dimension * size_of::<f32>())).clamp(1, MAX_SLAB_ROWS);
        Self { dimension, metric, rows_per_slab: 1 << fitting.ilog2(), slabs: Arc::default() }
    }

    /// Writes a row, new or not. Slots may come in any order, but each slab between the first and
    /// `slot` costs a pointer.
    pub(crate) fn set(&mut self, slot: u32, vector: &[f32]) {
        let (slab, row) = self.locate(slot);
        let slabs = Arc::make_mut(&mut self.slabs);
        if slabs.len() <= slab {
            slabs.resize(slab + 1, None);
        }
        let slab = slabs[slab].get_or_insert_with(|| {
            Arc::new(Slab::new(self.dimension, self.metric, self.rows_per_slab))
        });
        Arc::make_mut(slab).set(row, vector);
    }

    /// Takes a row out of every later search.
    pub(crate) fn remove(&mut self, slot: u32) {
        let (slab, row) = self.locate(slot);
        let entry = &mut Arc::make_mut(&mut self.slabs)[slab];
        if let Some(slab) = entry {
            let slab = Arc::make_mut(slab);
            slab.remove(row);
            if slab.live_rows == 0 {
                *entry = None;
            }
        }
    }

    /// The vector of a live slot.
    ///
    /// # Panics
    /// There never was such a row.
    pub(crate) fn row(&self, slot: u32) -> Cow<'_, [f32]> {
        let (slab, row) = self.locate(slot);
        match &self.slabs[slab] {
            Some(slab) => slab.row(row),
            None => panic!("slot {slot} was removed"),
        }
    }

    pub(crate) fn slab_count(&self) -> usize {
        self.slabs.len()
    }

    /// A slab and the slot of its first row; `None` where no row of it is live.
    pub(crate) fn slab(&self, slab: usize) -> Option<(u32, &Slab)> {
        let rows = self.slabs.get(slab)?.as_deref()?;
        Some(((slab * self.rows_per_slab) as u32, rows))
    }

    /// Rows that a scan of everything meets.
    pub(crate) fn rows(&self) -> usize {
        self.slabs.iter().flatten().map(|slab| slab.rows()).sum()
    }

    /// Bytes of memory, nearly all of it vectors.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.slabs.iter().flatten().map(|slab| slab.memory_bytes()).sum()
    }

    fn locate(&self, slot: u32) -> (usize, usize) {
        (slot as usize / self.rows_per_slab, slot as usize % self.rows_per_slab)
    }
}

impl Slab {
    fn new(dimension: usize, metric: Metric, rows: usize) -> Self {
        let norms = if metric == Metric::Cosine { rows } else { 0 };
        let packed = metric == Metric::Hamming;
        let coded = if dimension >= LEAST_CODED_DIMENSION && !packed { rows } else { 0 };
        let (values, bits) = if packed { (0, rows) } else { (rows, 0) };
        Self {
            dimension,
            values: vec![0.0; values * dimension].into(),
            bits: vec![0; bits * dimension].into(),
            inverse_norms: vec![0.0; norms].into(),
            codes: vec![0; coded * code_stride(dimension)].into(),
            factors: vec![RowFactors::default(); coded].into(),
            live: vec![false; rows].into(),
            live_rows: 0,
            used_rows: 0,
        }
    }

    fn set(&mut self, row: usize, vector: &[f32]) {
        let place = row * self.dimension..(row + 1) * self.dimension;
        if let Some(bits) = self.bits.get_mut(place.clone()) {
            Backend::active()
                .encode_row(ElementType::Bits, vector, bits)
                .expect("a validated vector of packed bits");
        } else {
            self.values[place].copy_from_slice(vector);
        }
        if let Some(inverse_norm) = self.inverse_norms.get_mut(row) {
            *inverse_norm = score::inverse_norm(vector);
        }
        if let Some(factors) = self.factors.get_mut(row) {
            let stride = code_stride(self.dimension);
            *factors = quantize_row(vector, &mut self.codes[row * stride..][..stride]);
        }
        self.live_rows += usize::from(!self.live[row]);
        self.live[row] = true;
        self.used_rows = self.used_rows.max(row + 1);
    }

    fn remove(&mut self, row: usize) {
        self.live_rows -= usize::from(self.live[row]);
        self.live[row] = false;
    }

    /// Rows that were ever written, the removed ones too: see [`Slab::is_live`].
    pub(crate) fn rows(&self) -> usize {
        self.used_rows
    }

    fn row(&self, row: usize) -> Cow<'_, [f32]> {
        match self.bits(row..row + 1) {
            Some(bits) => bits.iter().map(|&byte| byte.into()).collect(),
            None => self.values(row..row + 1).into(),
        }
    }

    /// The packed bits of these rows, one row after the other, where the metric is Hamming.
    pub(crate) fn bits(&self, rows: Range<usize>) -> Option<&[u8]> {
        let place = rows.start * self.dimension..rows.end * self.dimension;
        (!self.bits.is_empty()).then(|| &self.bits[place])
    }

    /// The vectors of these rows, one after the other, where they are not packed bits.
    pub(crate) fn values(&self, rows: Range<usize>) -> &[f32] {
        &self.values[rows.start * self.dimension..rows.end * self.dimension]
    }

    /// For cosine, one a row; empty for the other metrics.
    pub(crate) fn inverse_norms(&self, rows: Range<usize>) -> &[f32] {
        self.inverse_norms.get(rows).unwrap_or_default()
    }

    /// The codes of these rows and what they stand for, where there are any.
    pub(crate) fn codes(&self, rows: Range<usize>) -> Option<(&[i8], &[RowFactors])> {
        let stride = code_stride(self.dimension);
        let factors = self.factors.get(rows.clone())?;
        Some((&self.codes[rows.start * stride..rows.end * stride], factors))
    }

    pub(crate) fn is_live(&self, row: usize) -> bool {
        self.live[row]
    }

    fn memory_bytes(&self) -> u64 {
        let bytes = size_of_val(&*self.values)
            + size_of_val(&*self.bits)
            + size_of_val(&*self.inverse_norms)
            + size_of_val(&*self.codes)
            + size_of_val(&*self.factors)
            + size_of_val(&*self.live);
        bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_it_saw_and_slabs_of_removed_rows_are_given_back() {
        let shapes = [1, 3, 300, 65_536].map(|dimension| (dimension, Metric::Cosine));
        for (dimension, metric) in shapes.into_iter().chain([(16, Metric::Hamming)]) {
            let mut vectors = Vectors::new(dimension, metric);
            let rows = vectors.rows_per_slab as u32;
            assert!(rows.is_power_of_two());
            assert!(rows == 1 || rows as usize * dimension * 4 <= SLAB_BYTES);
            let slots = 2 * rows + 1;
            let number = |slot: u32| (slot % 251) as f32;
            for slot in 0..slots {
                vectors.set(slot, &vec![number(slot); dimension]);
            }
            let full = vectors.memory_bytes();
            let before = vectors.clone();
            vectors.set(0, &vec![255.0; dimension]);
            for slot in rows..2 * rows {
                vectors.remove(slot);
            }
            assert_eq!(vectors.memory_bytes(), full / 3 * 2);
            assert_eq!(vectors.row(0)[0], 255.0);
            assert_eq!(vectors.row(2 * rows)[0], number(2 * rows));
            for slot in 0..slots {
                assert_eq!(before.row(slot)[dimension - 1], number(slot));
            }
            let live = |vectors: &Vectors| -> usize {
                let slabs = (0..vectors.slab_count()).filter_map(|slab| vectors.slab(slab));
                slabs
                    .map(|(_, slab)| slab)
                    .map(|slab| (0..slab.rows()).filter(|row| slab.is_live(*row)).count())
                    .sum()
            };
            assert_eq!((live(&vectors), live(&before)), (rows as usize + 1, slots as usize));
        }
    }
}
