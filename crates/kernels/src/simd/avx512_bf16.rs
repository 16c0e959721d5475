//! AVX-512 BF16: two products of bfloat16 numbers, added to an `f32`, in one instruction a lane.

use core::arch::x86_64::*;
use core::mem::transmute;

use super::avx512::Avx512;
use crate::matmul::Format;

/// Proof that the CPU has AVX-512 F, BW, VL and BF16.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16(());

impl Avx512Bf16 {
    /// # Safety
    /// The CPU must have AVX-512 F, BW, VL and BF16.
    pub(crate) unsafe fn assume() -> Self {
        Avx512Bf16(())
    }
}

impl Format<Avx512> for Avx512Bf16 {
    const INTEGER: bool = false;

    // The vectors of bf16 are 512 or 256 bits like the integers, under another name.
    intrinsics! {
        add_products(_simd: Avx512, x: __m512i, w: __m512i, sum: __m512i) -> __m512i {{
            let (x, w) = (transmute::<__m512i, __m512bh>(x), transmute::<__m512i, __m512bh>(w));
            _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sum), x, w))
        }}
        // Numbers below the least normal one become zero.
        [unsafe] bf16_store(_simd: Avx512, to: *mut u16, x: __m512) -> () {
            _mm256_storeu_si256(to.cast(), transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x)))
        }
    }
}
