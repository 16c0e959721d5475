//! Words in portable Rust.

use std::array::from_fn;

use super::Words;
use crate::narrow::Bf16;
use crate::simd::Simd;
use crate::simd::scalar::Scalar;

impl Words for Scalar {
    type Words = [i32; 4];

    #[inline(always)]
    fn f32_minimum(self, x: [f32; 4]) -> f32 {
        x[0].min(x[1]).min(x[2].min(x[3]))
    }

    #[inline(always)]
    fn splat(self, x: i32) -> [i32; 4] {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> [i32; 4] {
        // SAFETY: four elements are readable by the trait's contract.
        unsafe { from.cast::<[i32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, x: [i32; 4]) {
        // SAFETY: four elements are writable by the trait's contract.
        unsafe { to.cast::<[i32; 4]>().write_unaligned(x) }
    }

    #[inline(always)]
    fn sub(self, a: [i32; 4], b: [i32; 4]) -> [i32; 4] {
        from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn mul(self, a: [i32; 4], b: [i32; 4]) -> [i32; 4] {
        from_fn(|i| a[i].wrapping_mul(b[i]))
    }

    #[inline(always)]
    fn to_f32(self, x: [i32; 4]) -> [f32; 4] {
        from_fn(|i| x[i] as f32)
    }

    #[inline(always)]
    fn as_f32(self, x: [i32; 4]) -> [f32; 4] {
        from_fn(|i| f32::from_bits(x[i] as u32))
    }

    #[inline(always)]
    fn f32_as_words(self, x: [f32; 4]) -> [i32; 4] {
        from_fn(|i| x[i].to_bits() as i32)
    }

    #[inline(always)]
    fn bf16_low(self, x: [i32; 4]) -> [f32; 4] {
        from_fn(|i| f32::from_bits((x[i] as u32) << 16))
    }

    #[inline(always)]
    fn bf16_high(self, x: [i32; 4]) -> [f32; 4] {
        from_fn(|i| f32::from_bits(x[i] as u32 & 0xffff_0000))
    }

    #[inline(always)]
    unsafe fn bf16_load(self, from: *const u16) -> [f32; 4] {
        // SAFETY: four elements are readable by the trait's contract.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        from_fn(|i| Bf16::from_bits(halves[i]).to_f32())
    }

    #[inline(always)]
    unsafe fn bf16_store(self, to: *mut u16, x: [f32; 4]) {
        let halves: [u16; 4] = from_fn(|i| Bf16::from_f32(x[i]).to_bits());
        // SAFETY: four elements are writable by the trait's contract.
        unsafe { to.cast::<[u16; 4]>().write_unaligned(halves) }
    }

    #[inline(always)]
    fn widen_i8(self, x: [i32; 4]) -> [[i32; 4]; 2] {
        let widen = |lane: i32, byte: usize| {
            let bytes = lane.to_le_bytes();
            let half = |at: usize| i32::from(bytes[at] as i8);
            half(byte) & 0xffff | half(byte + 2) << 16
        };
        [from_fn(|i| widen(x[i], 0)), from_fn(|i| widen(x[i], 1))]
    }

    #[inline(always)]
    fn dot_i16(self, x: [i32; 4], w: [i32; 4], sum: [i32; 4]) -> [i32; 4] {
        let low = |lane: i32| i32::from(lane as i16);
        from_fn(|i| sum[i] + (low(x[i]) * low(w[i]) + (x[i] >> 16) * (w[i] >> 16)))
    }

    #[inline(always)]
    unsafe fn u8_store(self, to: *mut u8, x: [f32; 4]) {
        let rounded = self.f32_round(x);
        let bytes: [u8; 4] = from_fn(|i| rounded[i] as u8);
        // SAFETY: four elements are writable by the trait's contract.
        unsafe { to.cast::<[u8; 4]>().write_unaligned(bytes) }
    }
}
