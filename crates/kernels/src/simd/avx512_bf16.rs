//! AVX-512 BF16: two products of bfloat16 numbers, added to an `f32`, in one instruction a lane.

use core::arch::asm;
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

    /// [`Format::bf16_store`], in a function that was not compiled for BF16: a call of the intrinsic
    /// would not be inlined there.
    ///
    /// # Safety
    /// 16 elements from `to` on are inside one live allocation.
    #[inline]
    #[target_feature(enable = "avx512f,avx2")]
    pub(crate) unsafe fn store_rounded(self, to: *mut u16, x: __m512) {
        // SAFETY: this value proves that the CPU has the instruction, which changes a register; the
        // store is the caller's condition.
        unsafe {
            let halves: __m256i;
            asm!("vcvtneps2bf16 {halves}, {x}", halves = lateout(ymm_reg) halves,
                x = in(zmm_reg) x, options(pure, nomem, nostack, preserves_flags));
            _mm256_storeu_si256(to.cast(), halves);
        }
    }
}

impl Format<Avx512> for Avx512Bf16 {
    type Wide = Avx512Bf16;
    const INTEGER: bool = false;

    #[inline(always)]
    fn wide(self) -> Avx512Bf16 {
        self
    }

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
