//! One vocabulary of vector instructions, implemented once an instruction set.
//!
//! A value of a type that implements [`Simd`] is the proof that the CPU has that instruction set:
//! such values are made in [`crate::backend`] alone, after detection. Kernels are written once
//! against this trait and instantiated for every backend by [`crate::backend::dispatch`].

/// Defines trait methods whose bodies are intrinsics of this instruction set.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! intrinsics {
    ($($(#[$meta:meta])* $([$unsafe:ident])? $name:ident($($arg:ident: $type:ty),*) -> $out:ty { $body:expr })*) => {$(
        $(#[$meta])*
        #[inline(always)]
        $($unsafe)? fn $name(self, $($arg: $type),*) -> $out {
            // SAFETY: a value of this type proves the instruction set; pointer arguments are valid
            // for one vector by the trait's contract.
            unsafe { $body }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod scalar;

/// The operations that kernels are made of.
///
/// # Safety of the pointer methods
/// `load_*` read and `store_*` write exactly one vector (`*_LANES` elements, for `dot_i8` the
/// stated number of bytes) at any alignment; the caller guarantees that these elements are inside
/// one live allocation.
pub(crate) trait Simd: Copy {
    type F32: Copy;
    type F64: Copy;
    type I32: Copy;

    /// `f32` elements in a vector, at most 16.
    const F32_LANES: usize;
    /// `f64` elements in a vector, at most 8.
    const F64_LANES: usize;
    /// Elements that one [`Simd::dot_i8`] step consumes.
    const I8_STEP: usize;
    /// Rows of the matrix-product tile that fit this register file; see `matmul`.
    const TILE_ROWS: usize;

    fn f32_splat(self, x: f32) -> Self::F32;
    unsafe fn f32_load(self, from: *const f32) -> Self::F32;
    unsafe fn f32_store(self, to: *mut f32, x: Self::F32);
    fn f32_add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn f32_sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn f32_mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn f32_div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, fused where the instruction set fuses.
    fn f32_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    fn f32_max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn f32_min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `|magnitude|` with the sign of `sign`.
    fn f32_copysign(self, magnitude: Self::F32, sign: Self::F32) -> Self::F32;
    /// The nearest integer as `f32`; |x| below 2^22.
    fn f32_round(self, x: Self::F32) -> Self::F32;
    /// 2^n for integral `n` in -126..=127.
    fn f32_exp2_integer(self, n: Self::F32) -> Self::F32;
    fn f32_sum(self, x: Self::F32) -> f32;
    fn f32_maximum(self, x: Self::F32) -> f32;

    fn f64_splat(self, x: f64) -> Self::F64;
    unsafe fn f64_load(self, from: *const f64) -> Self::F64;
    /// Loads `F64_LANES` `f32` elements and widens them, without rounding.
    unsafe fn f64_load_f32(self, from: *const f32) -> Self::F64;
    fn f64_add(self, a: Self::F64, b: Self::F64) -> Self::F64;
    fn f64_sub(self, a: Self::F64, b: Self::F64) -> Self::F64;
    fn f64_mul_add(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64;
    fn f64_sum(self, x: Self::F64) -> f64;

    fn i32_zero(self) -> Self::I32;
    /// Adds `I8_STEP` products `codes[i] * query[i]` to the lanes of `sum`, exactly, as long as no
    /// lane overflows.
    unsafe fn dot_i8(self, codes: *const i8, query: *const i16, sum: Self::I32) -> Self::I32;
    fn i32_sum(self, x: Self::I32) -> i64;

    /// Hints that the cache line at `at` will be read soon; any address is allowed.
    fn prefetch(self, at: *const u8);
}
