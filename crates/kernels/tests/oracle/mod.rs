//! Test data and plain `f64` arithmetic to compare kernels with.
#![allow(dead_code, reason = "each test program uses some of them")]

/// Reproducible values in -1..1, of no special pattern.
pub(crate) fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

pub(crate) fn exact_dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn exact_squared_l2(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[track_caller]
pub(crate) fn assert_close(
    found: impl Into<f64>,
    expected: f64,
    tolerance: f64,
    what: &dyn Fn() -> String,
) {
    let found = found.into();
    assert!((found - expected).abs() <= tolerance, "{}: {found} is not {expected}", what());
}
