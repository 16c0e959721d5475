//! Portable Rust, for every CPU: arrays that the compiler maps to whatever the target's baseline has.
//!
//! Products and sums are rounded one by one (no fused multiply-add, which would be a slow library
//! call on a CPU without it).

use super::{BitCounts, ByteProducts, Simd};
use crate::narrow::{Bf16, F16};

/// Needs no proof: plain Rust runs everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

macro_rules! lanes {
    ($n:expr, |$i:ident| $value:expr) => {{
        let mut out = [Default::default(); $n];
        let mut $i = 0;
        while $i < $n {
            out[$i] = $value;
            $i += 1;
        }
        out
    }};
}

impl Simd for Scalar {
    type F32 = [f32; 4];
    type F64 = [f64; 2];
    type Scan = [u16; 32];

    const F32_LANES: usize = 4;
    const F64_LANES: usize = 2;
    const SCAN_STEP: usize = 16;
    const TILE_ROWS: usize = 4;

    #[inline(always)]
    fn f32_splat(self, x: f32) -> [f32; 4] {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn f32_load(self, from: *const f32) -> [f32; 4] {
        // SAFETY: four elements are readable by the trait's contract.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn f32_store(self, to: *mut f32, x: [f32; 4]) {
        // SAFETY: four elements are writable by the trait's contract.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(x) }
    }

    #[inline(always)]
    unsafe fn f32_load_f16(self, from: *const u8) -> [f32; 4] {
        // SAFETY: four elements are readable by the trait's contract.
        let bits = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        lanes!(4, |i| F16::from_bits(bits[i]).to_f32())
    }

    #[inline(always)]
    unsafe fn f32_store_f16(self, to: *mut u8, x: [f32; 4]) {
        let bits: [u16; 4] = lanes!(4, |i| F16::from_f32(x[i]).to_bits());
        // SAFETY: four elements are writable by the trait's contract.
        unsafe { to.cast::<[u16; 4]>().write_unaligned(bits) }
    }

    #[inline(always)]
    unsafe fn f32_load_bf16(self, from: *const u8) -> [f32; 4] {
        // SAFETY: four elements are readable by the trait's contract.
        let bits = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        lanes!(4, |i| Bf16::from_bits(bits[i]).to_f32())
    }

    #[inline(always)]
    unsafe fn f32_store_bf16(self, to: *mut u8, x: [f32; 4]) {
        let bits: [u16; 4] = lanes!(4, |i| Bf16::from_f32(x[i]).to_bits());
        // SAFETY: four elements are writable by the trait's contract.
        unsafe { to.cast::<[u16; 4]>().write_unaligned(bits) }
    }

    #[inline(always)]
    unsafe fn f32_load_i8(self, from: *const u8) -> [f32; 4] {
        // SAFETY: four elements are readable by the trait's contract.
        let bytes = unsafe { from.cast::<[i8; 4]>().read_unaligned() };
        lanes!(4, |i| f32::from(bytes[i]))
    }

    #[inline(always)]
    unsafe fn f32_store_i8(self, to: *mut u8, x: [f32; 4]) {
        let bytes: [i8; 4] = lanes!(4, |i| x[i] as i8);
        // SAFETY: four elements are writable by the trait's contract.
        unsafe { to.cast::<[i8; 4]>().write_unaligned(bytes) }
    }

    #[inline(always)]
    fn f32_add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| a[i] + b[i])
    }

    #[inline(always)]
    fn f32_sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| a[i] - b[i])
    }

    #[inline(always)]
    fn f32_mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| a[i] * b[i])
    }

    #[inline(always)]
    fn f32_div(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| a[i] / b[i])
    }

    #[inline(always)]
    fn f32_mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| a[i] * b[i] + c[i])
    }

    // No comparison with NaN holds: a NaN in `a` must come out.
    #[inline(always)]
    fn f32_max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| if b[i] > a[i] { b[i] } else { a[i] })
    }

    #[inline(always)]
    fn f32_min(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| if b[i] < a[i] { b[i] } else { a[i] })
    }

    #[inline(always)]
    fn f32_copysign(self, magnitude: [f32; 4], sign: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| magnitude[i].copysign(sign[i]))
    }

    #[inline(always)]
    fn f32_round(self, x: [f32; 4]) -> [f32; 4] {
        // Adding and taking away 1.5 * 2^23 leaves no bits for a fraction.
        const SHIFT: f32 = 12_582_912.0;
        lanes!(4, |i| (x[i] + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn f32_exp2_integer(self, n: [f32; 4]) -> [f32; 4] {
        lanes!(4, |i| f32::from_bits(((n[i] as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn f32_sum(self, x: [f32; 4]) -> f32 {
        (x[0] + x[2]) + (x[1] + x[3])
    }

    #[inline(always)]
    fn f32_maximum(self, x: [f32; 4]) -> f32 {
        x[0].max(x[1]).max(x[2].max(x[3]))
    }

    #[inline(always)]
    fn f64_splat(self, x: f64) -> [f64; 2] {
        [x; 2]
    }

    #[inline(always)]
    unsafe fn f64_load(self, from: *const f64) -> [f64; 2] {
        // SAFETY: two elements are readable by the trait's contract.
        unsafe { from.cast::<[f64; 2]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn f64_load_f32(self, from: *const f32) -> [f64; 2] {
        // SAFETY: two elements are readable by the trait's contract.
        let narrow = unsafe { from.cast::<[f32; 2]>().read_unaligned() };
        [f64::from(narrow[0]), f64::from(narrow[1])]
    }

    #[inline(always)]
    unsafe fn f64_load_f16(self, from: *const u8) -> [f64; 2] {
        // SAFETY: two elements are readable by the trait's contract.
        let bits = unsafe { from.cast::<[u16; 2]>().read_unaligned() };
        lanes!(2, |i| f64::from(F16::from_bits(bits[i])))
    }

    #[inline(always)]
    unsafe fn f64_load_bf16(self, from: *const u8) -> [f64; 2] {
        // SAFETY: two elements are readable by the trait's contract.
        let bits = unsafe { from.cast::<[u16; 2]>().read_unaligned() };
        lanes!(2, |i| f64::from(Bf16::from_bits(bits[i])))
    }

    #[inline(always)]
    fn f64_add(self, a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
        lanes!(2, |i| a[i] + b[i])
    }

    #[inline(always)]
    fn f64_sub(self, a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
        lanes!(2, |i| a[i] - b[i])
    }

    #[inline(always)]
    fn f64_mul_add(self, a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> [f64; 2] {
        lanes!(2, |i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn f64_sum(self, x: [f64; 2]) -> f64 {
        x[0] + x[1]
    }

    #[inline(always)]
    unsafe fn f32_load_i16(self, from: *const u8) -> [f32; 4] {
        // SAFETY: four elements are readable by the trait's contract.
        let narrow = unsafe { from.cast::<[i16; 4]>().read_unaligned() };
        lanes!(4, |i| f32::from(narrow[i]))
    }

    #[inline(always)]
    fn f32_sign_bits(self, x: [f32; 4]) -> u32 {
        (0..4).map(|i| x[i].to_bits() >> 31 << i).sum()
    }

    #[inline(always)]
    fn f32_greater(self, a: [f32; 4], b: [f32; 4]) -> u32 {
        (0..4).map(|i| u32::from(a[i] > b[i]) << i).sum()
    }

    #[inline(always)]
    fn scan_zero(self) -> [u16; 32] {
        [0; 32]
    }

    #[inline(always)]
    unsafe fn scan_step(self, codes: *const u8, tables: *const u8, sums: [u16; 32]) -> [u16; 32] {
        // SAFETY: SCAN_STEP bytes of each are readable by the trait's contract.
        let (codes, table) = unsafe {
            (codes.cast::<[u8; 16]>().read_unaligned(), tables.cast::<[u8; 16]>().read_unaligned())
        };
        let mut sums = sums;
        for (j, &code) in codes.iter().enumerate() {
            sums[j] += u16::from(table[usize::from(code & 15)]);
            sums[16 + j] += u16::from(table[usize::from(code >> 4)]);
        }
        sums
    }

    #[inline(always)]
    unsafe fn scan_add_to(self, sums: [u16; 32], to: *mut f32) {
        for (i, &sum) in sums.iter().enumerate() {
            // SAFETY: 32 elements are readable and writable by the trait's contract.
            unsafe { to.add(i).write_unaligned(to.add(i).read_unaligned() + f32::from(sum)) };
        }
    }
}

impl ByteProducts for Scalar {
    type Sum = [i32; 4];

    const STEP: usize = 4;
    const CODE_STEP: usize = 4;

    #[inline(always)]
    fn zero(self) -> [i32; 4] {
        [0; 4]
    }

    #[inline(always)]
    unsafe fn dot_i8_i8(self, a: *const i8, b: *const i8, sum: [i32; 4]) -> [i32; 4] {
        // SAFETY: four elements of each are readable by the trait's contract.
        let (a, b) =
            unsafe { (a.cast::<[i8; 4]>().read_unaligned(), b.cast::<[i8; 4]>().read_unaligned()) };
        lanes!(4, |i| sum[i] + i32::from(a[i]) * i32::from(b[i]))
    }

    #[inline(always)]
    unsafe fn dot_i8_i16(self, codes: *const i8, query: *const i16, sum: [i32; 4]) -> [i32; 4] {
        // SAFETY: four elements of each are readable by the trait's contract.
        let (codes, query) = unsafe {
            (codes.cast::<[i8; 4]>().read_unaligned(), query.cast::<[i16; 4]>().read_unaligned())
        };
        lanes!(4, |i| sum[i] + i32::from(codes[i]) * i32::from(query[i]))
    }

    #[inline(always)]
    unsafe fn dot_u4_i8(self, codes: *const u8, query: *const i8, sum: [i32; 4]) -> [i32; 4] {
        // SAFETY: 32 codes and 64 numbers are readable by the trait's contract.
        let (codes, query) = unsafe {
            (codes.cast::<[u8; 32]>().read_unaligned(), query.cast::<[i8; 64]>().read_unaligned())
        };
        let mut sum = sum;
        for at in 0..8 {
            sum = lanes!(4, |i| {
                let (code, low, high) =
                    (codes[4 * at + i], query[4 * at + i], query[32 + 4 * at + i]);
                sum[i]
                    + i32::from(code & 15) * i32::from(low)
                    + i32::from(code >> 4) * i32::from(high)
            });
        }
        sum
    }

    #[inline(always)]
    fn plus(self, a: [i32; 4], b: [i32; 4]) -> [i32; 4] {
        lanes!(4, |i| a[i] + b[i])
    }

    #[inline(always)]
    fn total_i32(self, x: [i32; 4]) -> i32 {
        x[0] + x[1] + x[2] + x[3]
    }

    #[inline(always)]
    fn total(self, x: [i32; 4]) -> i64 {
        i64::from(x[0]) + i64::from(x[1]) + i64::from(x[2]) + i64::from(x[3])
    }
}

impl BitCounts for Scalar {
    type Count = u64;

    const STEP: usize = 8;

    #[inline(always)]
    fn zero(self) -> u64 {
        0
    }

    #[inline(always)]
    unsafe fn add_differing(self, a: *const u8, b: *const u8, count: u64) -> u64 {
        // SAFETY: eight bytes of each are readable by the trait's contract.
        let (a, b) =
            unsafe { (a.cast::<u64>().read_unaligned(), b.cast::<u64>().read_unaligned()) };
        count + u64::from((a ^ b).count_ones())
    }

    #[inline(always)]
    fn total(self, count: u64) -> u64 {
        count
    }
}
