//! Activations as bytes: each row with a scale and a zero point of its own.

use std::ops::Range;

use crate::aligned::AlignedBuffer;
use crate::backend::Backend;
use crate::element::{ElementType, SCALE_BYTES};
use crate::matmul::Format;
use crate::matmul::{Precision, Rows, WordKernel};
use crate::narrow::Bf16;
use crate::row_codec::scale_behind;
use crate::simd::words::Words;
use crate::stored_rows::StoredRows;

/// Rows of unsigned bytes that stand for `scale * (code - zero)`. Scale and zero point are those of
/// the row alone, chosen so that its least and its greatest number, and zero, have codes.
#[derive(Default)]
pub struct QuantizedRows {
    codes: AlignedBuffer<u8>,
    scales: AlignedBuffer<f32>,
    zeros: AlignedBuffer<i32>,
    count: usize,
    columns: usize,
}

/// What turns a signed byte into an unsigned one that is greater by 128.
const SIGN_BIT: u8 = 0x80;

/// [`QuantizedRows`], or some of them, for a product.
#[derive(Clone, Copy)]
pub struct QuantizedView<'a> {
    pub(crate) codes: Rows<'a, u8>,
    pub(crate) scales: &'a [f32],
    pub(crate) zeros: &'a [i32],
}

impl QuantizedRows {
    fn resize(&mut self, count: usize, columns: usize) {
        (self.count, self.columns) = (count, columns);
        self.codes.resize(count * columns);
        self.scales.resize(count);
        self.zeros.resize(count);
    }

    /// Takes stored rows of `Int8` over, those that are listed: the same numbers, without rounding.
    ///
    /// # Panics
    /// The rows are of another type, or one that is listed is not there.
    pub fn take_stored(&mut self, rows: StoredRows<'_>, listed: &[u32]) {
        assert_eq!(rows.element(), ElementType::Int8, "stored bytes");
        let columns = rows.row_bytes() - SCALE_BYTES;
        self.resize(listed.len(), columns);
        for (at, &row) in listed.iter().enumerate() {
            let stored = rows.row(row as usize);
            let codes = &mut self.codes.as_mut_slice()[at * columns..][..columns];
            for (code, byte) in codes.iter_mut().zip(stored) {
                *code = byte ^ SIGN_BIT;
            }
            self.scales.as_mut_slice()[at] = scale_behind(stored);
            self.zeros.as_mut_slice()[at] = i32::from(SIGN_BIT);
        }
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// There are not so many.
    pub fn part(&self, rows: Range<usize>) -> QuantizedView<'_> {
        let codes = &self.codes.as_slice()[rows.start * self.columns..rows.end * self.columns];
        QuantizedView {
            codes: Rows::new(codes, rows.len(), self.columns, self.columns),
            scales: &self.scales.as_slice()[rows.clone()],
            zeros: &self.zeros.as_slice()[rows],
        }
    }

    /// All rows.
    pub fn view(&self) -> QuantizedView<'_> {
        QuantizedView {
            codes: Rows::new(self.codes.as_slice(), self.count, self.columns, self.columns),
            scales: &self.scales.as_slice()[..self.count],
            zeros: &self.zeros.as_slice()[..self.count],
        }
    }
}

impl QuantizedView<'_> {
    /// The numbers that the codes of a row stand for.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let codes = &self.codes.data[row * self.codes.stride..][..self.codes.columns];
        let number = |&code: &u8| (i32::from(code) - self.zeros[row]) as f32 * self.scales[row];
        codes.iter().map(number).collect()
    }
}

impl Backend {
    /// Quantises every row of x. A NaN or an infinity in a row makes all its numbers NaN.
    pub fn quantize_rows(self, x: Rows<'_>, out: &mut QuantizedRows) {
        out.resize(x.count, x.columns);
        self.dispatch_words(Precision::Int8, QuantizeRows { x, out });
    }

    /// [`Backend::quantize_rows`] of bf16.
    pub fn quantize_bf16_rows(self, x: Rows<'_, Bf16>, out: &mut QuantizedRows) {
        out.resize(x.count, x.columns);
        self.dispatch_words(Precision::Int8, QuantizeRows { x, out });
    }
}

/// Numbers that vectors of `f32` are loaded from.
trait Wide: Copy {
    fn to_f32(self) -> f32;
    /// # Safety
    /// `F32_LANES` elements from `from` on are readable.
    unsafe fn load<S: Words>(simd: S, from: *const Self) -> S::F32;
}

impl Wide for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    unsafe fn load<S: Words>(simd: S, from: *const f32) -> S::F32 {
        // SAFETY: the contract is the same.
        unsafe { simd.f32_load(from) }
    }
}

impl Wide for Bf16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        Bf16::to_f32(self)
    }

    #[inline(always)]
    unsafe fn load<S: Words>(simd: S, from: *const Bf16) -> S::F32 {
        // SAFETY: the contract is the same, and a Bf16 is a transparent u16.
        unsafe { simd.bf16_load(from.cast()) }
    }
}

struct QuantizeRows<'a, T> {
    x: Rows<'a, T>,
    out: &'a mut QuantizedRows,
}

impl<T: Wide> WordKernel for QuantizeRows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Words, F: Format<S>>(self, simd: S, _format: F) {
        let QuantizeRows { x, out } = self;
        for row in 0..x.count {
            let from = &x.data[row * x.stride..][..x.columns];
            let to = &mut out.codes.as_mut_slice()[row * x.columns..][..x.columns];
            let (scale, zero) = quantize(simd, from, to);
            out.scales.as_mut_slice()[row] = scale;
            out.zeros.as_mut_slice()[row] = zero;
        }
    }
}

/// Writes the row's codes; its scale and zero point.
#[inline(always)]
fn quantize<S: Words, T: Wide>(simd: S, x: &[T], codes: &mut [u8]) -> (f32, i32) {
    let lanes = S::F32_LANES;
    let whole = x.len() / lanes * lanes;
    // Zero is always within the range, so that it has a code.
    let (mut least, mut greatest) = (simd.f32_splat(0.0), simd.f32_splat(0.0));
    // Turns into NaN where x is NaN or infinite, which comparisons would pass over.
    let mut finite = simd.f32_splat(0.0);
    let nothing = simd.f32_splat(0.0);
    let mut at = 0;
    while at < whole {
        // SAFETY: at + lanes <= whole <= x.len().
        let value = unsafe { T::load(simd, x.as_ptr().add(at)) };
        least = simd.f32_min(least, value);
        greatest = simd.f32_max(greatest, value);
        finite = simd.f32_mul_add(value, nothing, finite);
        at += lanes;
    }
    let (mut least, mut greatest) = (simd.f32_minimum(least), simd.f32_maximum(greatest));
    let mut finite = simd.f32_sum(finite);
    for value in x[whole..].iter().map(|x| x.to_f32()) {
        least = least.min(value);
        greatest = greatest.max(value);
        finite += value * 0.0;
    }
    let scale = (greatest - least) / 255.0 + finite;
    let factor = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let zero = (-least * factor).round_ties_even();
    let (factors, zeros) = (simd.f32_splat(factor), simd.f32_splat(zero));
    let highest = simd.f32_splat(255.0);
    let mut at = 0;
    while at < whole {
        // SAFETY: at + lanes <= whole, which is no more than the length of either slice.
        unsafe {
            let value = T::load(simd, x.as_ptr().add(at));
            let code = simd.f32_add(simd.f32_round(simd.f32_mul(value, factors)), zeros);
            let code = simd.f32_min(simd.f32_max(code, nothing), highest);
            simd.u8_store(codes.as_mut_ptr().add(at), code);
        }
        at += lanes;
    }
    for (code, value) in codes[whole..].iter_mut().zip(&x[whole..]) {
        *code = ((value.to_f32() * factor).round_ties_even() + zero).clamp(0.0, 255.0) as u8;
    }
    (scale, zero as i32)
}
