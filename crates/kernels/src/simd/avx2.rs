//! AVX2 with FMA: 256-bit vectors, 16 registers.

use core::arch::x86_64::*;

use super::{BitCounts, ByteProducts, Simd};

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU must have AVX2, FMA, F16C and POPCNT.
    pub(crate) unsafe fn assume() -> Self {
        Avx2(())
    }
}

impl Simd for Avx2 {
    type F32 = __m256;
    type F64 = __m256d;
    // Even and odd bytes of the low codes, then of the high codes: see `scan_step`.
    type Scan = [__m256i; 4];

    const F32_LANES: usize = 8;
    const F64_LANES: usize = 4;
    const SCAN_STEP: usize = 32;
    // 6 rows x 2 vectors = 12 sums, 2 for the weights, 1 for the broadcast: 15 of 16 registers.
    const TILE_ROWS: usize = 6;

    intrinsics! {
        f32_splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
        [unsafe] f32_load(from: *const f32) -> __m256 { _mm256_loadu_ps(from) }
        [unsafe] f32_store(to: *mut f32, x: __m256) -> () { _mm256_storeu_ps(to, x) }
        [unsafe] f32_load_f16(from: *const u8) -> __m256 { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
        [unsafe] f32_store_f16(to: *mut u8, x: __m256) -> () {{
            let narrow = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
            _mm_storeu_si128(to.cast(), narrow)
        }}
        [unsafe] f32_load_bf16(from: *const u8) -> __m256 {{
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }}
        [unsafe] f32_store_bf16(to: *mut u8, x: __m256) -> () {{
            let bits = _mm256_castps_si256(x);
            let even = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let half = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), even);
            let upper = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, half));
            let (low, high) = (_mm256_castsi256_si128(upper), _mm256_extracti128_si256::<1>(upper));
            _mm_storeu_si128(to.cast(), _mm_packus_epi32(low, high))
        }}
        [unsafe] f32_load_i8(from: *const u8) -> __m256 {
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast())))
        }
        [unsafe] f32_store_i8(to: *mut u8, x: __m256) -> () {{
            let wide = _mm256_cvtps_epi32(x);
            let words = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256::<1>(wide));
            _mm_storel_epi64(to.cast(), _mm_packs_epi16(words, words))
        }}
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
        [unsafe] f64_load_f16(from: *const u8) -> __m256d {
            _mm256_cvtps_pd(_mm_cvtph_ps(_mm_loadl_epi64(from.cast())))
        }
        [unsafe] f64_load_bf16(from: *const u8) -> __m256d {{
            let wide = _mm_cvtepu16_epi32(_mm_loadl_epi64(from.cast()));
            _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32::<16>(wide)))
        }}
        f64_add(a: __m256d, b: __m256d) -> __m256d { _mm256_add_pd(a, b) }
        f64_sub(a: __m256d, b: __m256d) -> __m256d { _mm256_sub_pd(a, b) }
        f64_mul_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d { _mm256_fmadd_pd(a, b, c) }
        f64_sum(x: __m256d) -> f64 {{
            let two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }}

        [unsafe] f32_load_i16(from: *const u8) -> __m256 {
            _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128(from.cast())))
        }
        f32_sign_bits(x: __m256) -> u32 { _mm256_movemask_ps(x) as u32 }
        f32_greater(a: __m256, b: __m256) -> u32 {
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) as u32
        }

        scan_zero() -> [__m256i; 4] { [_mm256_setzero_si256(); 4] }
        // A 16-bit lane of the first sum gathers its low byte plus 256 times its high byte, a lane
        // of the second one the high byte alone: what belongs to the low byte is the difference.
        [unsafe] scan_step(codes: *const u8, tables: *const u8, sums: [__m256i; 4]) -> [__m256i; 4] {{
            let codes = _mm256_loadu_si256(codes.cast());
            let tables = _mm256_loadu_si256(tables.cast());
            let half = _mm256_set1_epi8(15);
            let low = _mm256_shuffle_epi8(tables, _mm256_and_si256(codes, half));
            let codes = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), half);
            let high = _mm256_shuffle_epi8(tables, codes);
            [
                _mm256_add_epi16(sums[0], low),
                _mm256_add_epi16(sums[1], _mm256_srli_epi16::<8>(low)),
                _mm256_add_epi16(sums[2], high),
                _mm256_add_epi16(sums[3], _mm256_srli_epi16::<8>(high)),
            ]
        }}
        [unsafe] scan_add_to(sums: [__m256i; 4], to: *mut f32) -> () {{
            for half in 0..2 {
                let odd = sums[2 * half + 1];
                let even = _mm256_sub_epi16(sums[2 * half], _mm256_slli_epi16::<8>(odd));
                let parts = [_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd)];
                for (part, &x) in parts.iter().enumerate() {
                    // Both 128-bit lanes hold their own tables' sums of the same codes.
                    let one = _mm256_add_epi32(
                        _mm256_cvtepu16_epi32(_mm256_castsi256_si128(x)),
                        _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(x)),
                    );
                    let to = to.add(16 * half + 8 * part);
                    _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), _mm256_cvtepi32_ps(one)));
                }
            }
        }}
    }
}

impl ByteProducts for Avx2 {
    type Sum = __m256i;

    const STEP: usize = 16;
    const CODE_STEP: usize = 16;
    const SYMMETRIC_STEP: usize = 32;

    intrinsics! {
        // Unsigned by signed bytes: a number's sign goes to the other one. A 16-bit lane holds two
        // products of at most 127 * 127.
        [unsafe] dot_symmetric(a: *const i8, b: *const i8, sum: __m256i) -> __m256i {{
            let (a, b) = (_mm256_loadu_si256(a.cast()), _mm256_loadu_si256(b.cast()));
            let two = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
            _mm256_add_epi32(sum, _mm256_madd_epi16(two, _mm256_set1_epi16(1)))
        }}
        zero() -> __m256i { _mm256_setzero_si256() }
        [unsafe] dot_i8_i8(a: *const i8, b: *const i8, sum: __m256i) -> __m256i {{
            let a = _mm256_cvtepi8_epi16(_mm_loadu_si128(a.cast()));
            let b = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.cast()));
            _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
        }}
        [unsafe] dot_i8_i16(codes: *const i8, query: *const i16, sum: __m256i) -> __m256i {{
            let codes = _mm256_cvtepi8_epi16(_mm_loadu_si128(codes.cast()));
            let query = _mm256_loadu_si256(query.cast());
            _mm256_add_epi32(sum, _mm256_madd_epi16(codes, query))
        }}
        // A 16-bit lane holds four products of at most 15 * 127.
        [unsafe] dot_u4_i8(codes: *const u8, query: *const i8, sum: __m256i) -> __m256i {{
            let codes = _mm256_loadu_si256(codes.cast());
            let half = _mm256_set1_epi8(15);
            let low = _mm256_and_si256(codes, half);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), half);
            let low = _mm256_maddubs_epi16(low, _mm256_loadu_si256(query.cast()));
            let high = _mm256_maddubs_epi16(high, _mm256_loadu_si256(query.add(32).cast()));
            let four = _mm256_add_epi16(low, high);
            _mm256_add_epi32(sum, _mm256_madd_epi16(four, _mm256_set1_epi16(1)))
        }}
        plus(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
        total_i32(x: __m256i) -> i32 {{
            let four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
            let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
        }}
        total(x: __m256i) -> i64 {{
            let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(x));
            let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(x));
            let four = _mm256_add_epi64(low, high);
            let two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four));
            _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)))
        }}
    }
}

impl BitCounts for Avx2 {
    type Count = __m256i;

    const STEP: usize = 32;

    intrinsics! {
        zero() -> __m256i { _mm256_setzero_si256() }
        // The counts of all half-bytes lie in a table of 16, which a byte shuffle looks up.
        [unsafe] add_differing(a: *const u8, b: *const u8, count: __m256i) -> __m256i {{
            let x = _mm256_xor_si256(_mm256_loadu_si256(a.cast()), _mm256_loadu_si256(b.cast()));
            let table = _mm256_broadcastsi128_si256(_mm_setr_epi8(
                0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
            ));
            let half = _mm256_set1_epi8(0x0f);
            let low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, half));
            let high = _mm256_srli_epi16::<4>(x);
            let high = _mm256_shuffle_epi8(table, _mm256_and_si256(high, half));
            let bytes = _mm256_add_epi8(low, high);
            _mm256_add_epi64(count, _mm256_sad_epu8(bytes, _mm256_setzero_si256()))
        }}
        total(x: __m256i) -> u64 {{
            let two = _mm_add_epi64(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
            _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) as u64
        }}
    }
}
