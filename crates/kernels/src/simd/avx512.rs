//! AVX-512 (F and BW): 512-bit vectors, 32 registers.

use core::arch::x86_64::*;

use super::{BitCounts, ByteProducts, Simd};

/// Proof that the CPU has AVX-512 F and BW (and AVX2 and FMA, which come with them).
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The CPU must have AVX-512 F and BW, and what [`super::avx2::Avx2`] stands for.
    pub(crate) unsafe fn assume() -> Self {
        Avx512(())
    }
}

impl Simd for Avx512 {
    type F32 = __m512;
    type F64 = __m512d;
    // Even and odd bytes of the low codes, then of the high codes: see `scan_step`.
    type Scan = [__m512i; 4];

    const F32_LANES: usize = 16;
    const F64_LANES: usize = 8;
    const SCAN_STEP: usize = 64;
    // 12 rows x 2 vectors = 24 sums, 2 for the weights, 1 for the broadcast: 27 of 32 registers.
    const TILE_ROWS: usize = 12;

    intrinsics! {
        f32_splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        [unsafe] f32_load(from: *const f32) -> __m512 { _mm512_loadu_ps(from) }
        [unsafe] f32_store(to: *mut f32, x: __m512) -> () { _mm512_storeu_ps(to, x) }
        [unsafe] f32_load_f16(from: *const u8) -> __m512 {
            _mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))
        }
        [unsafe] f32_store_f16(to: *mut u8, x: __m512) -> () {{
            let narrow = _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
            _mm256_storeu_si256(to.cast(), narrow)
        }}
        [unsafe] f32_load_bf16(from: *const u8) -> __m512 {{
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }}
        [unsafe] f32_store_bf16(to: *mut u8, x: __m512) -> () {{
            let bits = _mm512_castps_si512(x);
            let even = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let half = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), even);
            let upper = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(upper))
        }}
        [unsafe] f32_load_i8(from: *const u8) -> __m512 {
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast())))
        }
        [unsafe] f32_store_i8(to: *mut u8, x: __m512) -> () {
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)))
        }
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
        [unsafe] f64_load_f16(from: *const u8) -> __m512d {
            _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(from.cast())))
        }
        [unsafe] f64_load_bf16(from: *const u8) -> __m512d {{
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
        }}
        f64_add(a: __m512d, b: __m512d) -> __m512d { _mm512_add_pd(a, b) }
        f64_sub(a: __m512d, b: __m512d) -> __m512d { _mm512_sub_pd(a, b) }
        f64_mul_add(a: __m512d, b: __m512d, c: __m512d) -> __m512d { _mm512_fmadd_pd(a, b, c) }
        f64_sum(x: __m512d) -> f64 { _mm512_reduce_add_pd(x) }

        [unsafe] f32_load_i16(from: *const u8) -> __m512 {
            _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256(from.cast())))
        }
        f32_sign_bits(x: __m512) -> u32 {
            u32::from(_mm512_cmplt_epi32_mask(_mm512_castps_si512(x), _mm512_setzero_si512()))
        }
        f32_greater(a: __m512, b: __m512) -> u32 {
            u32::from(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b))
        }

        scan_zero() -> [__m512i; 4] { [_mm512_setzero_si512(); 4] }
        // A 16-bit lane of the first sum gathers its low byte plus 256 times its high byte, a lane
        // of the second one the high byte alone: what belongs to the low byte is the difference.
        [unsafe] scan_step(codes: *const u8, tables: *const u8, sums: [__m512i; 4]) -> [__m512i; 4] {{
            let codes = _mm512_loadu_si512(codes.cast());
            let tables = _mm512_loadu_si512(tables.cast());
            let half = _mm512_set1_epi8(15);
            let low = _mm512_shuffle_epi8(tables, _mm512_and_si512(codes, half));
            let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), half);
            let high = _mm512_shuffle_epi8(tables, codes);
            [
                _mm512_add_epi16(sums[0], low),
                _mm512_add_epi16(sums[1], _mm512_srli_epi16::<8>(low)),
                _mm512_add_epi16(sums[2], high),
                _mm512_add_epi16(sums[3], _mm512_srli_epi16::<8>(high)),
            ]
        }}
        [unsafe] scan_add_to(sums: [__m512i; 4], to: *mut f32) -> () {{
            for half in 0..2 {
                let odd = sums[2 * half + 1];
                let even = _mm512_sub_epi16(sums[2 * half], _mm512_slli_epi16::<8>(odd));
                let parts = [_mm512_unpacklo_epi16(even, odd), _mm512_unpackhi_epi16(even, odd)];
                for (part, &x) in parts.iter().enumerate() {
                    // Each of the four 128-bit lanes holds its own tables' sums of the same codes.
                    let two = _mm512_add_epi32(
                        _mm512_cvtepu16_epi32(_mm512_castsi512_si256(x)),
                        _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(x)),
                    );
                    let one = _mm256_add_epi32(
                        _mm512_castsi512_si256(two),
                        _mm512_extracti64x4_epi64::<1>(two),
                    );
                    let to = to.add(16 * half + 8 * part);
                    _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), _mm256_cvtepi32_ps(one)));
                }
            }
        }}
    }
}

impl ByteProducts for Avx512 {
    type Sum = __m512i;

    const STEP: usize = 32;
    const CODE_STEP: usize = 32;

    intrinsics! {
        zero() -> __m512i { _mm512_setzero_si512() }
        [unsafe] dot_i8_i8(a: *const i8, b: *const i8, sum: __m512i) -> __m512i {{
            let a = _mm512_cvtepi8_epi16(_mm256_loadu_si256(a.cast()));
            let b = _mm512_cvtepi8_epi16(_mm256_loadu_si256(b.cast()));
            _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
        }}
        [unsafe] dot_i8_i16(codes: *const i8, query: *const i16, sum: __m512i) -> __m512i {{
            let codes = _mm512_cvtepi8_epi16(_mm256_loadu_si256(codes.cast()));
            let query = _mm512_loadu_si512(query.cast());
            _mm512_add_epi32(sum, _mm512_madd_epi16(codes, query))
        }}
        [unsafe] dot_u4_i8(codes: *const u8, query: *const i8, sum: __m512i) -> __m512i {{
            let pairs = _mm512_maddubs_epi16(half_bytes(codes), _mm512_loadu_si512(query.cast()));
            _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
        }}
        plus(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
        total_i32(x: __m512i) -> i32 { _mm512_reduce_add_epi32(x) }
        total(x: __m512i) -> i64 {{
            let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x));
            let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(x));
            _mm512_reduce_add_epi64(_mm512_add_epi64(low, high))
        }}
    }
}

impl BitCounts for Avx512 {
    type Count = __m512i;

    const STEP: usize = 64;

    intrinsics! {
        zero() -> __m512i { _mm512_setzero_si512() }
        // The counts of all half-bytes lie in a table of 16, which a byte shuffle looks up.
        [unsafe] add_differing(a: *const u8, b: *const u8, count: __m512i) -> __m512i {{
            let x = _mm512_xor_si512(_mm512_loadu_si512(a.cast()), _mm512_loadu_si512(b.cast()));
            let table = _mm512_set4_epi32(0x0403_0302, 0x0302_0201, 0x0302_0201, 0x0201_0100);
            let half = _mm512_set1_epi8(0x0f);
            let low = _mm512_shuffle_epi8(table, _mm512_and_si512(x, half));
            let high = _mm512_srli_epi16::<4>(x);
            let high = _mm512_shuffle_epi8(table, _mm512_and_si512(high, half));
            let bytes = _mm512_add_epi8(low, high);
            _mm512_add_epi64(count, _mm512_sad_epu8(bytes, _mm512_setzero_si512()))
        }}
        total(x: __m512i) -> u64 { _mm512_reduce_add_epi64(x) as u64 }
    }
}

/// The low halves of 32 bytes, then their high halves.
///
/// # Safety
/// 32 bytes from `codes` on are inside one live allocation; the CPU has AVX-512 F and AVX2.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
pub(super) unsafe fn half_bytes(codes: *const u8) -> __m512i {
    // SAFETY: the caller's condition.
    let codes = unsafe { _mm256_loadu_si256(codes.cast()) };
    let half = _mm256_set1_epi8(15);
    let low = _mm256_and_si256(codes, half);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), half);
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}
