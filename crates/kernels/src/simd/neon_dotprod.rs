//! The dot-product extension of NEON: four products of bytes, summed, in one instruction a lane.

use core::arch::aarch64::*;
use core::arch::asm;

use super::ByteProducts;
use super::neon::Neon;

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
        // The intrinsic is not stable in this compiler.
        [unsafe] dot_i8_i8(a: *const i8, b: *const i8, sum: int32x4_t) -> int32x4_t {{
            let mut sum = sum;
            asm!(".arch_extension dotprod", "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
                sum = inout(vreg) sum, a = in(vreg) vld1q_s8(a), b = in(vreg) vld1q_s8(b),
                options(pure, nomem, nostack, preserves_flags));
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
