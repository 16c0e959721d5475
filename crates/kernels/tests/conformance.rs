//! Every kernel on every backend that this CPU has, against plain `f64` arithmetic.
//!
//! Small seeds are expanded over all lengths around the vector widths and over all alignments.

mod backends;
mod oracle;

use backends::backends;
use kernels::{
    Activation, Backend, Bf16, DISTANCES_PER_MINIMUM, F16, Float, LayerNorm, Lengths, Narrow,
    QuantizedQuery, SortedPairs, TopK, code_stride,
};
use oracle::{assert_close, exact_dot, exact_squared_l2, values, wide};

/// Covers several rounds of the widest unrolled loop (4 x 16 lanes) and every remainder.
const LONGEST: usize = 200;
/// Start offsets in elements: every alignment within a 64-byte line of `f32`.
const OFFSETS: std::ops::Range<usize> = 0..16;

fn exact_cosine(a: &[f64], b: &[f64]) -> f64 {
    let norms = (exact_dot(a, a) * exact_dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { exact_dot(a, b) / norms }
}

#[test]
fn distances_agree_at_every_length_and_alignment() {
    let a_values = values(LONGEST + 16, 1);
    let b_values = values(LONGEST + 16, 2);
    for backend in backends() {
        for length in 0..=LONGEST {
            for offset in OFFSETS {
                let a = &a_values[offset..offset + length];
                let b = &b_values[16 - offset..16 - offset + length];
                let (a64, b64) = (wide(a), wide(b));
                let what = || format!("{backend:?}, length {length}, offset {offset}");
                let (dot, l2, cosine) =
                    (exact_dot(&a64, &b64), exact_squared_l2(&a64, &b64), exact_cosine(&a64, &b64));
                let norm = exact_dot(&a64, &a64).sqrt();

                assert_close(backend.dot(a, b), dot, 1e-5, &what);
                assert_close(backend.squared_l2(a, b), l2, 1e-4, &what);
                assert_close(backend.cosine(a, b), cosine, 1e-5, &what);
                assert_close(backend.norm(a), norm, 1e-5, &what);

                assert_close(backend.dot(&a64, &b64), dot, 1e-12, &what);
                assert_close(backend.squared_l2(&a64, &b64), l2, 1e-12, &what);
                assert_close(backend.cosine(&a64, &b64), cosine, 1e-12, &what);
                assert_close(backend.norm(&a64), norm, 1e-12, &what);

                assert_close(backend.dot_widened(a, b), dot, 1e-12, &what);
                assert_close(backend.squared_l2_widened(a, b), l2, 1e-12, &what);
                assert_close(backend.cosine_widened(a, b), cosine, 1e-12, &what);
                assert_close(backend.norm_widened(a), norm, 1e-12, &what);
            }
        }
    }
}

#[test]
fn distances_of_narrow_vectors_agree_at_every_length_and_alignment() {
    fn check<T: Narrow>(backend: Backend, a: &[T], b: &[T], a64: &[f64], b64: &[f64]) {
        for length in 0..=LONGEST {
            for offset in OFFSETS {
                let what = || format!("{backend:?}, length {length}, offset {offset}");
                let (from, other) = (offset..offset + length, 16 - offset..16 - offset + length);
                let (a, b) = (&a[from.clone()], &b[other.clone()]);
                let (a64, b64) = (&a64[from], &b64[other]);
                let norm = exact_dot(a64, a64).sqrt();
                assert_close(backend.dot_widened(a, b), exact_dot(a64, b64), 1e-12, &what);
                let l2 = exact_squared_l2(a64, b64);
                assert_close(backend.squared_l2_widened(a, b), l2, 1e-12, &what);
                let cosine = exact_cosine(a64, b64);
                assert_close(backend.cosine_widened(a, b), cosine, 1e-12, &what);
                assert_close(backend.norm_widened(a), norm, 1e-12, &what);
            }
        }
    }
    let (a, b) = (values(LONGEST + 16, 1), values(LONGEST + 16, 2));
    let half = |x: &[f32]| x.iter().map(|&x| F16::from_f32(x)).collect::<Vec<_>>();
    let brain = |x: &[f32]| x.iter().map(|&x| Bf16::from_f32(x)).collect::<Vec<_>>();
    for backend in backends() {
        let wide = |x: &[F16]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (a_half, b_half) = (half(&a), half(&b));
        check(backend, &a_half, &b_half, &wide(&a_half), &wide(&b_half));
        let wide = |x: &[Bf16]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (a_brain, b_brain) = (brain(&a), brain(&b));
        check(backend, &a_brain, &b_brain, &wide(&a_brain), &wide(&b_brain));
    }
}

#[test]
fn narrow_specials_follow_ieee() {
    for backend in backends() {
        for length in 1..=40 {
            for position in 0..length {
                let with = |bits| {
                    let mut x = vec![0x3c00; length];
                    x[position] = bits;
                    x
                };
                let dot = |a: &[u16], b: &[u16]| {
                    backend.dot_widened(F16::slice_of_bits(a), F16::slice_of_bits(b))
                };
                let ones = with(0x3c00);
                assert!(dot(&with(0x7e00), &ones).is_nan(), "{backend:?} {length} {position}");
                assert_eq!(dot(&with(0xfc00), &ones), f64::NEG_INFINITY);
                // The least subnormal and the largest number.
                assert_eq!(dot(&with(1), &ones), (length - 1) as f64 + 2f64.powi(-24));
                assert_eq!(dot(&with(0x7bff), &ones), (length - 1) as f64 + 65_504.0);
                let brain = Bf16::slice_of_bits;
                let least = backend.norm_widened(brain(&[1]));
                assert!((least / 2f64.powi(-133) - 1.0).abs() < 1e-12, "{backend:?} {least}");
                assert!(backend.norm_widened(brain(&with(0x7fc0))).is_nan());
            }
        }
    }
}

/// A single odd element must be seen wherever it stands: no lane may be skipped or read twice.
#[test]
fn every_element_counts_once() {
    for backend in backends() {
        for length in 1..=LONGEST {
            let ones = vec![1.0f32; length];
            for position in 0..length {
                let mut unit = vec![0.0f32; length];
                unit[position] = 3.0;
                assert_eq!(backend.dot(&unit, &ones), 3.0, "{backend:?} {length} {position}");
                assert_eq!(backend.squared_l2(&unit, &vec![0.0; length]), 9.0);
                assert_eq!(backend.dot_widened(&unit, &ones), 3.0);
                assert_eq!(backend.dot(&wide(&unit), &wide(&ones)), 3.0);
            }
        }
    }
}

#[test]
fn nan_and_infinity_follow_ieee() {
    fn check<T: Float + From<f32> + Into<f64>>(backend: Backend) {
        for length in 1..=70 {
            for position in [0, length / 2, length - 1] {
                let with = |value: f32| {
                    let mut x = vec![T::from(1.0); length];
                    x[position] = T::from(value);
                    x
                };
                let ones = vec![T::from(1.0); length];
                let what = || format!("{backend:?} {length} {position}");
                let dot = |a: &[T], b: &[T]| -> f64 { backend.dot(a, b).into() };
                assert!(dot(&with(f32::NAN), &ones).is_nan(), "{}", what());
                assert_eq!(dot(&with(f32::INFINITY), &ones), f64::INFINITY, "{}", what());
                assert_eq!(dot(&with(f32::NEG_INFINITY), &ones), f64::NEG_INFINITY, "{}", what());
                assert!(dot(&with(f32::INFINITY), &with(0.0)).is_nan(), "{}", what());
                let l2: f64 = backend.squared_l2(&with(f32::INFINITY), &with(f32::INFINITY)).into();
                assert!(l2.is_nan(), "{}", what());
                let cosine: f64 = backend.cosine(&with(f32::NAN), &ones).into();
                assert!(cosine.is_nan(), "{}", what());
                let norm: f64 = backend.norm(&with(f32::NEG_INFINITY)).into();
                assert_eq!(norm, f64::INFINITY, "{}", what());
            }
        }
    }
    for backend in backends() {
        check::<f32>(backend);
        check::<f64>(backend);
    }
}

#[test]
fn empty_and_zero_vectors_are_defined() {
    for backend in backends() {
        let empty: &[f32] = &[];
        assert_eq!(backend.dot(empty, empty), 0.0);
        assert_eq!(backend.squared_l2(empty, empty), 0.0);
        assert_eq!(backend.cosine(empty, empty), 0.0);
        assert_eq!(backend.norm(empty), 0.0);
        assert_eq!(backend.cosine(&[0.0f32; 40], &[1.0; 40]), 0.0);
    }
}

#[test]
fn one_to_many_is_one_to_one_many_times() {
    for backend in backends() {
        for dimension in [1, 3, 8, 17, 64, 100] {
            for count in [0, 1, 2, 7] {
                let query = values(dimension, 3);
                let rows = values(dimension * count, 4);
                let mut out = vec![f32::NAN; count];
                backend.dot_many(&query, &rows, &mut out);
                for (row, &found) in rows.chunks(dimension).zip(&out) {
                    assert_eq!(found, backend.dot(&query, row));
                }
                backend.squared_l2_many(&query, &rows, &mut out);
                for (row, &found) in rows.chunks(dimension).zip(&out) {
                    assert_eq!(found, backend.squared_l2(&query, row));
                }
                backend.cosine_many(&query, &rows, &mut out);
                for (row, &found) in rows.chunks(dimension).zip(&out) {
                    let expected = exact_cosine(&wide(&query), &wide(row));
                    assert_close(found, expected, 1e-5, &|| format!("{backend:?}"));
                }
            }
        }
    }
}

#[test]
fn top_k_equals_sorting_everything() {
    for backend in backends() {
        let dimension = 12;
        let query = values(dimension, 5);
        let mut rows = values(dimension * 700, 6);
        // Duplicates: equal scores must go to the smaller row.
        let (first, second) = rows.split_at_mut(dimension * 300);
        second[..dimension * 100].copy_from_slice(&first[..dimension * 100]);
        let mut expected: Vec<(f32, u32)> = rows
            .chunks(dimension)
            .enumerate()
            .map(|(index, row)| (backend.dot(&query, row), index as u32))
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for k in [0, 1, 2, 10, 699, 700, 5000] {
            let found = backend.top_k_dot(&query, &rows, k);
            assert_eq!(found, expected[..k.min(700)], "{backend:?} {k}");
        }
    }
}

#[test]
fn a_selection_refuses_nan_and_merges() {
    let mut left = TopK::new(3);
    let mut right = TopK::new(3);
    for (score, index) in [(f32::NAN, 0), (1.0, 1), (f32::NEG_INFINITY, 2), (5.0, 3)] {
        left.push(score, index);
    }
    for (score, index) in [(5.0, 4), (2.0, 5), (f32::NAN, 6), (f32::INFINITY, 7)] {
        right.push(score, index);
    }
    left.merge(right);
    assert_eq!(left.threshold(), 5.0);
    assert_eq!(left.into_sorted(), [(f32::INFINITY, 7), (5.0, 3), (5.0, 4)]);
}

#[test]
fn estimates_stay_within_their_bound() {
    for backend in backends() {
        for dimension in [1, 2, 31, 32, 33, 64, 100, 384, 1000] {
            for (seed, magnitude) in [(1, 1.0), (2, 1e-6), (3, 1e6), (4, 0.0)] {
                let scaled = |seed| -> Vec<f32> {
                    values(dimension, seed).iter().map(|x| x * magnitude).collect()
                };
                let query_values = scaled(seed + 10);
                let query = QuantizedQuery::new(&query_values);
                let stride = code_stride(dimension);
                let count = 9;
                let mut codes = vec![1i8; stride * count];
                let rows: Vec<Vec<f32>> = (0..count as u64).map(|row| scaled(seed + row)).collect();
                let factors: Vec<_> = rows
                    .iter()
                    .zip(codes.chunks_mut(stride))
                    .map(|(row, codes)| backend.quantize_row(row, codes))
                    .collect();
                let mut estimates = vec![f32::NAN; count];
                backend.estimate_dots(&query, &codes, &factors, &mut estimates);
                for (row, (factors, &estimate)) in rows.iter().zip(factors.iter().zip(&estimates)) {
                    let exact = exact_dot(&wide(&query_values), &wide(row));
                    let bound = f64::from(query.dot_ceiling(0.0, factors));
                    assert_close(estimate, exact, bound, &|| {
                        format!("{backend:?} {dimension} {magnitude}")
                    });
                    let distance = exact_squared_l2(&wide(&query_values), &wide(row));
                    let floor = f64::from(query.squared_l2_floor(estimate, factors));
                    assert!(floor <= distance, "{backend:?} {dimension}: {floor} {distance}");
                    // Bounds are of use only while they are close next to the norms.
                    let squared_query = exact_dot(&wide(&query_values), &wide(&query_values));
                    let norms = (exact_dot(&wide(row), &wide(row)).sqrt(), squared_query.sqrt());
                    assert!(bound <= 0.02 * norms.0 * norms.1 + 2e-35, "{bound} {norms:?}");
                    let slack = distance.sqrt() - floor.sqrt();
                    assert!(slack <= 0.005 * (norms.0 + norms.1), "{backend:?} {slack} {norms:?}");
                }
            }
        }
    }
}

#[test]
fn estimates_of_extreme_codes_do_not_overflow() {
    let dimension = kernels::MAXIMUM_DIMENSION;
    let ones = vec![1.0f32; dimension];
    let mut codes = vec![0i8; code_stride(dimension)];
    for backend in backends() {
        let factors = [backend.quantize_row(&ones, &mut codes)];
        let mut out = [0.0];
        backend.estimate_dots(&QuantizedQuery::new(&ones), &codes, &factors, &mut out);
        assert_close(out[0], dimension as f64, 0.1, &|| format!("{backend:?}"));
    }
}

/// The error function by its Taylor series, and by 1 beyond where the series is exact enough.
fn exact_erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn activations_agree_with_their_definitions() {
    let inputs: Vec<f32> = (-2400..=2400).map(|i| i as f32 / 200.0).collect();
    type Definition = fn(f64) -> f64;
    let table: [(Activation, Definition); 5] = [
        (Activation::Identity, |x| x),
        (Activation::Gelu, |x| 0.5 * x * (1.0 + exact_erf(x / 2f64.sqrt()))),
        (Activation::GeluTanh, |x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }),
        (Activation::Relu, |x| x.max(0.0)),
        (Activation::Tanh, f64::tanh),
    ];
    for backend in backends() {
        for (activation, definition) in table {
            let mut x = inputs.clone();
            backend.activate(activation, &mut x);
            for (&input, &found) in inputs.iter().zip(&x) {
                let expected = definition(input.into());
                let tolerance = 4e-7 * expected.abs().max(1.0) * f64::from(input).abs().max(1.0);
                assert_close(found, expected, tolerance, &|| {
                    format!("{backend:?} {activation:?}({input})")
                });
            }
            let mut extremes = [-1e30f32, -100.0, 100.0, 1e30];
            backend.activate(activation, &mut extremes);
            assert!(extremes.iter().all(|x| !x.is_nan()), "{backend:?} {activation:?}");
        }
    }
}

#[test]
fn layer_norm_agrees_at_every_length() {
    for backend in backends() {
        for length in 1..=70 {
            let x = values(length * 2, 12);
            let (gain, bias) = (values(length, 14), values(length, 15));
            let mut found = x.clone();
            let mut narrow = vec![Bf16::default(); length * 2];
            let norm = LayerNorm { gain: &gain, bias: &bias, epsilon: 1e-5 };
            backend.layer_norm_rows(&mut found, norm, Some(&mut narrow));
            for row in 0..2 {
                let x: Vec<f64> =
                    x[row * length..][..length].iter().map(|&x| f64::from(x)).collect();
                let mean = x.iter().sum::<f64>() / length as f64;
                let variance =
                    x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / length as f64;
                for column in 0..length {
                    let normal = (x[column] - mean) / (variance + 1e-5).sqrt();
                    let expected = normal * f64::from(gain[column]) + f64::from(bias[column]);
                    let at = row * length + column;
                    assert_close(found[at], expected, 1e-4, &|| format!("{backend:?} {length}"));
                    assert_eq!(narrow[at].to_bits(), Bf16::from_f32(found[at]).to_bits());
                }
            }
            let mut alone = x.clone();
            backend.layer_norm_rows(&mut alone, norm, None);
            assert_eq!(alone, found, "{backend:?} {length}");
        }
    }
}

#[test]
fn distances_follow_from_products_and_minima_from_distances() {
    let row = Lengths { square: 0.75f32, lift: 0.25, scale: 0.5 };
    for backend in backends() {
        for length in 0..=LONGEST {
            let [square, lift, scale, products] =
                [1, 2, 3, 4].map(|seed| values(length, seed + 10 * length as u64));
            let mut found = products.clone();
            let mut minima = vec![f32::NAN; length.div_ceil(DISTANCES_PER_MINIMUM)];
            let others = Lengths { square: &*square, lift: &*lift, scale: &*scale };
            backend.distances_of_products(row, others, &mut found, &mut minima);
            for (at, &distance) in found.iter().enumerate() {
                let [square, lift, scale, product] =
                    [&square, &lift, &scale, &products].map(|of| f64::from(of[at]));
                let expected = 0.75 + square - 2.0 * (0.5 * scale * product + 0.25 * lift);
                let error = (f64::from(distance) - expected.max(0.0)).abs();
                assert!(error < 1e-4, "{backend:?} {length} {at}: {distance}, not {expected}");
            }
            let least = |part: &[f32]| part.iter().copied().fold(f32::INFINITY, f32::min);
            let expected: Vec<f32> = found.chunks(DISTANCES_PER_MINIMUM).map(least).collect();
            assert_eq!(minima, expected, "{backend:?} {length}");
        }
    }
}

#[test]
fn distances_within_limits_are_listed_for_either_side() {
    let row = Lengths { square: 0.75f32, lift: 0.25, scale: 0.5 };
    for backend in backends() {
        for length in 0..=LONGEST {
            let [square, lift, scale, products, limits] =
                [1, 2, 3, 4, 5].map(|seed| values(length, seed + 10 * length as u64));
            for limit in [f32::NEG_INFINITY, 0.3, f32::INFINITY] {
                let mut found = vec![f32::NAN; length];
                let mut within = vec![7];
                let others = Lengths { square: &*square, lift: &*lift, scale: &*scale };
                backend.distances_within(
                    row,
                    others,
                    &products,
                    limit,
                    &limits,
                    &mut found,
                    &mut within,
                );
                let what = format!("{backend:?} {length} {limit}");
                for at in 0..length {
                    let [square, lift, scale, product] =
                        [&square, &lift, &scale, &products].map(|of| f64::from(of[at]));
                    let expected = 0.75 + square - 2.0 * (0.5 * scale * product + 0.25 * lift);
                    let error = (f64::from(found[at]) - expected).abs();
                    assert!(error < 1e-4, "{what} {at}: {}, not {expected}", found[at]);
                }
                let below = |at: &u32| found[*at as usize] < limit.max(limits[*at as usize]);
                let expected: Vec<u32> = (0..length as u32).filter(below).collect();
                assert_eq!(within, expected, "{what}");
            }
        }
    }
}

#[test]
fn pairs_stay_sorted_with_ties_and_infinities_as_they_come_and_go() {
    for backend in backends() {
        for length in 0..=LONGEST {
            let mut keys = values(length, length as u64);
            // Half of them are equal to another one.
            for at in (1..length).step_by(2) {
                keys[at] = keys[at - 1];
            }
            keys.extend([f32::NEG_INFINITY, -0.5, 0.0, f32::INFINITY, f32::NEG_INFINITY]);
            let mut pairs = SortedPairs::default();
            let mut expected: Vec<(f32, u32)> = Vec::new();
            for (number, key) in keys.into_iter().enumerate() {
                // Any bits are a value, those of a signalling NaN too.
                let value = 0xffa0_0000 + number as u32;
                let place = expected.partition_point(|(other, _)| *other >= key);
                expected.insert(place, (key, value));
                assert_eq!(pairs.insert(backend, key, value), place, "{backend:?} {length}");
                if number % 3 == 2 {
                    assert_eq!(pairs.pop(), expected.pop().map(|(_, value)| value));
                }
                let found = pairs.keys().iter().copied().zip(pairs.values().iter().copied());
                assert!(found.eq(expected.iter().copied()), "{backend:?} {length}");
            }
            pairs.clear();
            assert_eq!(pairs.pop(), None);
        }
    }
}
