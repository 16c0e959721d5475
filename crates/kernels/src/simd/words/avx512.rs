//! Words of AVX-512 F and BW.

use core::arch::x86_64::*;

use super::Words;
use crate::simd::avx512::Avx512;

impl Words for Avx512 {
    type Words = __m512i;

    intrinsics! {
        f32_minimum(x: __m512) -> f32 { _mm512_reduce_min_ps(x) }
        splat(x: i32) -> __m512i { _mm512_set1_epi32(x) }
        [unsafe] load(from: *const i32) -> __m512i { _mm512_loadu_si512(from.cast()) }
        [unsafe] store(to: *mut i32, x: __m512i) -> () { _mm512_storeu_si512(to.cast(), x) }
        sub(a: __m512i, b: __m512i) -> __m512i { _mm512_sub_epi32(a, b) }
        mul(a: __m512i, b: __m512i) -> __m512i { _mm512_mullo_epi32(a, b) }
        to_f32(x: __m512i) -> __m512 { _mm512_cvtepi32_ps(x) }
        as_f32(x: __m512i) -> __m512 { _mm512_castsi512_ps(x) }
        f32_as_words(x: __m512) -> __m512i { _mm512_castps_si512(x) }

        bf16_low(x: __m512i) -> __m512 { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(x)) }
        bf16_high(x: __m512i) -> __m512 {
            _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(-65536)))
        }
        [unsafe] bf16_load(from: *const u16) -> __m512 {{
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }}
        [unsafe] bf16_store(to: *mut u16, x: __m512) -> () {{
            let bits = _mm512_castps_si512(x);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            let quiet = _mm512_set1_epi32(0x7fc0);
            let halves = _mm512_mask_mov_epi32(rounded, nan, quiet);
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(halves));
        }}

        widen_i8(x: __m512i) -> [__m512i; 2] {
            [_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(x)), _mm512_srai_epi16::<8>(x)]
        }
        dot_i16(x: __m512i, w: __m512i, sum: __m512i) -> __m512i {
            _mm512_add_epi32(sum, _mm512_madd_epi16(x, w))
        }
        [unsafe] u8_store(to: *mut u8, x: __m512) -> () {
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)))
        }
    }
}
