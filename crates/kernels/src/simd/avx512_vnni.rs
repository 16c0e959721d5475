//! AVX-512 VNNI: four products of bytes, summed, in one instruction a lane.

use core::arch::x86_64::*;

use super::ByteProducts;
use super::avx512::{Avx512, half_bytes};
use super::avx512_bf16::Avx512Bf16;
use super::words::Words;
use crate::matmul::Format;

/// Proof that the CPU has AVX-512 F, BW and VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    /// # Safety
    /// The CPU must have AVX-512 F, BW and VNNI.
    pub(crate) unsafe fn assume() -> Self {
        Avx512Vnni(())
    }

    /// Adds to each lane of `sum` its four products of bytes, unsigned by signed.
    #[inline(always)]
    fn add(self, x: __m512i, w: __m512i, sum: __m512i) -> __m512i {
        // SAFETY: this value proves that the CPU has VNNI.
        unsafe { _mm512_dpbusd_epi32(sum, x, w) }
    }
}

/// `VPDPBUSD` multiplies unsigned by signed bytes. Flipping the sign bit of a code adds 128 to it,
/// so the sum comes out as `sum(a * b) + 128 * sum(b)`, and the last term is kept beside it.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    shifted: __m512i,
    shift: __m512i,
}

impl ByteProducts for Avx512Vnni {
    type Sum = Sum;

    const STEP: usize = 64;
    const CODE_STEP: usize = 32;

    intrinsics! {
        zero() -> Sum { Sum { shifted: _mm512_setzero_si512(), shift: _mm512_setzero_si512() } }
        [unsafe] dot_i8_i8(a: *const i8, b: *const i8, sum: Sum) -> Sum {{
            let offset = _mm512_set1_epi8(i8::MIN);
            let a = _mm512_xor_si512(_mm512_loadu_si512(a.cast()), offset);
            let b = _mm512_loadu_si512(b.cast());
            Sum {
                shifted: _mm512_dpbusd_epi32(sum.shifted, a, b),
                shift: _mm512_dpbusd_epi32(sum.shift, offset, b),
            }
        }}
        [unsafe] dot_i8_i16(codes: *const i8, query: *const i16, sum: Sum) -> Sum {{
            let codes = _mm512_cvtepi8_epi16(_mm256_loadu_si256(codes.cast()));
            let query = _mm512_loadu_si512(query.cast());
            Sum { shifted: _mm512_dpwssd_epi32(sum.shifted, codes, query), shift: sum.shift }
        }}
        [unsafe] dot_u4_i8(codes: *const u8, query: *const i8, sum: Sum) -> Sum {{
            let query = _mm512_loadu_si512(query.cast());
            Sum {
                shifted: _mm512_dpbusd_epi32(sum.shifted, half_bytes(codes), query),
                shift: sum.shift,
            }
        }}
        plus(a: Sum, b: Sum) -> Sum {
            Sum {
                shifted: _mm512_add_epi32(a.shifted, b.shifted),
                shift: _mm512_add_epi32(a.shift, b.shift),
            }
        }
        total_i32(x: Sum) -> i32 { _mm512_reduce_add_epi32(_mm512_sub_epi32(x.shifted, x.shift)) }
        total(x: Sum) -> i64 {{
            let x = _mm512_sub_epi32(x.shifted, x.shift);
            let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x));
            let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(x));
            _mm512_reduce_add_epi64(_mm512_add_epi64(low, high))
        }}
    }
}

/// Products of bytes by VNNI, and whatever the CPU has to round to bf16 with.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Quads {
    pub(crate) products: Avx512Vnni,
    pub(crate) pairs: Option<Avx512Bf16>,
}

impl Format<Avx512> for Avx512Quads {
    type Wide = Avx512Quads;
    const INTEGER: bool = true;

    #[inline(always)]
    fn wide(self) -> Avx512Quads {
        self
    }

    #[inline(always)]
    fn add_products(self, _simd: Avx512, x: __m512i, w: __m512i, sum: __m512i) -> __m512i {
        self.products.add(x, w, sum)
    }

    #[inline(always)]
    unsafe fn bf16_store(self, simd: Avx512, to: *mut u16, x: __m512) {
        // SAFETY: the contract is the same.
        unsafe {
            match self.pairs {
                Some(pairs) => pairs.store_rounded(to, x),
                None => simd.bf16_store(to, x),
            }
        }
    }
}
