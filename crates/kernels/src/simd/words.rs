//! Vectors of 32-bit words: what the matrix products of narrow numbers are made of.
//!
//! A word is an integer, an `f32`, two `bf16` or four bytes. There are as many in a vector as there
//! are `f32`.

use super::Simd;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

/// Operations on vectors of words.
///
/// # Safety of the pointer methods
/// As of [`Simd`]: `F32_LANES` elements of the pointer's type are inside one live allocation.
pub(crate) trait Words: Simd {
    type Words: Copy;

    fn f32_minimum(self, x: Self::F32) -> f32;
    fn splat(self, x: i32) -> Self::Words;
    unsafe fn load(self, from: *const i32) -> Self::Words;
    unsafe fn store(self, to: *mut i32, x: Self::Words);
    fn sub(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn mul(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The nearest `f32`, ties to even.
    fn to_f32(self, x: Self::Words) -> Self::F32;
    /// The same bits, read as `f32`.
    fn as_f32(self, x: Self::Words) -> Self::F32;
    /// The same bits, read as integers.
    fn f32_as_words(self, x: Self::F32) -> Self::Words;

    /// Of each lane's two `bf16`, the one in the low 16 bits, widened.
    fn bf16_low(self, x: Self::Words) -> Self::F32;
    /// Of each lane's two `bf16`, the one in the high 16 bits, widened.
    fn bf16_high(self, x: Self::Words) -> Self::F32;
    /// Loads `F32_LANES` `bf16` elements and widens them, without rounding.
    unsafe fn bf16_load(self, from: *const u16) -> Self::F32;
    /// Rounds to the nearest `bf16`, ties to even, and stores `F32_LANES` of them; NaN stays NaN.
    unsafe fn bf16_store(self, to: *mut u16, x: Self::F32);

    /// Of each lane's four signed bytes the first and the third, and the second and the fourth, as two
    /// 16-bit integers each.
    fn widen_i8(self, x: Self::Words) -> [Self::Words; 2];
    /// Adds to each lane of `sum` the two products of its signed 16-bit integers, exactly, as long as no
    /// lane overflows.
    fn dot_i16(self, x: Self::Words, w: Self::Words, sum: Self::Words) -> Self::Words;
    /// Rounds to the nearest integer and stores `F32_LANES` bytes; the results are in 0..=255.
    unsafe fn u8_store(self, to: *mut u8, x: Self::F32);
}
