//! AVX-512 (F and BW): 512-bit vectors, 32 registers.

use core::arch::x86_64::*;

use super::Simd;

/// Proof that the CPU has AVX-512 F and BW (and AVX2 and FMA, which come with them).
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The CPU must have AVX-512 F and BW, AVX2 and FMA.
    pub(crate) unsafe fn assume() -> Self {
        Avx512(())
    }
}

impl Simd for Avx512 {
    type F32 = __m512;
    type F64 = __m512d;
    type I32 = __m512i;

    const F32_LANES: usize = 16;
    const F64_LANES: usize = 8;
    const I8_STEP: usize = 32;
    // 12 rows x 2 vectors = 24 sums, 2 for the weights, 1 for the broadcast: 27 of 32 registers.
    const TILE_ROWS: usize = 12;

    intrinsics! {
        f32_splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        [unsafe] f32_load(from: *const f32) -> __m512 { _mm512_loadu_ps(from) }
        [unsafe] f32_store(to: *mut f32, x: __m512) -> () { _mm512_storeu_ps(to, x) }
        f32_add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        f32_sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
        f32_mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        f32_div(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
        f32_mul_add(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        // Where one operand is NaN the instruction gives its second one: a NaN in `a` must come out.
        f32_max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(b, a) }
        f32_min(a: __m512, b: __m512) -> __m512 { _mm512_min_ps(b, a) }
        f32_copysign(magnitude: __m512, sign: __m512) -> __m512 {{
            let sign_bit = _mm512_set1_epi32(i32::MIN);
            let magnitude = _mm512_andnot_si512(sign_bit, _mm512_castps_si512(magnitude));
            let sign = _mm512_and_si512(sign_bit, _mm512_castps_si512(sign));
            _mm512_castsi512_ps(_mm512_or_si512(magnitude, sign))
        }}
        f32_round(x: __m512) -> __m512 {
            _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x)
        }
        f32_exp2_integer(n: __m512) -> __m512 {{
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }}
        f32_sum(x: __m512) -> f32 { _mm512_reduce_add_ps(x) }
        f32_maximum(x: __m512) -> f32 { _mm512_reduce_max_ps(x) }

        f64_splat(x: f64) -> __m512d { _mm512_set1_pd(x) }
        [unsafe] f64_load(from: *const f64) -> __m512d { _mm512_loadu_pd(from) }
        [unsafe] f64_load_f32(from: *const f32) -> __m512d { _mm512_cvtps_pd(_mm256_loadu_ps(from)) }
        f64_add(a: __m512d, b: __m512d) -> __m512d { _mm512_add_pd(a, b) }
        f64_sub(a: __m512d, b: __m512d) -> __m512d { _mm512_sub_pd(a, b) }
        f64_mul_add(a: __m512d, b: __m512d, c: __m512d) -> __m512d { _mm512_fmadd_pd(a, b, c) }
        f64_sum(x: __m512d) -> f64 { _mm512_reduce_add_pd(x) }

        i32_zero() -> __m512i { _mm512_setzero_si512() }
        [unsafe] dot_i8(codes: *const i8, query: *const i16, sum: __m512i) -> __m512i {{
            let codes = _mm512_cvtepi8_epi16(_mm256_loadu_si256(codes.cast()));
            let query = _mm512_loadu_si512(query.cast());
            _mm512_add_epi32(sum, _mm512_madd_epi16(codes, query))
        }}
        i32_sum(x: __m512i) -> i64 {{
            let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x));
            let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(x));
            _mm512_reduce_add_epi64(_mm512_add_epi64(low, high))
        }}
        prefetch(at: *const u8) -> () { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
