//! From a tile's sums to results: scales, bias, activation, and how they are stored.

use std::marker::PhantomData;

use super::format::Format;
use super::packed::PanelColumns;
use super::rows::RowsMut;
use super::tile::{MOST_WIDTH, Sums};
use crate::activation::Activation;
use crate::narrow::Bf16;
use crate::simd::words::Words;

/// Where a product goes.
pub enum Output<'a> {
    /// It is stored.
    F32(RowsMut<'a, f32>),
    /// It is added to what is there.
    AddTo(RowsMut<'a, f32>),
    /// It is rounded and stored.
    Bf16(RowsMut<'a, Bf16>),
}

impl Output<'_> {
    /// The columns before `column`, and those from it on.
    ///
    /// # Panics
    /// There are not so many.
    pub fn split_columns(self, column: usize) -> (Self, Self) {
        match self {
            Output::F32(rows) => {
                let (left, right) = rows.split_columns(column);
                (Output::F32(left), Output::F32(right))
            }
            Output::AddTo(rows) => {
                let (left, right) = rows.split_columns(column);
                (Output::AddTo(left), Output::AddTo(right))
            }
            Output::Bf16(rows) => {
                let (left, right) = rows.split_columns(column);
                (Output::Bf16(left), Output::Bf16(right))
            }
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Output::F32(rows) | Output::AddTo(rows) => (rows.count(), rows.columns()),
            Output::Bf16(rows) => (rows.count(), rows.columns()),
        }
    }
}

/// What the codes of some rows of x stand for: `scale * (code - zero)`. Empty for other formats.
#[derive(Clone, Copy)]
pub(crate) struct RowScales<'a> {
    pub(crate) scales: &'a [f32],
    pub(crate) zeros: &'a [i32],
}

/// Finishes `rows` rows of a tile, which are rows of the result from `first_row` on, columns from
/// `first_column` on.
#[expect(clippy::too_many_arguments, reason = "inlined into a loop; there is no struct of them")]
#[inline(always)]
pub(crate) fn finish_tile<S: Words, F: Format<S>>(
    simd: S,
    format: F,
    sums: &Sums,
    rows: usize,
    row_scales: RowScales<'_>,
    columns: &PanelColumns<'_>,
    activation: Activation,
    out: &mut Output<'_>,
    (first_row, first_column): (usize, usize),
) {
    let lanes = S::F32_LANES;
    let last_column = out.shape().1;
    for from in [0, lanes] {
        let column = first_column + from;
        if column >= last_column {
            break;
        }
        let length = lanes.min(last_column - column);
        let linear = LinearPart::load(simd, format, columns, from);
        match out {
            Output::F32(out) => {
                for row in 0..rows {
                    let value = activation.apply(simd, linear.value(simd, sums, row_scales, row));
                    store_f32(simd, out.part(first_row + row, column, length), value);
                }
            }
            Output::AddTo(out) => {
                for row in 0..rows {
                    let value = activation.apply(simd, linear.value(simd, sums, row_scales, row));
                    let part = out.part(first_row + row, column, length);
                    let sum = simd.f32_add(load(simd, part), value);
                    store_f32(simd, part, sum);
                }
            }
            Output::Bf16(out) => {
                for row in 0..rows {
                    let value =
                        activation.apply_coarsely(simd, linear.value(simd, sums, row_scales, row));
                    store_bf16(simd, format, out.part(first_row + row, column, length), value);
                }
            }
        }
    }
}

/// What turns the sums of a vector of columns into numbers. No closures: they would not be inlined into
/// a function with the instruction set's features.
struct LinearPart<S: Words, F> {
    /// The first of the columns in its panel.
    from: usize,
    bias: S::F32,
    scales: S::F32,
    code_sums: S::Words,
    format: PhantomData<F>,
}

impl<S: Words, F: Format<S>> LinearPart<S, F> {
    /// That of the vector of columns that begins with the panel's column `from`.
    #[inline(always)]
    fn load(simd: S, _format: F, columns: &PanelColumns<'_>, from: usize) -> Self {
        let lanes = S::F32_LANES;
        let (mut scales, mut code_sums) = (simd.f32_splat(1.0), simd.splat(0));
        // SAFETY: the slices have a vector's length.
        let bias = unsafe { simd.f32_load(columns.bias[from..][..lanes].as_ptr()) };
        if F::INTEGER {
            // SAFETY: as above.
            unsafe {
                scales = simd.f32_load(columns.scales[from..][..lanes].as_ptr());
                code_sums = simd.load(columns.code_sums[from..][..lanes].as_ptr());
            }
        }
        LinearPart { from, bias, scales, code_sums, format: PhantomData }
    }

    /// The products of a row that its sums stand for, and the bias.
    #[inline(always)]
    fn value(&self, simd: S, sums: &Sums, rows: RowScales<'_>, row: usize) -> S::F32 {
        let lanes = S::F32_LANES;
        let sums = &sums.0[row * 2 * lanes + self.from..][..lanes];
        // SAFETY: the slice has a vector's length.
        let sum = unsafe { simd.load(sums.as_ptr()) };
        if F::INTEGER {
            let zero = simd.splat(rows.zeros[row] - F::OFFSET);
            let exact = simd.to_f32(simd.sub(sum, simd.mul(zero, self.code_sums)));
            // No multiply-add: the rounding is the same on every backend.
            let scale = simd.f32_mul(self.scales, simd.f32_splat(rows.scales[row]));
            simd.f32_add(simd.f32_mul(exact, scale), self.bias)
        } else {
            simd.f32_add(simd.as_f32(sum), self.bias)
        }
    }
}

/// A vector of the slice's elements, zeros behind.
#[inline(always)]
fn load<S: Words>(simd: S, from: &[f32]) -> S::F32 {
    let mut buffer = [0.0f32; MOST_WIDTH];
    let start = if from.len() == S::F32_LANES {
        from.as_ptr()
    } else {
        buffer[..from.len()].copy_from_slice(from);
        buffer.as_ptr()
    };
    // SAFETY: the slice is as long as a vector, or it is the buffer, which is longer.
    unsafe { simd.f32_load(start) }
}

/// The first `to.len()` elements of a vector.
#[inline(always)]
pub(crate) fn store_f32<S: Words>(simd: S, to: &mut [f32], x: S::F32) {
    if to.len() == S::F32_LANES {
        // SAFETY: the slice is as long as a vector.
        unsafe { simd.f32_store(to.as_mut_ptr(), x) };
    } else {
        let mut buffer = [0.0f32; MOST_WIDTH];
        // SAFETY: the buffer is longer than a vector.
        unsafe { simd.f32_store(buffer.as_mut_ptr(), x) };
        to.copy_from_slice(&buffer[..to.len()]);
    }
}

/// [`store_f32`], rounded.
#[inline(always)]
pub(crate) fn store_bf16<S: Words, F: Format<S>>(simd: S, format: F, to: &mut [Bf16], x: S::F32) {
    if to.len() == S::F32_LANES {
        // SAFETY: the slice is as long as a vector, and its elements are transparent u16.
        unsafe { format.bf16_store(simd, to.as_mut_ptr().cast(), x) };
    } else {
        let mut buffer = [Bf16::default(); MOST_WIDTH];
        // SAFETY: the buffer is longer than a vector.
        unsafe { format.bf16_store(simd, buffer.as_mut_ptr().cast(), x) };
        to.copy_from_slice(&buffer[..to.len()]);
    }
}
