//! NEON (Advanced SIMD of AArch64): 128-bit vectors, 32 registers.

use core::arch::aarch64::*;
use core::arch::asm;

use super::{BitCounts, ByteProducts, Simd};

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
    // Sums 0 to 7, 8 to 15, and so on.
    type Scan = [uint16x8_t; 4];

    const F32_LANES: usize = 4;
    const F64_LANES: usize = 2;
    const SCAN_STEP: usize = 16;
    // 12 rows x 2 vectors = 24 sums, 2 for the weights, 1 for the broadcast: 27 of 32 registers.
    const TILE_ROWS: usize = 12;

    intrinsics! {
        f32_splat(x: f32) -> float32x4_t { vdupq_n_f32(x) }
        [unsafe] f32_load(from: *const f32) -> float32x4_t { vld1q_f32(from) }
        [unsafe] f32_store(to: *mut f32, x: float32x4_t) -> () { vst1q_f32(to, x) }
        // The half-precision intrinsics are not stable in this compiler; the instructions are part of
        // every AArch64 CPU with NEON.
        [unsafe] f32_load_f16(from: *const u8) -> float32x4_t {{
            let narrow = vld1_u8(from);
            let wide: float32x4_t;
            asm!("fcvtl {wide:v}.4s, {narrow:v}.4h", wide = out(vreg) wide, narrow = in(vreg) narrow,
                options(pure, nomem, nostack, preserves_flags));
            wide
        }}
        [unsafe] f32_store_f16(to: *mut u8, x: float32x4_t) -> () {{
            let narrow: uint8x8_t;
            asm!("fcvtn {narrow:v}.4h, {wide:v}.4s", narrow = out(vreg) narrow, wide = in(vreg) x,
                options(pure, nomem, nostack, preserves_flags));
            vst1_u8(to, narrow)
        }}
        [unsafe] f32_load_bf16(from: *const u8) -> float32x4_t {
            vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(vld1_u8(from))))
        }
        [unsafe] f32_store_bf16(to: *mut u8, x: float32x4_t) -> () {{
            let bits = vreinterpretq_u32_f32(x);
            let even = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let half = vaddq_u32(vdupq_n_u32(0x7fff), even);
            vst1_u8(to, vreinterpret_u8_u16(vshrn_n_u32::<16>(vaddq_u32(bits, half))))
        }}
        [unsafe] f32_load_i8(from: *const u8) -> float32x4_t {{
            let four = vcreate_s8(u64::from(from.cast::<u32>().read_unaligned()));
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))))
        }}
        [unsafe] f32_store_i8(to: *mut u8, x: float32x4_t) -> () {{
            let words = vmovn_s32(vcvtq_s32_f32(x));
            let bytes = vmovn_s16(vcombine_s16(words, words));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_s8(bytes)))
        }}
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
        [unsafe] f64_load_f16(from: *const u8) -> float64x2_t {{
            let narrow = vcreate_u8(u64::from(from.cast::<u32>().read_unaligned()));
            let wide: float32x4_t;
            asm!("fcvtl {wide:v}.4s, {narrow:v}.4h", wide = out(vreg) wide, narrow = in(vreg) narrow,
                options(pure, nomem, nostack, preserves_flags));
            vcvt_f64_f32(vget_low_f32(wide))
        }}
        [unsafe] f64_load_bf16(from: *const u8) -> float64x2_t {{
            let narrow = vcreate_u16(u64::from(from.cast::<u32>().read_unaligned()));
            let wide = vreinterpretq_f32_u32(vshll_n_u16::<16>(narrow));
            vcvt_f64_f32(vget_low_f32(wide))
        }}
        f64_add(a: float64x2_t, b: float64x2_t) -> float64x2_t { vaddq_f64(a, b) }
        f64_sub(a: float64x2_t, b: float64x2_t) -> float64x2_t { vsubq_f64(a, b) }
        f64_mul_add(a: float64x2_t, b: float64x2_t, c: float64x2_t) -> float64x2_t { vfmaq_f64(c, a, b) }
        f64_sum(x: float64x2_t) -> f64 { vaddvq_f64(x) }

        [unsafe] f32_load_i16(from: *const u8) -> float32x4_t { vcvtq_f32_s32(vmovl_s16(vld1_s16(from.cast()))) }
        f32_sign_bits(x: float32x4_t) -> u32 {{
            const SHIFTS: [i32; 4] = [0, 1, 2, 3];
            let signs = vshrq_n_u32::<31>(vreinterpretq_u32_f32(x));
            vaddvq_u32(vshlq_u32(signs, vld1q_s32(SHIFTS.as_ptr())))
        }}
        f32_greater(a: float32x4_t, b: float32x4_t) -> u32 {{
            const SHIFTS: [i32; 4] = [0, 1, 2, 3];
            let greater = vshrq_n_u32::<31>(vcgtq_f32(a, b));
            vaddvq_u32(vshlq_u32(greater, vld1q_s32(SHIFTS.as_ptr())))
        }}

        scan_zero() -> [uint16x8_t; 4] { [vdupq_n_u16(0); 4] }
        [unsafe] scan_step(codes: *const u8, tables: *const u8, sums: [uint16x8_t; 4]) -> [uint16x8_t; 4] {{
            let codes = vld1q_u8(codes);
            let table = vld1q_u8(tables);
            let low = vqtbl1q_u8(table, vandq_u8(codes, vdupq_n_u8(15)));
            let high = vqtbl1q_u8(table, vshrq_n_u8::<4>(codes));
            [
                vaddw_u8(sums[0], vget_low_u8(low)),
                vaddw_high_u8(sums[1], low),
                vaddw_u8(sums[2], vget_low_u8(high)),
                vaddw_high_u8(sums[3], high),
            ]
        }}
        [unsafe] scan_add_to(sums: [uint16x8_t; 4], to: *mut f32) -> () {{
            for (part, &x) in sums.iter().enumerate() {
                let to = to.add(8 * part);
                let low = vcvtq_f32_u32(vmovl_u16(vget_low_u16(x)));
                let high = vcvtq_f32_u32(vmovl_high_u16(x));
                vst1q_f32(to, vaddq_f32(vld1q_f32(to), low));
                vst1q_f32(to.add(4), vaddq_f32(vld1q_f32(to.add(4)), high));
            }
        }}
    }
}

impl ByteProducts for Neon {
    type Sum = int32x4_t;

    const STEP: usize = 8;
    const CODE_STEP: usize = 8;

    intrinsics! {
        zero() -> int32x4_t { vdupq_n_s32(0) }
        [unsafe] dot_i8_i8(a: *const i8, b: *const i8, sum: int32x4_t) -> int32x4_t {
            vpadalq_s16(sum, vmull_s8(vld1_s8(a), vld1_s8(b)))
        }
        [unsafe] dot_i8_i16(codes: *const i8, query: *const i16, sum: int32x4_t) -> int32x4_t {{
            let codes = vmovl_s8(vld1_s8(codes));
            let query = vld1q_s16(query);
            let sum = vmlal_s16(sum, vget_low_s16(codes), vget_low_s16(query));
            vmlal_high_s16(sum, codes, query)
        }}
        [unsafe] dot_u4_i8(codes: *const u8, query: *const i8, sum: int32x4_t) -> int32x4_t {{
            let mut sum = sum;
            for part in [0, 16] {
                let [low, high] = half_bytes(codes.add(part));
                let (first, second) = (vld1q_s8(query.add(part)), vld1q_s8(query.add(32 + part)));
                for (codes, query) in [(low, first), (high, second)] {
                    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(codes), vget_low_s8(query)));
                    sum = vpadalq_s16(sum, vmull_high_s8(codes, query));
                }
            }
            sum
        }}
        plus(a: int32x4_t, b: int32x4_t) -> int32x4_t { vaddq_s32(a, b) }
        total_i32(x: int32x4_t) -> i32 { vaddvq_s32(x) }
        total(x: int32x4_t) -> i64 { vaddlvq_s32(x) }
    }
}

impl BitCounts for Neon {
    type Count = uint64x2_t;

    const STEP: usize = 16;

    intrinsics! {
        zero() -> uint64x2_t { vdupq_n_u64(0) }
        [unsafe] add_differing(a: *const u8, b: *const u8, count: uint64x2_t) -> uint64x2_t {{
            let bytes = vcntq_u8(veorq_u8(vld1q_u8(a), vld1q_u8(b)));
            vpadalq_u32(count, vpaddlq_u16(vpaddlq_u8(bytes)))
        }}
        total(x: uint64x2_t) -> u64 { vaddvq_u64(x) }
    }
}

/// The low halves of 16 bytes, and their high halves.
///
/// # Safety
/// 16 bytes from `codes` on are inside one live allocation; the CPU has NEON.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn half_bytes(codes: *const u8) -> [int8x16_t; 2] {
    // SAFETY: the caller's condition.
    let codes = unsafe { vld1q_u8(codes) };
    let low = vandq_u8(codes, vdupq_n_u8(15));
    [vreinterpretq_s8_u8(low), vreinterpretq_s8_u8(vshrq_n_u8::<4>(codes))]
}
