//! The dot-product extension of NEON: four products of bytes, summed, in one instruction a lane.

use core::arch::aarch64::*;
use core::arch::asm;

use super::neon::{Neon, half_bytes};
use super::{ByteProducts, words::Words};
use crate::matmul::Format;

/// Proof that the CPU has NEON with the dot-product extension.
#[derive(Clone, Copy)]
pub(crate) struct NeonDotprod(Neon);

impl NeonDotprod {
    /// # Safety
    /// The CPU must have NEON with the dot-product extension.
    pub(crate) unsafe fn assume() -> Self {
        // SAFETY: stated by this function's condition.
        NeonDotprod(unsafe { Neon::assume() })
    }
}

impl ByteProducts for NeonDotprod {
    type Sum = int32x4_t;

    const STEP: usize = 16;
    const CODE_STEP: usize = 8;

    intrinsics! {
        zero() -> int32x4_t { vdupq_n_s32(0) }
        [unsafe] dot_i8_i8(a: *const i8, b: *const i8, sum: int32x4_t) -> int32x4_t {
            signed_products(vld1q_s8(a), vld1q_s8(b), sum)
        }
        [unsafe] dot_u4_i8(codes: *const u8, query: *const i8, sum: int32x4_t) -> int32x4_t {{
            let mut sum = sum;
            for part in [0, 16] {
                let [low, high] = half_bytes(codes.add(part));
                sum = signed_products(low, vld1q_s8(query.add(part)), sum);
                sum = signed_products(high, vld1q_s8(query.add(32 + part)), sum);
            }
            sum
        }}
        plus(a: int32x4_t, b: int32x4_t) -> int32x4_t { vaddq_s32(a, b) }
        total_i32(x: int32x4_t) -> i32 { vaddvq_s32(x) }
        total(x: int32x4_t) -> i64 { vaddlvq_s32(x) }
    }

    #[inline(always)]
    unsafe fn dot_i8_i16(self, codes: *const i8, query: *const i16, sum: int32x4_t) -> int32x4_t {
        // SAFETY: the contract is the same.
        unsafe { self.0.dot_i8_i16(codes, query, sum) }
    }
}

impl Format<Neon> for NeonDotprod {
    type Wide = NeonDotprod;
    const INTEGER: bool = true;
    // `SDOT` multiplies signed bytes: flipping a code's highest bit takes 128 off it.
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn wide(self) -> NeonDotprod {
        self
    }

    #[inline(always)]
    fn broadcast(self, simd: Neon, x: i32) -> int32x4_t {
        simd.splat(x ^ i32::from_ne_bytes([0x80; 4]))
    }

    #[inline(always)]
    fn add_products(self, _simd: Neon, x: int32x4_t, w: int32x4_t, sum: int32x4_t) -> int32x4_t {
        // SAFETY: this value proves that the CPU has NEON and the dot-product extension.
        unsafe { signed_products(vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w), sum) }
    }
}

/// Adds to each lane of `sum` its four products of signed bytes. The intrinsic is not stable in this
/// compiler.
///
/// # Safety
/// The CPU has NEON and the dot-product extension.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn signed_products(a: int8x16_t, b: int8x16_t, mut sum: int32x4_t) -> int32x4_t {
    // SAFETY: registers alone are read and written; the CPU has the instruction.
    unsafe {
        asm!(".arch_extension dotprod", "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}
