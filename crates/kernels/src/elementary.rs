//! exp, erf and tanh on vectors, accurate to a few units in the last place of 1.

use crate::simd::Simd;

/// e^x. Relative error below 2e-7; results below the smallest normal `f32` come out as about
/// 1e-38 and results beyond the largest as about 1e38, so that nothing turns into NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    // ln 2 in two parts: n * LN2_HIGH is exact for the n that occur.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // The Taylor series of e^r: on |r| <= ln(2)/2 the first term left out is below 6e-9.
    const SERIES: [f32; 8] =
        [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

    let x = simd.f32_min(simd.f32_max(x, simd.f32_splat(-87.0)), simd.f32_splat(88.0));
    let n = simd.f32_round(simd.f32_mul(x, simd.f32_splat(std::f32::consts::LOG2_E)));
    let r = simd.f32_mul_add(n, simd.f32_splat(-LN2_HIGH), x);
    let r = simd.f32_mul_add(n, simd.f32_splat(-LN2_LOW), r);
    let mut value = simd.f32_splat(SERIES[0]);
    let mut term = 1;
    while term < SERIES.len() {
        value = simd.f32_mul_add(value, r, simd.f32_splat(SERIES[term]));
        term += 1;
    }
    simd.f32_mul(value, simd.f32_exp2_integer(n))
}

/// The error function, absolute error below 3e-7: Abramowitz and Stegun, Handbook of Mathematical
/// Functions (1964), 7.1.26.
#[inline(always)]
pub(crate) fn erf<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];

    let one = simd.f32_splat(1.0);
    let magnitude = simd.f32_copysign(x, one);
    let t = simd.f32_div(one, simd.f32_mul_add(simd.f32_splat(P), magnitude, one));
    let mut series = simd.f32_splat(A[0]);
    let mut term = 1;
    while term < A.len() {
        series = simd.f32_mul_add(series, t, simd.f32_splat(A[term]));
        term += 1;
    }
    let minus_square = simd.f32_mul(simd.f32_sub(simd.f32_splat(0.0), magnitude), magnitude);
    let tail = simd.f32_mul(simd.f32_mul(series, t), exp(simd, minus_square));
    simd.f32_copysign(simd.f32_sub(one, tail), x)
}

/// tanh x = 1 - 2 / (e^(2x) + 1), absolute error below 3e-7.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let one = simd.f32_splat(1.0);
    let doubled = exp(simd, simd.f32_add(x, x));
    simd.f32_sub(one, simd.f32_div(simd.f32_splat(2.0), simd.f32_add(doubled, one)))
}

/// The part of a normal distribution below x, absolute error below 2.2e-4, and exactly 0 and 1 beyond
/// 4 in magnitude: for results that are rounded to bf16.
///
/// `1/2 + x * p(x^2)`, p fitted by linear programming for the least greatest error of `x` times it.
#[inline(always)]
pub(crate) fn coarse_normal_distribution<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const LIMIT: f32 = 4.0;
    const P: [f32; 8] = [
        -4.557_264_5e-10,
        5.176_222e-8,
        -2.345_232_4e-6,
        5.792_795_5e-5,
        -8.872_615e-4,
        9.060_482e-3,
        -6.511_207e-2,
        3.982_277e-1,
    ];

    let (zero, one) = (simd.f32_splat(0.0), simd.f32_splat(1.0));
    let x = simd.f32_min(simd.f32_max(x, simd.f32_splat(-LIMIT)), simd.f32_splat(LIMIT));
    let square = simd.f32_mul(x, x);
    let mut series = simd.f32_splat(P[0]);
    let mut term = 1;
    while term < P.len() {
        series = simd.f32_mul_add(series, square, simd.f32_splat(P[term]));
        term += 1;
    }
    let part = simd.f32_mul_add(series, x, simd.f32_splat(0.5));
    simd.f32_min(simd.f32_max(part, zero), one)
}
