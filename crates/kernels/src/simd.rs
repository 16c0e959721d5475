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
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_bf16;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_popcount;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_vnni;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon_dotprod;
pub(crate) mod scalar;
pub(crate) mod words;

/// The operations that kernels are made of.
///
/// # Safety of the pointer methods
/// `load_*` read and `store_*` write exactly one vector (`*_LANES` elements) at any alignment, `scan_step`
/// reads `SCAN_STEP` bytes of each; the caller guarantees that these elements are inside one live
/// allocation. Elements of two bytes are little-endian.
pub(crate) trait Simd: Copy {
    type F32: Copy;
    type F64: Copy;
    /// Running sums of [`Simd::scan_step`], 32 of them.
    type Scan: Copy;

    /// `f32` elements in a vector, at most 16.
    const F32_LANES: usize;
    /// `f64` elements in a vector, at most 8.
    const F64_LANES: usize;
    /// Bytes of codes, and of tables, that one [`Simd::scan_step`] consumes: at most 64.
    const SCAN_STEP: usize;
    /// Rows of the matrix-product tile that fit this register file; see `matmul`.
    const TILE_ROWS: usize;

    fn f32_splat(self, x: f32) -> Self::F32;
    unsafe fn f32_load(self, from: *const f32) -> Self::F32;
    unsafe fn f32_store(self, to: *mut f32, x: Self::F32);
    /// Widens IEEE half-precision elements, exactly.
    unsafe fn f32_load_f16(self, from: *const u8) -> Self::F32;
    /// Rounds to half precision, to nearest, ties to even.
    unsafe fn f32_store_f16(self, to: *mut u8, x: Self::F32);
    /// Widens bfloat16 elements, exactly.
    unsafe fn f32_load_bf16(self, from: *const u8) -> Self::F32;
    /// Rounds numbers that are not NaN to bfloat16, to nearest, ties to even.
    unsafe fn f32_store_bf16(self, to: *mut u8, x: Self::F32);
    unsafe fn f32_load_i8(self, from: *const u8) -> Self::F32;
    /// Stores integral values in -127..=127.
    unsafe fn f32_store_i8(self, to: *mut u8, x: Self::F32);
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
    /// Widens IEEE half-precision elements, exactly.
    unsafe fn f64_load_f16(self, from: *const u8) -> Self::F64;
    /// Widens bfloat16 elements, exactly.
    unsafe fn f64_load_bf16(self, from: *const u8) -> Self::F64;
    fn f64_add(self, a: Self::F64, b: Self::F64) -> Self::F64;
    fn f64_sub(self, a: Self::F64, b: Self::F64) -> Self::F64;
    fn f64_mul_add(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64;
    fn f64_sum(self, x: Self::F64) -> f64;

    /// Widens 16-bit integers, exactly.
    unsafe fn f32_load_i16(self, from: *const u8) -> Self::F32;
    /// Bit i is the sign bit of lane i.
    fn f32_sign_bits(self, x: Self::F32) -> u32;
    /// Bit i is set where lane i of `a` is greater; NaN is never greater.
    fn f32_greater(self, a: Self::F32, b: Self::F32) -> u32;

    fn scan_zero(self) -> Self::Scan;
    /// Looks 32 codes of 4 bits up in each of `SCAN_STEP / 16` tables of 16 bytes and adds what
    /// they hold to the 32 sums. Byte j of the 16 bytes of codes for a table holds the codes of sum
    /// j (low half) and of sum 16 + j (high half). Sums are exact for up to 256 steps.
    unsafe fn scan_step(self, codes: *const u8, tables: *const u8, sums: Self::Scan) -> Self::Scan;
    /// Adds the 32 sums to `to[0..32]`.
    unsafe fn scan_add_to(self, sums: Self::Scan, to: *mut f32);
}

/// Exact sums of products of one-byte integers, apart from [`Simd`] because some CPUs have
/// instructions for them beyond what the rest of their instruction set implies.
///
/// # Safety of the pointer methods
/// As of [`Simd`]: each pointer is followed by the step's number of readable elements.
pub(crate) trait ByteProducts: Copy {
    /// Lanes of a sum.
    type Sum: Copy;

    /// Elements that one step of `dot_i8_i8` consumes, at most 64.
    const STEP: usize;
    /// Elements that one step of `dot_i8_i16` consumes, a divisor of 32.
    const CODE_STEP: usize;

    fn zero(self) -> Self::Sum;
    /// Adds `STEP` products `a[i] * b[i]`. Exact for sums of up to [`EXACT_BYTE_PRODUCTS`] terms.
    unsafe fn dot_i8_i8(self, a: *const i8, b: *const i8, sum: Self::Sum) -> Self::Sum;
    /// Elements that one step of `dot_symmetric` consumes, at most 64.
    const SYMMETRIC_STEP: usize = Self::STEP;

    /// [`ByteProducts::dot_i8_i8`] of `SYMMETRIC_STEP` numbers each, none of which is -128.
    #[inline(always)]
    unsafe fn dot_symmetric(self, a: *const i8, b: *const i8, sum: Self::Sum) -> Self::Sum {
        // SAFETY: the contract is the same.
        unsafe { self.dot_i8_i8(a, b, sum) }
    }
    /// Adds `CODE_STEP` products `codes[i] * query[i]`, exactly, as long as no 32-bit lane overflows.
    unsafe fn dot_i8_i16(self, codes: *const i8, query: *const i16, sum: Self::Sum) -> Self::Sum;
    /// Adds 64 products of a four-bit code and a byte of at most 127: `codes[i] & 15` is multiplied
    /// with `query[i]` and `codes[i] >> 4` with `query[32 + i]`, for i below 32.
    unsafe fn dot_u4_i8(self, codes: *const u8, query: *const i8, sum: Self::Sum) -> Self::Sum;
    /// The lanes of both.
    fn plus(self, a: Self::Sum, b: Self::Sum) -> Self::Sum;
    /// The sum of the lanes, where it fits 32 bits.
    fn total_i32(self, sum: Self::Sum) -> i32;
    fn total(self, sum: Self::Sum) -> i64;
}

/// Products of two one-byte integers whose sum fits 32 bits, even with 128 added to one of each two:
/// `2^15 * 255 * 128 < 2^31`.
pub(crate) const EXACT_BYTE_PRODUCTS: usize = 1 << 15;

/// Counts of bits that differ; apart from [`Simd`] for the reason that [`ByteProducts`] is.
///
/// # Safety of the pointer method
/// As of [`Simd`]: each pointer is followed by `STEP` readable bytes.
pub(crate) trait BitCounts: Copy {
    /// Lanes of a count; none overflows for bytes that fit an address space.
    type Count: Copy;

    /// Bytes that one step consumes, at most 64.
    const STEP: usize;

    fn zero(self) -> Self::Count;
    /// Adds the bits in which `STEP` bytes of `a` and `b` differ.
    unsafe fn add_differing(self, a: *const u8, b: *const u8, count: Self::Count) -> Self::Count;
    fn total(self, count: Self::Count) -> u64;
}

/// Defines hints that the cache line at an address will be read soon; any address is allowed.
macro_rules! prefetches {
    ($($(#[$meta:meta])* $name:ident: $x86:ident, $arm:literal;)*) => {$(
        $(#[$meta])*
        #[inline(always)]
        pub(crate) fn $name(at: *const u8) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a hint reads nothing and every CPU of this architecture knows it.
            unsafe {
                core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::$x86 }>(at.cast());
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a hint reads nothing and every CPU of this architecture knows it.
            unsafe {
                core::arch::asm!(concat!("prfm ", $arm, ", [{at}]"), at = in(reg) at, options(nostack, preserves_flags, readonly));
            }
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            let _ = at;
        }
    )*};
}

prefetches! {
    /// Into the first-level cache.
    prefetch: _MM_HINT_T0, "pldl1keep";
    /// Into the second-level cache.
    prefetch_second_level: _MM_HINT_T1, "pldl2keep";
}
