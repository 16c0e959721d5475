//! Exact integer sums over vectors of bytes, and the scores of `Int8` rows that follow from them.

use crate::backend::Backend;
use crate::dispatch::ByteKernel;
use crate::element::SCALE_BYTES;
use crate::row_codec::scale_behind;
use crate::row_score::{Job, Measure};
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
        unsafe { dot::<S, false>(simd, self.a.as_ptr(), self.b.as_ptr(), self.a.len()) }
    }
}

/// # Safety
/// `length` elements from `a` and from `b` on are readable; the result is of no use where one is -128
/// but was said to be `SYMMETRIC`.
#[inline(always)]
unsafe fn dot<S: ByteProducts, const SYMMETRIC: bool>(
    simd: S,
    a: *const i8,
    b: *const i8,
    length: usize,
) -> i64 {
    let step = if SYMMETRIC { S::SYMMETRIC_STEP } else { S::STEP };
    let mut total = 0;
    let mut at = 0;
    while at < length {
        let end = length.min(at + EXACT_BYTE_PRODUCTS);
        let mut sums = [simd.zero(); 2];
        // SAFETY: at + 2 * step <= end <= length in the loop, at + step after it; the last part
        // is copied into buffers of the longest step. A step is at most 64.
        unsafe {
            while at + 2 * step <= end {
                sums[0] = add::<S, SYMMETRIC>(simd, a.add(at), b.add(at), sums[0]);
                let next = at + step;
                sums[1] = add::<S, SYMMETRIC>(simd, a.add(next), b.add(next), sums[1]);
                at += 2 * step;
            }
            if at + step <= end {
                sums[0] = add::<S, SYMMETRIC>(simd, a.add(at), b.add(at), sums[0]);
                at += step;
            }
            if at < end {
                let (mut a_part, mut b_part) = ([0i8; 64], [0i8; 64]);
                a.add(at).copy_to_nonoverlapping(a_part.as_mut_ptr(), end - at);
                b.add(at).copy_to_nonoverlapping(b_part.as_mut_ptr(), end - at);
                sums[1] = add::<S, SYMMETRIC>(simd, a_part.as_ptr(), b_part.as_ptr(), sums[1]);
                at = end;
            }
        }
        total += i64::from(simd.total_i32(simd.plus(sums[0], sums[1])));
    }
    total
}

/// One step's products.
///
/// # Safety
/// As of the trait's method.
#[inline(always)]
unsafe fn add<S: ByteProducts, const SYMMETRIC: bool>(
    simd: S,
    a: *const i8,
    b: *const i8,
    sum: S::Sum,
) -> S::Sum {
    // SAFETY: the contract is the same.
    unsafe { if SYMMETRIC { simd.dot_symmetric(a, b, sum) } else { simd.dot_i8_i8(a, b, sum) } }
}

/// An `Int8` row that others are scored against.
struct ByteQuery<'a> {
    row: &'a [u8],
    scale: f64,
    /// Its squared norm, where the measure needs it.
    squared: f64,
    measure: Measure,
}

impl<'a> ByteQuery<'a> {
    #[inline(always)]
    fn new<S: ByteProducts>(simd: S, row: &'a [u8], measure: Measure) -> Self {
        let scale = f64::from(scale_behind(row));
        let squared = match measure {
            Measure::Dot => 0.0,
            Measure::SquaredL2 => scale * scale * product(simd, row, row),
        };
        ByteQuery { row, scale, squared, measure }
    }

    #[inline(always)]
    fn score<S: ByteProducts>(&self, simd: S, row: &[u8]) -> f32 {
        let scale = f64::from(scale_behind(row));
        let dot = self.scale * scale * product(simd, self.row, row);
        let score = match self.measure {
            Measure::Dot => dot,
            Measure::SquaredL2 => {
                (self.squared + scale * scale * product(simd, row, row) - 2.0 * dot).max(0.0)
            }
        };
        score as f32
    }
}

/// The dot product of the codes of two `Int8` rows, none of which is -128 unless bytes are damaged.
#[inline(always)]
fn product<S: ByteProducts>(simd: S, a: &[u8], b: &[u8]) -> f64 {
    assert!(a.len() == b.len() && a.len() >= SCALE_BYTES, "rows of the query's dimension");
    // SAFETY: both rows are this many codes and a scale.
    unsafe {
        dot::<S, true>(simd, a.as_ptr().cast(), b.as_ptr().cast(), a.len() - SCALE_BYTES) as f64
    }
}

/// An `Int8` row against one other.
pub(crate) struct ScoreByteRow<'a> {
    pub(crate) query: &'a [u8],
    pub(crate) row: &'a [u8],
    pub(crate) measure: Measure,
}

impl ByteKernel for ScoreByteRow<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: ByteProducts>(self, simd: S) -> f32 {
        ByteQuery::new(simd, self.query, self.measure).score(simd, self.row)
    }
}

/// An `Int8` row against several others.
pub(crate) struct ScoreByteRows<'j, 'a> {
    pub(crate) job: &'j mut Job<'a>,
    pub(crate) measure: Measure,
}

impl ByteKernel for ScoreByteRows<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteProducts>(self, simd: S) {
        let Job { query, rows, selection, ref mut out } = *self.job;
        let query = ByteQuery::new(simd, query, self.measure);
        let mut n = 0;
        while n < out.len() {
            out[n] = query.score(simd, selection.row(rows, n));
            n += 1;
        }
    }
}
