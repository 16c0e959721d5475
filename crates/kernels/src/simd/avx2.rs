//! AVX2 with FMA: 256-bit vectors, 16 registers.

use core::arch::x86_64::*;

use super::Simd;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU must have AVX2 and FMA.
    pub(crate) unsafe fn assume() -> Self {
        Avx2(())
    }
}

impl Simd for Avx2 {
    type F32 = __m256;
    type F64 = __m256d;
    type I32 = __m256i;

    const F32_LANES: usize = 8;
    const F64_LANES: usize = 4;
    const I8_STEP: usize = 16;
    // 6 rows x 2 vectors = 12 sums, 2 for the weights, 1 for the broadcast: 15 of 16 registers.
    const TILE_ROWS: usize = 6;

    intrinsics! {
        f32_splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
        [unsafe] f32_load(from: *const f32) -> __m256 { _mm256_loadu_ps(from) }
        [unsafe] f32_store(to: *mut f32, x: __m256) -> () { _mm256_storeu_ps(to, x) }
        f32_add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        f32_sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
        f32_mul(a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        f32_div(a: __m256, b: __m256) -> __m256 { _mm256_div_ps(a, b) }
        f32_mul_add(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
        // Where one operand is NaN the instruction gives its second one: a NaN in `a` must come out.
        f32_max(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(b, a) }
        f32_min(a: __m256, b: __m256) -> __m256 { _mm256_min_ps(b, a) }
        f32_copysign(magnitude: __m256, sign: __m256) -> __m256 {{
            let sign_bit = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(sign_bit, magnitude), _mm256_and_ps(sign_bit, sign))
        }}
        f32_round(x: __m256) -> __m256 {
            _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x)
        }
        f32_exp2_integer(n: __m256) -> __m256 {{
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }}
        f32_sum(x: __m256) -> f32 {{
            let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }}
        f32_maximum(x: __m256) -> f32 {{
            let four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }}

        f64_splat(x: f64) -> __m256d { _mm256_set1_pd(x) }
        [unsafe] f64_load(from: *const f64) -> __m256d { _mm256_loadu_pd(from) }
        [unsafe] f64_load_f32(from: *const f32) -> __m256d { _mm256_cvtps_pd(_mm_loadu_ps(from)) }
        f64_add(a: __m256d, b: __m256d) -> __m256d { _mm256_add_pd(a, b) }
        f64_sub(a: __m256d, b: __m256d) -> __m256d { _mm256_sub_pd(a, b) }
        f64_mul_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d { _mm256_fmadd_pd(a, b, c) }
        f64_sum(x: __m256d) -> f64 {{
            let two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }}

        i32_zero() -> __m256i { _mm256_setzero_si256() }
        [unsafe] dot_i8(codes: *const i8, query: *const i16, sum: __m256i) -> __m256i {{
            let codes = _mm256_cvtepi8_epi16(_mm_loadu_si128(codes.cast()));
            let query = _mm256_loadu_si256(query.cast());
            _mm256_add_epi32(sum, _mm256_madd_epi16(codes, query))
        }}
        i32_sum(x: __m256i) -> i64 {{
            let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(x));
            let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(x));
            let four = _mm256_add_epi64(low, high);
            let two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four));
            _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)))
        }}
        prefetch(at: *const u8) -> () { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
