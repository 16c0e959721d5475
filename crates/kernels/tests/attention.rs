//! Attention on every backend, against its definition in `f64`.

mod backends;

use backends::backends;
use kernels::{AttentionWorkspace, Backend, Bf16, Projections, RelativeBias, Rows, RowsMut};

/// Values of no special pattern, of magnitudes up to `scale`; `step` makes another sequence.
fn values(count: usize, step: f32, scale: f32) -> Vec<f32> {
    (0..count).map(|i| ((i as f32 + 1.0) * step).sin() * scale).collect()
}

/// `softmax(Q K^T / sqrt(size) + bias) V`, and the mean magnitude of what is weighted.
fn definition(
    x: &[f32],
    tokens: usize,
    heads: usize,
    size: usize,
    bias: impl Fn(usize, usize, usize) -> f32,
) -> Vec<f64> {
    let stride = 3 * heads * size;
    let at = |token: usize, which: usize, head: usize, column: usize| {
        f64::from(x[token * stride + (which * heads + head) * size + column])
    };
    let mut out = vec![0.0; tokens * heads * size];
    for head in 0..heads {
        for query in 0..tokens {
            let scores: Vec<f64> = (0..tokens)
                .map(|key| {
                    let dot: f64 =
                        (0..size).map(|c| at(query, 0, head, c) * at(key, 1, head, c)).sum();
                    dot / (size as f64).sqrt() + f64::from(bias(head, query, key))
                })
                .collect();
            let most = scores.iter().fold(f64::MIN, |most, &score| most.max(score));
            let powers: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let sum: f64 = powers.iter().sum();
            for column in 0..size {
                let weighted: f64 = powers
                    .iter()
                    .enumerate()
                    .map(|(key, power)| power / sum * at(key, 2, head, column))
                    .sum();
                out[(query * heads + head) * size + column] = weighted;
            }
        }
    }
    out
}

/// Tokens, heads and their size: around tiles, panels and words, odd numbers of tokens.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 2),
    (2, 3, 4),
    (5, 2, 32),
    (13, 1, 40),
    (33, 2, 64),
    (47, 1, 70),
    (64, 3, 16),
    (100, 2, 32),
    (201, 1, 8),
];

fn singles(
    backend: Backend,
    x: &[f32],
    (tokens, heads, size): (usize, usize, usize),
    bias: Option<RelativeBias<'_>>,
    workspace: &mut AttentionWorkspace,
) -> Vec<f32> {
    let hidden = heads * size;
    let mut out = vec![f32::NAN; tokens * hidden];
    let projections = Projections::F32(
        Rows::new(x, tokens, 3 * hidden, 3 * hidden),
        RowsMut::new(&mut out, tokens, hidden, hidden),
    );
    backend.attend(projections, heads, 0, bias, workspace);
    out
}

#[test]
fn attention_agrees_with_its_definition() {
    for backend in backends() {
        // One workspace for all: what an earlier text left must not matter.
        let mut workspace = AttentionWorkspace::default();
        for shape in SHAPES {
            let (tokens, heads, size) = shape;
            let hidden = heads * size;
            for scale in [0.5, 3.0, 30.0] {
                let what = format!("{backend:?} {shape:?} {scale}");
                let x = values(tokens * 3 * hidden, 0.7, scale);
                let expected = definition(&x, tokens, heads, size, |_, _, _| 0.0);
                let found = singles(backend, &x, shape, None, &mut workspace);
                for (found, expected) in found.iter().zip(expected) {
                    // Scores grow with the square of the numbers, and so does their rounding.
                    let tolerance = 1e-6 * f64::from(scale).powi(3).max(4.0);
                    assert!((f64::from(*found) - expected).abs() < tolerance, "{what}");
                }

                let halves: Vec<Bf16> = x.iter().map(|&x| Bf16::from_f32(x)).collect();
                let wide: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
                let expected = definition(&wide, tokens, heads, size, |_, _, _| 0.0);
                let mut out = vec![Bf16::default(); tokens * hidden];
                let projections = Projections::Bf16(
                    Rows::new(&halves, tokens, 3 * hidden, 3 * hidden),
                    RowsMut::new(&mut out, tokens, hidden, hidden),
                );
                backend.attend(projections, heads, 0, None, &mut workspace);
                for (found, expected) in out.iter().zip(expected) {
                    // Weights and results are rounded to 8 bits.
                    let tolerance =
                        f64::from(scale) * 2f64.powi(-8) + 1e-6 * f64::from(scale).powi(3);
                    assert!((f64::from(found.to_f32()) - expected).abs() < tolerance, "{what}");
                }
            }
        }
    }
}

#[test]
fn heads_in_parts_are_the_same_heads() {
    for backend in backends() {
        let (tokens, heads, size) = (37, 5, 8);
        let hidden = heads * size;
        let x = values(tokens * 3 * hidden, 0.7, 1.0);
        let mut workspace = AttentionWorkspace::default();
        let whole = singles(backend, &x, (tokens, heads, size), None, &mut workspace);
        for cut in 0..=heads {
            let mut out = vec![f32::NAN; tokens * hidden];
            let rows = RowsMut::new(&mut out, tokens, hidden, hidden);
            let (left, right) = rows.split_columns(cut * size);
            for (first, part) in [(cut, right), (0, left)] {
                let x = Rows::new(&x, tokens, 3 * hidden, 3 * hidden);
                backend.attend(Projections::F32(x, part), heads, first, None, &mut workspace);
            }
            assert_eq!(out, whole, "{backend:?} cut at {cut}");
        }
    }
}

#[test]
fn a_relative_bias_goes_by_distance() {
    for backend in backends() {
        let mut workspace = AttentionWorkspace::default();
        for shape in SHAPES {
            let (tokens, heads, size) = shape;
            let longest = tokens + 3;
            let row = 2 * longest - 1;
            let table = values(heads * row, 1.9, 2.0);
            let x = values(tokens * 3 * heads * size, 0.7, 1.0);
            let expected = definition(&x, tokens, heads, size, |head, query, key| {
                table[head * row + key + longest - 1 - query]
            });
            let bias = RelativeBias { table: &table, longest };
            let found = singles(backend, &x, shape, Some(bias), &mut workspace);
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{backend:?} {shape:?}");
            }
        }
    }
}

#[test]
fn a_nan_in_a_query_spoils_that_query_alone() {
    for backend in backends() {
        let shape = (15, 2, 8);
        let (tokens, heads, size) = shape;
        let hidden = heads * size;
        let mut x = values(tokens * 3 * hidden, 0.7, 1.0);
        let mut workspace = AttentionWorkspace::default();
        let clean = singles(backend, &x, shape, None, &mut workspace);
        x[4 * 3 * hidden + size + 3] = f32::NAN;
        let found = singles(backend, &x, shape, None, &mut workspace);
        for (at, (found, clean)) in found.iter().zip(clean).enumerate() {
            let spoilt = at / hidden == 4 && at % hidden >= size;
            assert!(if spoilt { found.is_nan() } else { *found == clean }, "{backend:?} {at}");
        }
    }
}
