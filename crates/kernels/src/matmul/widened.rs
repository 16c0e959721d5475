//! Copies of x and of a panel in the words that are multiplied, where those are not the packed ones.

use std::cell::Cell;
use std::ops::Range;

use super::Words32;
use super::format::Format;
use crate::aligned::AlignedBuffer;
use crate::simd::words::Words;

thread_local! {
    /// A thread's buffers from one product to the next.
    static KEPT: Cell<Widened> = const { Cell::new(Widened::new()) };
}

/// Buffers for a block of x and for a panel.
pub(super) struct Widened {
    rows: AlignedBuffer<i32>,
    panel: AlignedBuffer<i32>,
}

impl Default for Widened {
    fn default() -> Widened {
        Widened::new()
    }
}

impl Widened {
    const fn new() -> Widened {
        Widened { rows: AlignedBuffer::new(), panel: AlignedBuffer::new() }
    }

    /// This thread's buffers, until they are given back.
    pub(super) fn take() -> Widened {
        KEPT.take()
    }

    pub(super) fn give_back(self) {
        KEPT.set(self);
    }

    /// Some rows of x, each of `words` packed words, and the bytes from one to the next.
    #[inline(always)]
    pub(super) fn rows<S: Words, F: Format<S>>(
        &mut self,
        format: F,
        x: Words32<'_>,
        rows: Range<usize>,
        words: usize,
    ) -> (*const u8, usize) {
        let wide = 2 * words;
        self.rows.resize(rows.len() * wide);
        if words > 0 {
            let copies = self.rows.as_mut_slice().chunks_exact_mut(wide);
            for (row, to) in rows.zip(copies) {
                for (word, pair) in to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    // SAFETY: x has `words` words in this row.
                    let from = unsafe { x.start.add(row * x.stride).cast::<i32>().add(word) };
                    // SAFETY: as above; a row may begin anywhere.
                    *pair = format.widen_x(unsafe { from.read_unaligned() });
                }
            }
        }
        (self.rows.as_slice().as_ptr().cast(), wide * 4)
    }

    /// A panel of packed words, lines of two vectors.
    #[inline(always)]
    pub(super) fn panel<S: Words, F: Format<S>>(
        &mut self,
        simd: S,
        format: F,
        packed: &[i32],
    ) -> *const i32 {
        let (lanes, width) = (S::F32_LANES, 2 * S::F32_LANES);
        self.panel.resize(2 * packed.len());
        let lines = self.panel.as_mut_slice().chunks_exact_mut(2 * width);
        for (from, to) in packed.chunks_exact(width).zip(lines) {
            for half in [0, lanes] {
                // SAFETY: `from` has two vectors, and `to` has four.
                unsafe {
                    let [first, second] = format.widen_w(simd, simd.load(from.as_ptr().add(half)));
                    simd.store(to.as_mut_ptr().add(half), first);
                    simd.store(to.as_mut_ptr().add(width + half), second);
                }
            }
        }
        self.panel.as_slice().as_ptr()
    }
}
