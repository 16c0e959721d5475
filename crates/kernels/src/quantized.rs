//! One-byte codes of `f32` rows whose dot products come with an exact error bound.
//!
//! A row x is coded as `scale * codes` with residual e = x - scale * codes, a query q likewise (in
//! 11 bits). Then `q.x = q'.x' + (q - q').x' + q.e`, where ' marks the coded vectors, and by
//! Cauchy-Schwarz the last two terms are at most `|q - q'| |x'| + |q| |e|`. A scan over codes
//! reads a quarter of the bytes of a scan over `f32`, and a row whose ceiling is below the k-th best
//! exact score needs no second look: the result stays exact.

use crate::backend::Backend;
use crate::dispatch::{ByteKernel, Kernel};
use crate::element::{Float32, load_next};
use crate::row_codec::largest_magnitude;
use crate::simd::{ByteProducts, Simd, prefetch};

/// Codes are stored in rows of a multiple of this many bytes, zero-padded, so that no backend has
/// a remainder to handle.
const STRIDE_UNIT: usize = 32;

/// The longest row: beyond it the 32-bit sums of a backend with four lanes could overflow
/// (`65,536 / 4 * 127 * 1,023 < 2^31`).
pub const MAXIMUM_DIMENSION: usize = 65_536;

const ROW_LIMIT: f32 = 127.0;
const QUERY_LIMIT: f32 = 1023.0;

/// Widens error bounds beyond the rounding errors of the `f32` sums behind them: a dot product of
/// n terms is off by at most about `n * 2^-24` relative to the product of the norms, and the worst
/// n is 65,536. In practice the error is a thousand times smaller.
const ROUNDING: f32 = 1.0 / 256.0;

/// Bytes between the codes of one row and the next for vectors of `dimension` elements.
pub fn code_stride(dimension: usize) -> usize {
    dimension.next_multiple_of(STRIDE_UNIT)
}

/// Added to every dot product's ceiling: products of numbers this small round to zero on the way,
/// which no error relative to the norms accounts for.
const UNDERFLOW: f32 = 1e-35;

/// What a row's codes stand for and how far off they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowFactors {
    /// The row is about `scale * codes`.
    pub scale: f32,
    /// Norm of what the codes miss.
    pub residual_norm: f32,
    /// Norm of what the codes say.
    pub coded_norm: f32,
}

/// A query in 11-bit codes.
pub struct QuantizedQuery {
    codes: Vec<i16>,
    scale: f32,
    norm: f32,
    residual_norm: f32,
    rounding: f32,
}

impl QuantizedQuery {
    /// Codes a finite vector of at most [`MAXIMUM_DIMENSION`] elements.
    pub fn new(query: &[f32]) -> Self {
        assert!(query.len() <= MAXIMUM_DIMENSION);
        let scale = scale_of(query, QUERY_LIMIT);
        let mut codes = vec![0i16; code_stride(query.len())];
        let mut residual = 0.0f64;
        let mut squared = 0.0f64;
        for (code, &x) in codes.iter_mut().zip(query) {
            *code = code_of(x, scale, QUERY_LIMIT) as i16;
            residual += square(f64::from(x) - f64::from(scale) * f64::from(*code));
            squared += square(f64::from(x));
        }
        let rounding = ROUNDING * (query.len() as f32 / MAXIMUM_DIMENSION as f32).max(1.0 / 1024.0);
        QuantizedQuery {
            codes,
            scale,
            norm: round_up(squared.sqrt()),
            residual_norm: round_up(residual.sqrt()),
            rounding,
        }
    }

    /// The greatest exact dot product that a row with this estimate can have.
    #[inline]
    pub fn dot_ceiling(&self, estimate: f32, row: &RowFactors) -> f32 {
        let rounding = self.rounding * self.norm * (row.coded_norm + row.residual_norm);
        let query_error = self.residual_norm * row.coded_norm;
        estimate + self.norm * row.residual_norm + query_error + rounding + UNDERFLOW
    }

    /// The least exact squared distance that a row with this estimate can have: by the triangle
    /// inequality a distance to the coded row is off by at most the norm of the residual.
    #[inline]
    pub fn squared_l2_floor(&self, estimate: f32, row: &RowFactors) -> f32 {
        let norms = self.norm + row.coded_norm + row.residual_norm;
        let rounding = self.rounding * norms * norms;
        let greatest_dot = estimate + self.residual_norm * row.coded_norm + UNDERFLOW;
        let squared =
            self.norm * self.norm + row.coded_norm * row.coded_norm - 2.0 * greatest_dot - rounding;
        let distance = squared.max(0.0).sqrt() - row.residual_norm;
        distance.max(0.0) * distance.max(0.0)
    }
}

/// [`Backend::quantize_row`] on the active backend.
pub fn quantize_row(row: &[f32], codes: &mut [i8]) -> RowFactors {
    Backend::active().quantize_row(row, codes)
}

impl Backend {
    /// Codes a finite row into `codes`, which must be `code_stride(row.len())` long.
    pub fn quantize_row(self, row: &[f32], codes: &mut [i8]) -> RowFactors {
        assert_eq!(codes.len(), code_stride(row.len()));
        self.dispatch(QuantizeRow { row, codes })
    }
}

struct QuantizeRow<'a> {
    row: &'a [f32],
    codes: &'a mut [i8],
}

impl Kernel for QuantizeRow<'_> {
    type Output = RowFactors;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowFactors {
        let (length, from) = (self.row.len(), self.row.as_ptr());
        let to: *mut u8 = self.codes.as_mut_ptr().cast();
        let scale = largest_magnitude(simd, self.row).unwrap_or(f32::INFINITY) / ROW_LIMIT;
        // A scale of 0 (a zero or subnormal row) leaves everything to the residual.
        let divisor = simd.f32_splat(if scale == 0.0 { f32::INFINITY } else { scale });
        let (most, least) = (simd.f32_splat(ROW_LIMIT), simd.f32_splat(-ROW_LIMIT));
        let zero = simd.f64_splat(0.0);
        let (plus, minus) = (f64::from(scale), -f64::from(scale));
        let (plus, minus) = (simd.f64_splat(plus), simd.f64_splat(minus));
        let (mut residual, mut coded) = (zero, zero);
        let mut at = 0;
        while at < length {
            let count = S::F32_LANES.min(length - at);
            // One vector of the row and one of its codes, of at most 16 lanes.
            let (mut x, mut code) = ([0.0f32; 16], [0.0f32; 16]);
            // SAFETY: `count` elements are left of the row, and of the codes, which are as long at
            // least; the rest stays within the buffers.
            unsafe {
                let row = load_next::<Float32, S>(simd, from.add(at).cast(), count);
                let quotient = simd.f32_div(row, divisor);
                let codes = simd.f32_round(simd.f32_min(simd.f32_max(quotient, least), most));
                simd.f32_store(x.as_mut_ptr(), row);
                simd.f32_store(code.as_mut_ptr(), codes);
                if count == S::F32_LANES {
                    simd.f32_store_i8(to.add(at), codes);
                } else {
                    let mut bytes = [0u8; 16];
                    simd.f32_store_i8(bytes.as_mut_ptr(), codes);
                    bytes.as_ptr().copy_to_nonoverlapping(to.add(at), count);
                }
                let mut lane = 0;
                while lane < S::F32_LANES {
                    let x = simd.f64_load_f32(x.as_ptr().add(lane));
                    let code = simd.f64_load_f32(code.as_ptr().add(lane));
                    let missed = simd.f64_mul_add(minus, code, x);
                    residual = simd.f64_mul_add(missed, missed, residual);
                    let value = simd.f64_mul_add(plus, code, zero);
                    coded = simd.f64_mul_add(value, value, coded);
                    lane += S::F64_LANES;
                }
            }
            at += count;
        }
        self.codes[length..].fill(0);
        RowFactors {
            scale,
            residual_norm: round_up(simd.f64_sum(residual).sqrt()),
            coded_norm: round_up(simd.f64_sum(coded).sqrt()),
        }
    }
}

fn scale_of(x: &[f32], limit: f32) -> f32 {
    x.iter().fold(0.0f32, |most, x| most.max(x.abs())) / limit
}

fn code_of(x: f32, scale: f32, limit: f32) -> f32 {
    // A scale of 0 (a zero or subnormal vector) leaves everything to the residual.
    if scale == 0.0 { 0.0 } else { (x / scale).round_ties_even().clamp(-limit, limit) }
}

fn square(x: f64) -> f64 {
    x * x
}

fn round_up(x: f64) -> f32 {
    (x as f32).next_up()
}

impl Backend {
    /// `out[i]` = estimate of `dot(query, row i)`, off by at most the slack of
    /// [`QuantizedQuery::dot_ceiling`].
    ///
    /// # Panics
    /// The three slices do not hold equally many rows of the query's dimension.
    pub fn estimate_dots(
        self,
        query: &QuantizedQuery,
        codes: &[i8],
        factors: &[RowFactors],
        out: &mut [f32],
    ) {
        self.dispatch_bytes(EstimateDots { query, codes, factors, out });
    }
}

struct EstimateDots<'a> {
    query: &'a QuantizedQuery,
    codes: &'a [i8],
    factors: &'a [RowFactors],
    out: &'a mut [f32],
}

impl ByteKernel for EstimateDots<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteProducts>(self, simd: S) {
        const AHEAD: usize = 4;
        let stride = self.query.codes.len();
        assert_eq!(self.codes.len(), stride * self.out.len());
        assert_eq!(self.factors.len(), self.out.len());
        let query = self.query.codes.as_ptr();
        let mut index = 0;
        while index < self.out.len() {
            let row = self.codes[index * stride..(index + 1) * stride].as_ptr();
            let mut sums = [simd.zero(); 2];
            let mut at = 0;
            while at < stride {
                // A stride is a multiple of 32, hence of every backend's step, and even in steps
                // except where a step is the whole unit: then the second sum stays zero.
                // SAFETY: at + CODE_STEP <= stride, the length of the row and of the query.
                unsafe {
                    prefetch(row.wrapping_add(at + AHEAD * stride).cast());
                    sums[0] = simd.dot_i8_i16(row.add(at), query.add(at), sums[0]);
                }
                at += S::CODE_STEP;
                if at < stride {
                    // SAFETY: as above.
                    unsafe { sums[1] = simd.dot_i8_i16(row.add(at), query.add(at), sums[1]) };
                    at += S::CODE_STEP;
                }
            }
            let dot = simd.total(sums[0]) + simd.total(sums[1]);
            self.out[index] = dot as f32 * (self.factors[index].scale * self.query.scale);
            index += 1;
        }
    }
}
