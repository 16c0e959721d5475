//! Words of AVX2.

use core::arch::x86_64::*;

use super::Words;
use crate::simd::avx2::Avx2;

impl Words for Avx2 {
    type Words = __m256i;

    intrinsics! {
        f32_minimum(x: __m256) -> f32 {{
            let four = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_min_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }}
        splat(x: i32) -> __m256i { _mm256_set1_epi32(x) }
        [unsafe] load(from: *const i32) -> __m256i { _mm256_loadu_si256(from.cast()) }
        [unsafe] store(to: *mut i32, x: __m256i) -> () { _mm256_storeu_si256(to.cast(), x) }
        sub(a: __m256i, b: __m256i) -> __m256i { _mm256_sub_epi32(a, b) }
        mul(a: __m256i, b: __m256i) -> __m256i { _mm256_mullo_epi32(a, b) }
        to_f32(x: __m256i) -> __m256 { _mm256_cvtepi32_ps(x) }
        as_f32(x: __m256i) -> __m256 { _mm256_castsi256_ps(x) }
        f32_as_words(x: __m256) -> __m256i { _mm256_castps_si256(x) }

        bf16_low(x: __m256i) -> __m256 { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(x)) }
        bf16_high(x: __m256i) -> __m256 {
            _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(-65536)))
        }
        [unsafe] bf16_load(from: *const u16) -> __m256 {{
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        }}
        [unsafe] bf16_store(to: *mut u16, x: __m256) -> () {{
            let bits = _mm256_castps_si256(x);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
            let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, half));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
            let halves = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
            let (low, high) =
                (_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
            _mm_storeu_si128(to.cast(), _mm_packus_epi32(low, high));
        }}

        widen_i8(x: __m256i) -> [__m256i; 2] {
            [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)), _mm256_srai_epi16::<8>(x)]
        }
        dot_i16(x: __m256i, w: __m256i, sum: __m256i) -> __m256i {
            _mm256_add_epi32(sum, _mm256_madd_epi16(x, w))
        }
        [unsafe] u8_store(to: *mut u8, x: __m256) -> () {{
            let wide = _mm256_cvtps_epi32(x);
            let (low, high) = (_mm256_castsi256_si128(wide), _mm256_extracti128_si256::<1>(wide));
            let words = _mm_packus_epi32(low, high);
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words));
        }}
    }
}
