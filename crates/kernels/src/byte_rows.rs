//! Exact integer sums over vectors of bytes, and the scores of `Int8` rows that follow from them.

use crate::backend::Backend;
use crate::dispatch::ByteKernel;
use crate::element::SCALE_BYTES;
use crate::row_codec::scale_behind;
use crate::row_score::{Measure, Selection, StoredRows};
use crate::simd::{ByteProducts, EXACT_BYTE_PRODUCTS};

impl Backend {
    /// Sum of `a[i] * b[i]`, exact.
    ///
    /// # Panics
    /// The lengths differ.
    pub fn dot_bytes(self, a: &[i8], b: &[i8]) -> i64 {
        self.dispatch_bytes(DotBytes { a, b })
    }

    /// Sum of `(a[i] - b[i])^2`, exact.
    ///
    /// # Panics
    /// The lengths differ.
    pub fn squared_l2_bytes(self, a: &[i8], b: &[i8]) -> i64 {
        self.dot_bytes(a, a) + self.dot_bytes(b, b) - 2 * self.dot_bytes(a, b)
    }
}

struct DotBytes<'a> {
    a: &'a [i8],
    b: &'a [i8],
}

impl ByteKernel for DotBytes<'_> {
    type Output = i64;
    #[inline(always)]
    fn run<S: ByteProducts>(self, simd: S) -> i64 {
        assert_eq!(self.a.len(), self.b.len(), "vectors must be of the same length");
        // SAFETY: both vectors are of this length.
        unsafe { dot(simd, self.a.as_ptr(), self.b.as_ptr(), self.a.len()) }
    }
}

/// # Safety
/// `length` elements from `a` and from `b` on are readable.
#[inline(always)]
unsafe fn dot<S: ByteProducts>(simd: S, a: *const i8, b: *const i8, length: usize) -> i64 {
    let mut total = 0;
    let mut at = 0;
    while at < length {
        let end = length.min(at + EXACT_BYTE_PRODUCTS);
        let mut sums = [simd.zero(); 2];
        // SAFETY: at + 2 * STEP <= end <= length in the loop, at + STEP after it; the last part
        // is copied into buffers of the longest step. A step is at most 64.
        unsafe {
            while at + 2 * S::STEP <= end {
                sums[0] = simd.dot_i8_i8(a.add(at), b.add(at), sums[0]);
                let next = at + S::STEP;
                sums[1] = simd.dot_i8_i8(a.add(next), b.add(next), sums[1]);
                at += 2 * S::STEP;
            }
            if at + S::STEP <= end {
                sums[0] = simd.dot_i8_i8(a.add(at), b.add(at), sums[0]);
                at += S::STEP;
            }
            if at < end {
                let (mut a_part, mut b_part) = ([0i8; 64], [0i8; 64]);
                a.add(at).copy_to_nonoverlapping(a_part.as_mut_ptr(), end - at);
                b.add(at).copy_to_nonoverlapping(b_part.as_mut_ptr(), end - at);
                sums[1] = simd.dot_i8_i8(a_part.as_ptr(), b_part.as_ptr(), sums[1]);
                at = end;
            }
        }
        total += simd.total(sums[0]) + simd.total(sums[1]);
    }
    total
}

/// An `Int8` row against others.
pub(crate) struct ScoreByteRows<'a> {
    pub(crate) query: &'a [u8],
    pub(crate) rows: StoredRows<'a>,
    pub(crate) selection: Selection<'a>,
    pub(crate) measure: Measure,
    pub(crate) out: &'a mut [f32],
}

impl ByteKernel for ScoreByteRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteProducts>(self, simd: S) {
        let dimension = self.query.len() - SCALE_BYTES;
        let query: *const i8 = self.query.as_ptr().cast();
        let query_scale = f64::from(scale_behind(self.query));
        let query_squared = match self.measure {
            Measure::Dot => 0.0,
            Measure::SquaredL2 => {
                // SAFETY: the query is `dimension` codes and a scale.
                query_scale * query_scale * unsafe { dot(simd, query, query, dimension) } as f64
            }
        };
        let mut n = 0;
        while n < self.out.len() {
            let stored = self.selection.row(self.rows, n);
            assert_eq!(stored.len(), self.query.len(), "rows of the query's dimension");
            let row: *const i8 = stored.as_ptr().cast();
            let scale = f64::from(scale_behind(stored));
            // SAFETY: query and row are `dimension` codes and a scale each.
            let product = unsafe { dot(simd, query, row, dimension) } as f64;
            let product = query_scale * scale * product;
            self.out[n] = match self.measure {
                Measure::Dot => product,
                Measure::SquaredL2 => {
                    // SAFETY: as above.
                    let row_squared =
                        scale * scale * unsafe { dot(simd, row, row, dimension) } as f64;
                    (query_squared + row_squared - 2.0 * product).max(0.0)
                }
            } as f32;
            n += 1;
        }
    }
}
