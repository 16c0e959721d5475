//! Four bits a coordinate of rows, in memory: what a row's score is about, for an eighth of its bytes.

use kernels::{Backend, FineQuery, fine_code_bytes};

use super::layout::f32_at;
use super::query::Query;
use super::scattered_bytes::ScatteredBytes;
use super::space::Points;

/// Bytes of a row before its code: an offset and a slope.
const FIXED_BYTES: usize = 8;

/// What four bits a coordinate leave untold of a residual, as a part of its squared length.
const UNTOLD: f32 = 0.0116;

/// Codes of rows relative to the centre of a space.
pub(super) struct FineCodes {
    row_bytes: usize,
    bytes: ScatteredBytes,
    /// Rows that were coded.
    count: usize,
    /// The greatest distance of a row from the centre.
    radius: f32,
}

impl FineCodes {
    /// With places for so many rows of this padded dimension.
    pub(super) fn new(rows: usize, padded: usize) -> Self {
        let row_bytes = Self::row_bytes(padded);
        let bytes = ScatteredBytes::zeroed(rows * row_bytes);
        Self { row_bytes, bytes, count: 0, radius: 0.0 }
    }

    pub(super) fn row_bytes(padded: usize) -> usize {
        FIXED_BYTES + fine_code_bytes(padded)
    }

    /// Codes these points into the next places.
    ///
    /// # Panics
    /// There are not so many.
    pub(super) fn extend(&mut self, backend: Backend, points: &Points) {
        let places = self.bytes[self.count * self.row_bytes..].chunks_exact_mut(self.row_bytes);
        for (point, place) in (0..points.len() as u32).zip(places) {
            let (head, codes) = place.split_at_mut(FIXED_BYTES);
            let sums = backend.encode_fine(points.get(point), codes);
            let lift = points.lift(point);
            let slope = 2.0 * sums.squared_norm / sums.coded;
            let slope = if slope.is_finite() { slope } else { 0.0 };
            head[..4].copy_from_slice(&(-sums.squared_norm - lift * lift).to_le_bytes());
            head[4..].copy_from_slice(&slope.to_le_bytes());
            self.radius = self.radius.max(sums.squared_norm.sqrt());
        }
        self.count += points.len();
        assert!(self.count * self.row_bytes <= self.bytes.len(), "more rows than places");
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    #[inline]
    fn row(&self, row: u32) -> &[u8] {
        &self.bytes[row as usize * self.row_bytes..][..self.row_bytes]
    }

    /// Hints that a row's similarity will be asked for next.
    #[inline]
    pub(super) fn request(&self, backend: Backend, row: u32) {
        backend.prefetch_near(self.row(row));
    }

    /// A row's similarity to a query, about; `base` is that of the centre.
    #[inline]
    pub(super) fn similarity(
        &self,
        backend: Backend,
        query: &FineQuery,
        base: f32,
        row: u32,
    ) -> f32 {
        let row = self.row(row);
        let product = backend.fine_product(query, &row[FIXED_BYTES..]);
        base + f32_at(row, 0) + f32_at(row, 4) * product
    }

    /// Of a similarity, at most.
    pub(super) fn standard_error(&self, query: &Query<'_>) -> f32 {
        2.0 * query.distance * self.radius * (UNTOLD / query.point.len() as f32).sqrt()
    }
}
