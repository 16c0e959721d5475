//! Four-bit codes of rows: estimates of dot products that are several times as near as those of
//! one-bit codes, for an eighth of the bytes of `f32`.
//!
//! A row r is coded as u, 16 levels of a step that suits its length, and stands for `u - 7.5`, a
//! vector that points nearly where r does. Of what r has along that direction an estimate is without
//! bias (J. Gao et al., "Practical and asymptotically optimal quantization of high-dimensional
//! vectors", SIGMOD 2025, with a fixed step in place of their search for the best one):
//!
//! ```text
//! <y, r> is about |r|^2 <y, u - 7.5> / <r, u - 7.5>
//! ```

use crate::backend::Backend;
use crate::dispatch::{ByteKernel, Kernel};
use crate::row_codec::largest_magnitude;
use crate::simd::{ByteProducts, Simd};

/// Coordinates must be a multiple of this, so that no backend has a remainder to handle.
const UNIT: usize = 64;

/// Bytes of a unit's codes: coordinate i is in the low half of byte i, coordinate 32 + i in its high
/// half.
const UNIT_BYTES: usize = 32;

/// The middle of the levels 0 to 15.
const MIDDLE: f32 = 7.5;

/// The step that leaves least of normally distributed numbers untold, in standard deviations.
const STEP: f32 = 0.335;

/// The greatest absolute value of a rounded query's coordinate.
const QUERY_LIMIT: f32 = 127.0;

/// Bytes of a row's codes.
pub const fn fine_code_bytes(coordinates: usize) -> usize {
    coordinates / 2
}

/// A query in one-byte codes, in the order of its coordinates.
#[derive(Clone, Debug, Default)]
pub struct FineQuery {
    codes: Vec<i8>,
    scale: f32,
    shift: f32,
}

/// What a row's estimates need to know of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FineSums {
    /// `|r|^2`
    pub squared_norm: f32,
    /// `<r, u - 7.5>`
    pub coded: f32,
}

impl FineQuery {
    /// Codes a query; the buffer is reused.
    ///
    /// # Panics
    /// The coordinates are not a multiple of 64.
    pub fn prepare(&mut self, backend: Backend, query: &[f32]) {
        assert!(query.len().is_multiple_of(UNIT));
        backend.dispatch(Prepare { out: self, query });
    }
}

struct Prepare<'a> {
    out: &'a mut FineQuery,
    query: &'a [f32],
}

impl Kernel for Prepare<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { out, query } = self;
        // Where a number is not finite, neither is any estimate.
        let step = largest_magnitude(simd, query).map_or(f32::NAN, |most| most / QUERY_LIMIT);
        let inverse = 1.0 / step;
        // What is too small for a step counts as zeros.
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        out.codes.clear();
        out.codes.resize(query.len(), 0);
        if inverse > 0.0 {
            let inverse = simd.f32_splat(inverse);
            let mut at = 0;
            while at < query.len() {
                // SAFETY: at + F32_LANES <= the length of both; the product is at most 127, nearly.
                unsafe {
                    let y = simd.f32_mul(simd.f32_load(query.as_ptr().add(at)), inverse);
                    simd.f32_store_i8(out.codes.as_mut_ptr().add(at).cast(), simd.f32_round(y));
                }
                at += S::F32_LANES;
            }
        }
        let sum: i32 = out.codes.iter().map(|&code| i32::from(code)).sum();
        out.scale = step;
        out.shift = -MIDDLE * step * sum as f32;
    }
}

impl Backend {
    /// Codes a row.
    ///
    /// # Panics
    /// The coordinates are not a multiple of 64 or do not fit the codes.
    pub fn encode_fine(self, row: &[f32], codes: &mut [u8]) -> FineSums {
        assert!(row.len().is_multiple_of(UNIT) && codes.len() == fine_code_bytes(row.len()));
        let squared_norm = self.dot(row, row);
        let step = STEP * (squared_norm / row.len() as f32).sqrt();
        let inverse = 1.0 / step;
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        let level = |x: f32| (x * inverse + 8.0).clamp(0.0, 15.0) as u8;
        let mut coded = 0.0;
        for (row, codes) in row.chunks_exact(UNIT).zip(codes.chunks_exact_mut(UNIT_BYTES)) {
            let (first, second) = row.split_at(UNIT_BYTES);
            for ((&a, &b), code) in first.iter().zip(second).zip(codes) {
                let (low, high) = (level(a), level(b));
                coded += a * (f32::from(low) - MIDDLE) + b * (f32::from(high) - MIDDLE);
                *code = low | high << 4;
            }
        }
        FineSums { squared_norm, coded }
    }

    /// `<y, u - 7.5>`, about, for a query y.
    ///
    /// # Panics
    /// The codes are not of the query's size.
    #[inline]
    pub fn fine_product(self, query: &FineQuery, codes: &[u8]) -> f32 {
        let sum = self.dispatch_bytes(Product { query: &query.codes, codes });
        query.scale * sum as f32 + query.shift
    }
}

struct Product<'a> {
    query: &'a [i8],
    codes: &'a [u8],
}

impl ByteKernel for Product<'_> {
    type Output = i32;
    #[inline(always)]
    fn run<S: ByteProducts>(self, simd: S) -> i32 {
        assert_eq!(self.query.len(), 2 * self.codes.len(), "codes of another size");
        let (codes, query) = (self.codes.as_ptr(), self.query.as_ptr());
        let mut sum = simd.zero();
        let mut at = 0;
        while at < self.codes.len() {
            // SAFETY: the codes are a multiple of 32 bytes, the query's twice as many.
            sum = unsafe { simd.dot_u4_i8(codes.add(at), query.add(2 * at), sum) };
            at += UNIT_BYTES;
        }
        simd.total_i32(sum)
    }
}
