//! What a 32-bit word of a matrix holds and how words are multiplied.

use crate::simd::words::Words;

/// The type of a packed matrix's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `f32` weights and activations: one to a word.
    F32,
    /// bf16 weights and activations, `f32` sums: two to a word.
    Bf16,
    /// Signed bytes as weights with a scale a column, unsigned bytes as activations with a scale and
    /// a zero point a row, exact integer sums: four to a word.
    Int8,
}

impl Precision {
    /// Numbers in a word: the inputs of a layer must be a multiple of this.
    pub const fn per_word(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Bf16 => 2,
            Precision::Int8 => 4,
        }
    }
}

/// A way to multiply words. Every lane of a sum is a chain in the order of the depth.
pub(crate) trait Format<S: Words>: Copy {
    /// Whether a sum's lanes are integers; otherwise they are `f32`.
    const INTEGER: bool;

    /// What is taken off each byte of x before it is multiplied, where the instruction wants signed
    /// ones. Whoever reads the sums makes up for it.
    const OFFSET: i32 = 0;

    /// A vector of the same word of x, as `add_products` takes it.
    #[inline(always)]
    fn broadcast(self, simd: S, x: i32) -> S::Words {
        simd.splat(x)
    }

    /// `sum` and the products of what is in the words, lane by lane; sums begin as zeros.
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words;

    /// Stores `F32_LANES` numbers rounded to bf16.
    ///
    /// # Safety
    /// They are inside one live allocation.
    #[inline(always)]
    unsafe fn bf16_store(self, simd: S, to: *mut u16, x: S::F32) {
        // SAFETY: the contract is the same.
        unsafe { simd.bf16_store(to, x) }
    }
}

/// Words are `f32`.
#[derive(Clone, Copy)]
pub(crate) struct Singles;

impl<S: Words> Format<S> for Singles {
    const INTEGER: bool = false;

    #[inline(always)]
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words {
        simd.f32_as_words(simd.f32_mul_add(simd.as_f32(x), simd.as_f32(w), simd.as_f32(sum)))
    }
}

/// Words are two bf16, multiplied by way of `f32`, where there is no instruction for it.
#[derive(Clone, Copy)]
pub(crate) struct Pairs;

impl<S: Words> Format<S> for Pairs {
    const INTEGER: bool = false;

    #[inline(always)]
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words {
        let high = simd.f32_mul_add(simd.bf16_high(x), simd.bf16_high(w), simd.as_f32(sum));
        simd.f32_as_words(simd.f32_mul_add(simd.bf16_low(x), simd.bf16_low(w), high))
    }
}

/// Words are four bytes, multiplied by way of 16-bit integers, where there is no instruction for it.
#[derive(Clone, Copy)]
pub(crate) struct Quads;

impl<S: Words> Format<S> for Quads {
    const INTEGER: bool = true;

    #[inline(always)]
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words {
        simd.dot_u8_i8(x, w, sum)
    }
}
