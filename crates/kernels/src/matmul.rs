//! Products of activations with the packed weights of linear layers.
//!
//! `out = activation(x * w + bias)` for x of m rows, in one of three precisions (`format`). What is
//! packed lies in 32-bit words: an `f32`, two `bf16` or four bytes. Weights are packed once (`packed`)
//! into panels of two vectors' width; x is read as it lies. Where a CPU has no instruction for packed
//! numbers, a block of x and one panel at a time are widened first (`widened`). The innermost loop (`tile`)
//! keeps the sums of up to `TILE_ROWS` rows of a panel in registers over the whole depth; `finish`
//! turns them into results.
//!
//! Every element of the product is one chain of multiply-adds in the order of the depth, whatever
//! tile it falls into. So a row of the product depends on its own row of x alone, to the last bit:
//! an encoder built on this gives a text the same vector in any batch.

mod dispatch;
mod finish;
mod format;
mod packed;
mod rows;
mod tile;
mod widened;

pub use finish::Output;
pub use format::Precision;
pub use packed::PackedMatrix;
pub use rows::{Rows, RowsMut};

pub(crate) use dispatch::WordKernel;
pub(crate) use finish::{store_bf16, store_f32};
pub(crate) use format::Format;
use tile::Ahead;
pub(crate) use tile::{MOST_ROWS, Sums, multiply_tile, tile_rows};

use crate::activation::Activation;
use crate::narrow::Bf16;
use crate::quantized_rows::QuantizedView;
use crate::simd::words::Words;
use finish::{RowScales, finish_tile};
use widened::Widened;

/// Bytes of x, as they are multiplied, that meet all panels before the next rows: they stay in the
/// second-level cache.
const BLOCK_BYTES: usize = 256 * 1024;

/// The left-hand side of a product, in the precision of its weights.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// For [`Precision::F32`].
    F32(Rows<'a, f32>),
    /// For [`Precision::Bf16`].
    Bf16(Rows<'a, Bf16>),
    /// For [`Precision::Int8`].
    Int8(QuantizedView<'a>),
}

/// `out = activation(x * w + bias)` on the backend that packed `w`, or a part of its columns: those
/// from `first_column` on that `out` has.
///
/// # Panics
/// The shapes or the precisions do not fit each other, or `first_column` is not a multiple of
/// [`PackedMatrix::panel_width`].
pub fn matmul(
    x: Input<'_>,
    w: &PackedMatrix,
    first_column: usize,
    activation: Activation,
    out: Output<'_>,
) {
    let x = Words32::new(x, w);
    let (count, columns) = out.shape();
    assert_eq!(count, x.count, "out must have as many rows as x");
    assert!(first_column.is_multiple_of(w.width), "a product begins at a panel");
    assert!(columns <= w.columns() - first_column, "out must not be wider than w");
    if count == 0 || columns == 0 {
        return;
    }
    let first_panel = first_column / w.width;
    w.backend.dispatch_words(w.precision, Matmul { x, w, first_panel, activation, out });
}

/// Rows of words, whatever they hold.
#[derive(Clone, Copy)]
struct Words32<'a> {
    /// `count` rows of `4 * w.words` bytes, `stride` bytes apart.
    start: *const u8,
    count: usize,
    stride: usize,
    scales: RowScales<'a>,
}

impl<'a> Words32<'a> {
    fn new(x: Input<'a>, w: &PackedMatrix) -> Words32<'a> {
        fn of<T>(x: Rows<'_, T>, w: &PackedMatrix) -> Words32<'static> {
            assert_eq!(x.columns, w.depth(), "x must have as many columns as w is deep");
            Words32 {
                start: x.data.as_ptr().cast(),
                count: x.count,
                stride: x.stride * size_of::<T>(),
                scales: RowScales { scales: &[], zeros: &[] },
            }
        }
        match (x, w.precision) {
            (Input::F32(x), Precision::F32) => of(x, w),
            (Input::Bf16(x), Precision::Bf16) => of(x, w),
            (Input::Int8(x), Precision::Int8) => {
                Words32 { scales: RowScales { scales: x.scales, zeros: x.zeros }, ..of(x.codes, w) }
            }
            _ => panic!("x must be in the precision of w, {:?}", w.precision),
        }
    }
}

struct Matmul<'a> {
    x: Words32<'a>,
    w: &'a PackedMatrix,
    first_panel: usize,
    activation: Activation,
    out: Output<'a>,
}

impl WordKernel for Matmul<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Words, F: Format<S>>(self, simd: S, format: F) {
        let Matmul { x, w, first_panel, activation, mut out } = self;
        assert_eq!(w.width, 2 * S::F32_LANES);
        let panels = out.shape().1.div_ceil(w.width);
        let depth = F::WORDS * w.words;
        let block = (BLOCK_BYTES / (4 * depth).max(1)).max(MOST_ROWS);
        let mut widened = if F::WORDS > 1 { Widened::take() } else { Widened::default() };
        let mut sums = Sums::new();
        let mut block_start = 0;
        while block_start < x.count {
            let block_end = (block_start + block).min(x.count);
            let (x_start, stride) = if F::WORDS > 1 {
                widened.rows(format, x, block_start..block_end, w.words)
            } else {
                // SAFETY: x has this row.
                (unsafe { x.start.add(block_start * x.stride) }, x.stride)
            };
            for panel in 0..panels {
                let packed = w.panel(first_panel + panel);
                let lines = if F::WORDS > 1 {
                    widened.panel(simd, format, packed)
                } else {
                    packed.as_ptr()
                };
                let columns = w.columns_of(first_panel + panel);
                // The tiles of a panel share out what they fetch of the next.
                let tiles = (block_end - block_start).div_ceil(S::TILE_ROWS);
                let step = w.width * 4 / (F::WORDS * tiles);
                let mut ahead = packed.as_ptr_range().end.cast::<u8>();
                let mut row = block_start;
                while row < block_end {
                    let rows = tile_rows::<S>(block_end - row);
                    // SAFETY: row + rows <= block_end, and the rows from `x_start` on have `depth` words;
                    // a panel has as many lines of two vectors.
                    unsafe {
                        let from = x_start.add((row - block_start) * stride);
                        let ahead = Some(Ahead { from: ahead, step });
                        multiply_tile(
                            simd,
                            format.wide(),
                            rows,
                            from,
                            stride,
                            lines,
                            depth,
                            ahead,
                            &mut sums,
                        );
                    }
                    ahead = ahead.wrapping_add(step * depth);
                    let scales = if F::INTEGER {
                        RowScales {
                            scales: &x.scales.scales[row..][..rows],
                            zeros: &x.scales.zeros[row..][..rows],
                        }
                    } else {
                        x.scales
                    };
                    let at = (row, panel * w.width);
                    finish_tile(
                        simd, format, &sums, rows, scales, &columns, activation, &mut out, at,
                    );
                    row += rows;
                }
            }
            block_start = block_end;
        }
        if F::WORDS > 1 {
            widened.give_back();
        }
    }
}
