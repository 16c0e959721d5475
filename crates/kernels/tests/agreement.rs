//! What must be the same on every backend to the last bit, and what a NaN does on each of them.

mod backends;

use backends::backends;
use kernels::{Activation, Backend, LayerNorm, QuantizedQuery, code_stride, quantize_row};

const ACTIVATIONS: [Activation; 5] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Tanh,
];

/// Values in -1..1 of no special pattern; `step` makes another sequence.
fn values(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|i| ((i as f32 + 1.0) * step).sin()).collect()
}

/// Sums of integers have no rounding, so a lane that is skipped or read twice shows however small
/// its share is.
#[test]
fn estimates_are_the_same_on_every_backend() {
    for dimension in (1..=130).chain([384, 1000]) {
        let query = QuantizedQuery::new(&values(dimension, 0.7));
        let stride = code_stride(dimension);
        let mut codes = vec![0i8; stride * 5];
        let factors: Vec<_> = codes
            .chunks_mut(stride)
            .zip([0.3, 0.9, 1.1, 1.7, 2.3])
            .map(|(codes, step)| quantize_row(&values(dimension, step), codes))
            .collect();
        let estimates = |backend: Backend| {
            let mut out = [f32::NAN; 5];
            backend.estimate_dots(&query, &codes, &factors, &mut out);
            out
        };
        let backends = backends();
        let scalar = backends.last().copied().expect("the scalar backend is always there");
        for backend in backends {
            assert_eq!(estimates(backend), estimates(scalar), "{backend:?} {dimension}");
        }
    }
}

#[test]
fn rows_have_the_same_codes_on_every_backend() {
    let scalar = backends().pop().expect("the scalar backend is always there");
    for dimension in (0..=130).chain([384, 1000]) {
        for magnitude in [0.0, 1e-44, 1e-38, 1.0, 1e36] {
            let row: Vec<f32> = values(dimension, 0.7).iter().map(|x| x * magnitude).collect();
            let coded = |backend: Backend| {
                let mut codes = vec![99; code_stride(dimension)];
                let factors = backend.quantize_row(&row, &mut codes);
                (codes, factors)
            };
            let (expected, wanted) = coded(scalar);
            assert!(expected[dimension..].iter().all(|&code| code == 0));
            for backend in backends() {
                let (codes, factors) = coded(backend);
                assert_eq!(codes, expected, "{backend:?} {dimension} {magnitude}");
                assert_eq!(factors.scale, wanted.scale);
                // Sums in another order, and the last place of the smallest numbers.
                let close = |a: f32, b: f32| (a - b).abs() <= 1e-6 * b + f32::from_bits(2);
                assert!(close(factors.residual_norm, wanted.residual_norm), "{backend:?}");
                assert!(close(factors.coded_norm, wanted.coded_norm), "{backend:?}");
            }
        }
    }
}

#[test]
fn many_rows_of_doubles_are_one_pair_many_times() {
    for backend in backends() {
        for dimension in [1, 3, 17, 100] {
            let wide = |step| values(dimension * 5, step).into_iter().map(f64::from);
            let query: Vec<f64> = wide(0.7).take(dimension).collect();
            let rows: Vec<f64> = wide(1.3).collect();
            let mut out = [f64::NAN; 5];
            backend.dot_many(&query, &rows, &mut out);
            for (row, found) in rows.chunks(dimension).zip(out) {
                assert_eq!(found, backend.dot(&query, row), "{backend:?} {dimension}");
            }
            backend.squared_l2_many(&query, &rows, &mut out);
            for (row, found) in rows.chunks(dimension).zip(out) {
                assert_eq!(found, backend.squared_l2(&query, row), "{backend:?} {dimension}");
            }
            backend.cosine_many(&query, &rows, &mut out);
            for (row, found) in rows.chunks(dimension).zip(out) {
                let expected = backend.cosine(&query, row);
                assert!((found - expected).abs() < 1e-14, "{backend:?} {dimension}");
            }
        }
    }
}

#[test]
fn slices_add_up_at_every_length() {
    for backend in backends() {
        for length in 0..=70 {
            let (a, b) = (values(length, 0.7), values(length, 1.3));
            let mut sum = a.clone();
            backend.add_assign(&mut sum, &b);
            let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
            assert_eq!(sum, expected, "{backend:?} {length}");
        }
    }
}

/// A NaN that came out as an ordinary number would hide a broken model, on some CPUs only.
#[test]
fn activations_pass_nan_on_and_keep_it_in_its_place() {
    for backend in backends() {
        for activation in ACTIVATIONS {
            for length in 1..=40 {
                let clean = values(length, 0.7);
                let mut expected = clean.clone();
                backend.activate(activation, &mut expected);
                for position in 0..length {
                    let mut x = clean.clone();
                    x[position] = f32::NAN;
                    backend.activate(activation, &mut x);
                    let what = format!("{backend:?} {activation:?} {length} {position}");
                    assert!(x[position].is_nan(), "{what}: {}", x[position]);
                    x[position] = expected[position];
                    assert_eq!(x, expected, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_nan_spoils_its_own_row_alone() {
    for backend in backends() {
        for length in 1..=40 {
            let (gain, bias) = (vec![1.0; length], vec![0.0; length]);
            let norm = LayerNorm { gain: &gain, bias: &bias, epsilon: 1e-5 };
            let clean = values(3 * length, 0.7);
            let mut expected = clean.clone();
            backend.layer_norm_rows(&mut expected, norm, None);
            for position in 0..length {
                let mut x = clean.clone();
                x[length + position] = f32::NAN;
                backend.layer_norm_rows(&mut x, norm, None);
                let what = format!("{backend:?} {length} {position}");
                let (first, rest) = x.split_at(length);
                let (spoilt, last) = rest.split_at(length);
                assert_eq!(first, &expected[..length], "{what}");
                assert_eq!(last, &expected[2 * length..], "{what}");
                assert!(spoilt.iter().all(|x| x.is_nan()), "{what}: {spoilt:?}");
            }
        }
    }
}
