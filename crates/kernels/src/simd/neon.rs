//! NEON (Advanced SIMD of AArch64): 128-bit vectors, 32 registers.

use core::arch::aarch64::*;

use super::Simd;

/// Proof that the CPU has NEON, which every AArch64 CPU with a floating-point unit has.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// The CPU must have NEON.
    pub(crate) unsafe fn assume() -> Self {
        Neon(())
    }
}

impl Simd for Neon {
    type F32 = float32x4_t;
    type F64 = float64x2_t;
    type I32 = int32x4_t;

    const F32_LANES: usize = 4;
    const F64_LANES: usize = 2;
    const I8_STEP: usize = 8;
    // 12 rows x 2 vectors = 24 sums, 2 for the weights, 1 for the broadcast: 27 of 32 registers.
    const TILE_ROWS: usize = 12;

    intrinsics! {
        f32_splat(x: f32) -> float32x4_t { vdupq_n_f32(x) }
        [unsafe] f32_load(from: *const f32) -> float32x4_t { vld1q_f32(from) }
        [unsafe] f32_store(to: *mut f32, x: float32x4_t) -> () { vst1q_f32(to, x) }
        f32_add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
        f32_sub(a: float32x4_t, b: float32x4_t) -> float32x4_t { vsubq_f32(a, b) }
        f32_mul(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
        f32_div(a: float32x4_t, b: float32x4_t) -> float32x4_t { vdivq_f32(a, b) }
        f32_mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t { vfmaq_f32(c, a, b) }
        f32_max(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmaxq_f32(a, b) }
        f32_min(a: float32x4_t, b: float32x4_t) -> float32x4_t { vminq_f32(a, b) }
        f32_copysign(magnitude: float32x4_t, sign: float32x4_t) -> float32x4_t {
            vbslq_f32(vdupq_n_u32(0x8000_0000), sign, magnitude)
        }
        f32_round(x: float32x4_t) -> float32x4_t { vrndnq_f32(x) }
        f32_exp2_integer(n: float32x4_t) -> float32x4_t {{
            let biased = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
        }}
        f32_sum(x: float32x4_t) -> f32 { vaddvq_f32(x) }
        f32_maximum(x: float32x4_t) -> f32 { vmaxvq_f32(x) }

        f64_splat(x: f64) -> float64x2_t { vdupq_n_f64(x) }
        [unsafe] f64_load(from: *const f64) -> float64x2_t { vld1q_f64(from) }
        [unsafe] f64_load_f32(from: *const f32) -> float64x2_t { vcvt_f64_f32(vld1_f32(from)) }
        f64_add(a: float64x2_t, b: float64x2_t) -> float64x2_t { vaddq_f64(a, b) }
        f64_sub(a: float64x2_t, b: float64x2_t) -> float64x2_t { vsubq_f64(a, b) }
        f64_mul_add(a: float64x2_t, b: float64x2_t, c: float64x2_t) -> float64x2_t { vfmaq_f64(c, a, b) }
        f64_sum(x: float64x2_t) -> f64 { vaddvq_f64(x) }

        i32_zero() -> int32x4_t { vdupq_n_s32(0) }
        [unsafe] dot_i8(codes: *const i8, query: *const i16, sum: int32x4_t) -> int32x4_t {{
            let codes = vmovl_s8(vld1_s8(codes));
            let query = vld1q_s16(query);
            let sum = vmlal_s16(sum, vget_low_s16(codes), vget_low_s16(query));
            vmlal_high_s16(sum, codes, query)
        }}
        i32_sum(x: int32x4_t) -> i64 { vaddlvq_s32(x) }
    }

    #[inline(always)]
    fn prefetch(self, _at: *const u8) {
        // The prefetch intrinsic of this architecture is not stable; hardware prefetchers do the job.
    }
}
