//! A growable buffer of numbers that starts on a cache line.

use std::marker::PhantomData;

use crate::narrow::Bf16;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Numbers that any bytes are, so that zeroed memory holds them.
///
/// # Safety
/// Every pattern of bits is a value, and the alignment is at most 64.
pub unsafe trait Number: Copy {}

// SAFETY: plain numbers.
unsafe impl Number for f32 {}
// SAFETY: a plain number.
unsafe impl Number for i32 {}
// SAFETY: a plain number.
unsafe impl Number for u8 {}
// SAFETY: a transparent u16.
unsafe impl Number for Bf16 {}

/// Numbers at a 64-byte boundary, so that no vector load of a row of whole lines crosses one.
pub struct AlignedBuffer<T = f32> {
    lines: Vec<Line>,
    length: usize,
    number: PhantomData<T>,
}

impl<T> Default for AlignedBuffer<T> {
    fn default() -> Self {
        AlignedBuffer::new()
    }
}

impl<T> AlignedBuffer<T> {
    pub(crate) const fn new() -> Self {
        AlignedBuffer { lines: Vec::new(), length: 0, number: PhantomData }
    }
}

impl<T: Number> AlignedBuffer<T> {
    /// Makes it `length` numbers long; allocates only to grow. What the numbers are is up to what
    /// was there before: zeros, or what the last use left.
    pub fn resize(&mut self, length: usize) {
        let lines = (length * size_of::<T>()).div_ceil(64);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; 64]));
        }
        self.length = length;
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: the lines are initialised memory of at least `length` numbers, any bits are a
        // number, and a line is aligned as strictly as any number.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }

    /// The numbers, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}
