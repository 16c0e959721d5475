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
    /// How words are multiplied once they are widened: this very way where they are not.
    type Wide: Format<S>;

    /// Whether a sum's lanes are integers; otherwise they are `f32`.
    const INTEGER: bool;

    /// Words that a packed one becomes before it is multiplied, 1 or 2. Where no instruction multiplies
    /// packed numbers, widening them again for every row would cost more than the products.
    const WORDS: usize = 1;

    /// What is taken off each byte of x before it is multiplied, where the instruction wants signed
    /// ones. Whoever reads the sums makes up for it.
    const OFFSET: i32 = 0;

    fn wide(self) -> Self::Wide;

    /// What a word of x becomes; the first `WORDS` of these count.
    #[inline(always)]
    fn widen_x(self, x: i32) -> [i32; 2] {
        [x, 0]
    }

    /// What a vector of words of w becomes; the first `WORDS` of these count.
    #[inline(always)]
    fn widen_w(self, simd: S, w: S::Words) -> [S::Words; 2] {
        [w, simd.splat(0)]
    }

    /// A vector of the same word of x, as `add_products` takes it.
    #[inline(always)]
    fn broadcast(self, simd: S, x: i32) -> S::Words {
        simd.splat(x)
    }

    /// `sum` and the products of what is in the words, lane by lane; sums begin as zeros. Takes words as
    /// they are after widening.
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
    type Wide = Singles;
    const INTEGER: bool = false;

    #[inline(always)]
    fn wide(self) -> Singles {
        self
    }

    #[inline(always)]
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words {
        simd.f32_as_words(simd.f32_mul_add(simd.as_f32(x), simd.as_f32(w), simd.as_f32(sum)))
    }
}

/// Words are two bf16, multiplied as two `f32`, where there is no instruction for them.
#[derive(Clone, Copy)]
pub(crate) struct Pairs;

impl<S: Words> Format<S> for Pairs {
    type Wide = Singles;
    const INTEGER: bool = false;
    const WORDS: usize = 2;

    #[inline(always)]
    fn wide(self) -> Singles {
        Singles
    }

    #[inline(always)]
    fn widen_x(self, x: i32) -> [i32; 2] {
        [x << 16, x & UPPER_HALF]
    }

    #[inline(always)]
    fn widen_w(self, simd: S, w: S::Words) -> [S::Words; 2] {
        [simd.f32_as_words(simd.bf16_low(w)), simd.f32_as_words(simd.bf16_high(w))]
    }

    #[inline(always)]
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words {
        Singles.add_products(simd, x, w, sum)
    }
}

const UPPER_HALF: i32 = -1 << 16;

/// Words are four bytes, multiplied as twice two 16-bit integers, where there is no instruction for them.
/// The first of the two words has the first and the third byte, the other the rest: no byte changes its
/// half of the word.
#[derive(Clone, Copy)]
pub(crate) struct Quads;

impl<S: Words> Format<S> for Quads {
    type Wide = Shorts;
    const INTEGER: bool = true;
    const WORDS: usize = 2;

    #[inline(always)]
    fn wide(self) -> Shorts {
        Shorts
    }

    #[inline(always)]
    fn widen_x(self, x: i32) -> [i32; 2] {
        const LOW_BYTES: i32 = 0x00ff_00ff;
        [x & LOW_BYTES, (x >> 8) & LOW_BYTES]
    }

    #[inline(always)]
    fn widen_w(self, simd: S, w: S::Words) -> [S::Words; 2] {
        simd.widen_i8(w)
    }

    #[inline(always)]
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words {
        Shorts.add_products(simd, x, w, sum)
    }
}

/// Words are two 16-bit integers.
#[derive(Clone, Copy)]
pub(crate) struct Shorts;

impl<S: Words> Format<S> for Shorts {
    type Wide = Shorts;
    const INTEGER: bool = true;

    #[inline(always)]
    fn wide(self) -> Shorts {
        self
    }

    #[inline(always)]
    fn add_products(self, simd: S, x: S::Words, w: S::Words, sum: S::Words) -> S::Words {
        simd.dot_i16(x, w, sum)
    }
}
