//! Words of NEON.

use core::arch::aarch64::*;

use super::Words;
use crate::simd::neon::Neon;

impl Words for Neon {
    type Words = int32x4_t;

    intrinsics! {
        f32_minimum(x: float32x4_t) -> f32 { vminvq_f32(x) }
        splat(x: i32) -> int32x4_t { vdupq_n_s32(x) }
        [unsafe] load(from: *const i32) -> int32x4_t { vld1q_s32(from) }
        [unsafe] store(to: *mut i32, x: int32x4_t) -> () { vst1q_s32(to, x) }
        sub(a: int32x4_t, b: int32x4_t) -> int32x4_t { vsubq_s32(a, b) }
        mul(a: int32x4_t, b: int32x4_t) -> int32x4_t { vmulq_s32(a, b) }
        to_f32(x: int32x4_t) -> float32x4_t { vcvtq_f32_s32(x) }
        as_f32(x: int32x4_t) -> float32x4_t { vreinterpretq_f32_s32(x) }
        f32_as_words(x: float32x4_t) -> int32x4_t { vreinterpretq_s32_f32(x) }

        bf16_low(x: int32x4_t) -> float32x4_t { vreinterpretq_f32_s32(vshlq_n_s32::<16>(x)) }
        bf16_high(x: int32x4_t) -> float32x4_t {
            vreinterpretq_f32_s32(vandq_s32(x, vdupq_n_s32(-65536)))
        }
        [unsafe] bf16_load(from: *const u16) -> float32x4_t {
            vreinterpretq_f32_u32(vshlq_n_u32::<16>(vmovl_u16(vld1_u16(from))))
        }
        [unsafe] bf16_store(to: *mut u16, x: float32x4_t) -> () {{
            let bits = vreinterpretq_u32_f32(x);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let half = vaddq_u32(odd, vdupq_n_u32(0x7fff));
            let rounded = vshrq_n_u32::<16>(vaddq_u32(bits, half));
            let number = vceqq_f32(x, x);
            let halves = vbslq_u32(number, rounded, vdupq_n_u32(0x7fc0));
            vst1_u16(to, vmovn_u32(halves));
        }}

        widen_i8(x: int32x4_t) -> [int32x4_t; 2] {{
            let x = vreinterpretq_s16_s32(x);
            let even = vshrq_n_s16::<8>(vshlq_n_s16::<8>(x));
            [vreinterpretq_s32_s16(even), vreinterpretq_s32_s16(vshrq_n_s16::<8>(x))]
        }}
        dot_i16(x: int32x4_t, w: int32x4_t, sum: int32x4_t) -> int32x4_t {{
            let (x, w) = (vreinterpretq_s16_s32(x), vreinterpretq_s16_s32(w));
            let low = vmull_s16(vget_low_s16(x), vget_low_s16(w));
            vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(x, w)))
        }}
        [unsafe] u8_store(to: *mut u8, x: float32x4_t) -> () {{
            let words = vmovn_u32(vcvtnq_u32_f32(x));
            let bytes = vmovn_u16(vcombine_u16(words, words));
            vst1_lane_u32::<0>(to.cast(), vreinterpret_u32_u8(bytes));
        }}
    }
}
