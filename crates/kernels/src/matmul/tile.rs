//! The innermost loop: a few rows times one panel, with all sums in registers.

use std::hint::black_box;

use super::format::Format;
use crate::simd::prefetch;
use crate::simd::words::Words;

/// Words of the widest panel of any backend.
pub(crate) const MOST_WIDTH: usize = 32;
/// Rows of the tallest tile of any backend.
pub(crate) const MOST_ROWS: usize = 12;

/// The sums of a tile: row after row of a panel's width, bits of `f32` or integers.
#[repr(C, align(64))]
pub(crate) struct Sums(pub(crate) [i32; MOST_ROWS * MOST_WIDTH]);

impl Sums {
    pub(crate) fn new() -> Sums {
        Sums([0; MOST_ROWS * MOST_WIDTH])
    }
}

/// How many rows to take next of `left`: as even as they come, since a low tile waits for its own
/// sums.
#[inline(always)]
pub(crate) fn tile_rows<S: Words>(left: usize) -> usize {
    left.div_ceil(left.div_ceil(S::TILE_ROWS))
}

/// What a tile brings into the first-level cache while it multiplies: a part of the next panel, which
/// would otherwise be waited for. The addresses are only hints.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) from: *const u8,
    /// Bytes a word of the depth.
    pub(crate) step: usize,
}

/// Multiplies `rows` rows of x with a panel: `depth` lines of two vectors.
///
/// # Safety
/// `x + row * stride + 4 * depth` bytes are readable for each of the 1 to `TILE_ROWS` rows, and
/// `depth * 2 * F32_LANES` words from `panel` on.
#[expect(clippy::too_many_arguments, reason = "inlined into a loop; there is no struct of them")]
#[inline(always)]
pub(crate) unsafe fn multiply_tile<S: Words, F: Format<S>>(
    simd: S,
    format: F,
    rows: usize,
    x: *const u8,
    stride: usize,
    panel: *const i32,
    depth: usize,
    ahead: Option<Ahead>,
    sums: &mut Sums,
) {
    macro_rules! with_constant_rows {
        ($($count:literal)*) => {
            match rows {
                $($count => if $count <= S::TILE_ROWS {
                    // SAFETY: as this function's.
                    unsafe { multiply_rows::<S, F, $count>(simd, format, x, stride, panel, depth, ahead, sums) }
                },)*
                _ => unreachable!("no backend has taller tiles"),
            }
        };
    }
    with_constant_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// # Safety
/// As [`multiply_tile`].
#[expect(clippy::too_many_arguments, reason = "inlined into a loop; there is no struct of them")]
#[inline(always)]
unsafe fn multiply_rows<S: Words, F: Format<S>, const ROWS: usize>(
    simd: S,
    format: F,
    x: *const u8,
    stride: usize,
    panel: *const i32,
    depth: usize,
    ahead: Option<Ahead>,
    sums: &mut Sums,
) {
    /// Repeats a statement with each number of a row as a constant, so that every sum is a variable of
    /// its own, which a loop over an array in memory would not become.
    macro_rules! for_each_row {
        (|$row:ident| $statement:expr) => {
            for_each_row!(@ $row $statement, 0 1 2 3 4 5 6 7 8 9 10 11)
        };
        (@ $row:ident $statement:expr, $($number:literal)*) => {$(
            if $number < ROWS {
                const $row: usize = $number;
                $statement;
            }
        )*};
    }

    let lanes = S::F32_LANES;
    let zero = simd.splat(0);
    let mut totals = [[zero; 2]; ROWS];
    let mut line = panel;
    // Three rows to a pointer: their distances are in the addresses, and registers suffice. The compiler
    // must not see how the pointers go together, or it computes each row's address from the one before,
    // an instruction a row and word.
    let mut starts = [0, 3, 6, 9].map(|row| black_box(x.wrapping_add(row * stride)));
    let mut wanted = ahead.map(|ahead| ahead.from);
    let mut word = 0;
    while word < depth {
        if let (Some(at), Some(ahead)) = (&mut wanted, ahead) {
            prefetch(at.cast());
            *at = at.wrapping_add(ahead.step);
        }
        // SAFETY: word < depth, so this function's conditions cover the line and the rows' words.
        unsafe {
            let left = simd.load(line);
            let right = simd.load(line.add(lanes));
            for_each_row!(|ROW| {
                let at = starts[ROW / 3].add(ROW % 3 * stride).cast::<i32>();
                let factor = format.broadcast(simd, at.read_unaligned());
                totals[ROW][0] = format.add_products(simd, factor, left, totals[ROW][0]);
                totals[ROW][1] = format.add_products(simd, factor, right, totals[ROW][1]);
            });
            line = line.add(2 * lanes);
        }
        starts = starts.map(|start| start.wrapping_add(4));
        word += 1;
    }
    let to = sums.0.as_mut_ptr();
    for_each_row!(|ROW| {
        // SAFETY: a tile has at most MOST_ROWS rows of at most MOST_WIDTH words.
        unsafe {
            simd.store(to.add(ROW * 2 * lanes), totals[ROW][0]);
            simd.store(to.add(ROW * 2 * lanes + lanes), totals[ROW][1]);
        }
    });
}
