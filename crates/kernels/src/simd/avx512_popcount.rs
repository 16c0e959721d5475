//! AVX-512 VPOPCNTDQ: the bits of 64-bit lanes, counted in one instruction.

use core::arch::x86_64::*;

use super::BitCounts;

/// Proof that the CPU has AVX-512 F and VPOPCNTDQ.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Popcount(());

impl Avx512Popcount {
    /// # Safety
    /// The CPU must have AVX-512 F and VPOPCNTDQ, AVX2 and POPCNT.
    pub(crate) unsafe fn assume() -> Self {
        Avx512Popcount(())
    }
}

impl BitCounts for Avx512Popcount {
    type Count = __m512i;

    const STEP: usize = 64;

    intrinsics! {
        zero() -> __m512i { _mm512_setzero_si512() }
        [unsafe] add_differing(a: *const u8, b: *const u8, count: __m512i) -> __m512i {{
            let x = _mm512_xor_si512(_mm512_loadu_si512(a.cast()), _mm512_loadu_si512(b.cast()));
            _mm512_add_epi64(count, _mm512_popcnt_epi64(x))
        }}
        total(x: __m512i) -> u64 { _mm512_reduce_add_epi64(x) as u64 }
    }
}
