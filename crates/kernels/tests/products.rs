//! Matrix products in every precision on every backend, against plain `f64` arithmetic on the
//! numbers as the precision holds them.

mod backends;

use backends::backends;
use kernels::{
    Activation, Backend, Bf16, ElementType, Input, Output, PackedMatrix, Precision, QuantizedRows,
    Rows, RowsMut, StoredRows, matmul,
};

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// Rows, depth and columns: around tiles, panels and words, and deeper and taller than a block. Depths that
/// are no whole words of a precision are left out there.
const SHAPES: [(usize, usize, usize); 11] = [
    (1, 4, 1),
    (1, 8, 5),
    (5, 16, 33),
    (13, 40, 64),
    (25, 300, 31),
    (200, 20, 48),
    (3, 600, 70),
    (6, 0, 9),
    (90, 1536, 40),
    (7, 9, 35),
    (14, 18, 17),
];

fn shapes(precision: Precision) -> impl Iterator<Item = (usize, usize, usize)> {
    SHAPES.into_iter().filter(move |(_, depth, _)| depth.is_multiple_of(precision.per_word()))
}

/// Values in -1..1 of no special pattern; `step` makes another sequence.
fn values(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|i| ((i as f32 + 1.0) * step).sin()).collect()
}

/// The rows of x in a precision, and the numbers that they stand for.
struct Left {
    singles: Vec<f32>,
    halves: Vec<Bf16>,
    codes: QuantizedRows,
    exact: Vec<f32>,
    depth: usize,
}

impl Left {
    fn new(backend: Backend, precision: Precision, x: &[f32], count: usize, depth: usize) -> Left {
        let halves: Vec<Bf16> = x.iter().map(|&x| Bf16::from_f32(x)).collect();
        let mut codes = QuantizedRows::default();
        backend.quantize_rows(Rows::new(x, count, depth, depth), &mut codes);
        let exact = match precision {
            Precision::F32 => x.to_vec(),
            Precision::Bf16 => halves.iter().map(|x| x.to_f32()).collect(),
            Precision::Int8 => (0..count).flat_map(|row| codes.view().row(row)).collect(),
        };
        Left { singles: x.to_vec(), halves, codes, exact, depth }
    }

    fn input(&self, precision: Precision, count: usize) -> Input<'_> {
        let depth = self.depth;
        match precision {
            Precision::F32 => Input::F32(Rows::new(&self.singles, count, depth, depth)),
            Precision::Bf16 => Input::Bf16(Rows::new(&self.halves, count, depth, depth)),
            Precision::Int8 => Input::Int8(self.codes.view()),
        }
    }
}

/// The weights as a precision holds them, computed by its definition.
fn held(precision: Precision, w: &[f32], depth: usize) -> Vec<f64> {
    match precision {
        Precision::F32 => w.iter().map(|&w| f64::from(w)).collect(),
        Precision::Bf16 => w.iter().map(|&w| f64::from(Bf16::from_f32(w).to_f32())).collect(),
        Precision::Int8 => w
            .chunks(depth.max(1))
            .flat_map(|row| {
                let scale = row.iter().fold(0.0f32, |most, w| most.max(w.abs())) / 127.0;
                let factor = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                row.iter()
                    .map(move |w| f64::from((w * factor).round_ties_even()) * f64::from(scale))
            })
            .collect(),
    }
}

fn stored(
    x: Input<'_>,
    w: &PackedMatrix,
    activation: Activation,
    count: usize,
    columns: usize,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; count * columns];
    let rows = RowsMut::new(&mut out, count, columns, columns);
    matmul(x, w, 0, activation, Output::F32(rows));
    out
}

#[test]
fn products_agree_and_rows_do_not_depend_on_each_other() {
    for backend in backends() {
        for precision in PRECISIONS {
            for (count, depth, columns) in shapes(precision) {
                let what = format!("{backend:?} {precision:?} {count}x{depth}x{columns}");
                let (x, w) = (values(count * depth, 0.7), values(columns * depth, 1.3));
                let bias = values(columns, 2.9);
                let left = Left::new(backend, precision, &x, count, depth);
                let packed = PackedMatrix::new(
                    backend,
                    precision,
                    Rows::new(&w, columns, depth, depth),
                    Some(&bias),
                );
                let input = left.input(precision, count);
                let stride = columns + 2;
                let mut out = vec![f32::NAN; count * stride];
                let rows = RowsMut::new(&mut out, count, columns, stride);
                matmul(input, &packed, 0, Activation::Identity, Output::F32(rows));
                let held = held(precision, &w, depth);
                for row in 0..count {
                    let own = Left::new(backend, precision, &x[row * depth..][..depth], 1, depth);
                    let input = own.input(precision, 1);
                    let alone = stored(input, &packed, Activation::Identity, 1, columns);
                    assert_eq!(alone, out[row * stride..][..columns], "{what} row {row}");
                    for column in 0..columns {
                        let exact: f64 = left.exact[row * depth..][..depth]
                            .iter()
                            .zip(&held[column * depth..])
                            .map(|(&x, w)| f64::from(x) * w)
                            .sum();
                        let expected = exact + f64::from(bias[column]);
                        let found = f64::from(out[row * stride + column]);
                        assert!((found - expected).abs() < 2e-4, "{what}: {found} {expected}");
                    }
                    let gap = &out[row * stride + columns..][..2];
                    assert!(gap.iter().all(|x| x.is_nan()), "{what} wrote between rows");
                }
            }
        }
    }
}

#[test]
fn a_product_is_added_rounded_or_taken_in_parts() {
    for backend in backends() {
        for precision in PRECISIONS {
            for (count, depth, columns) in shapes(precision) {
                let what = format!("{backend:?} {precision:?} {count}x{depth}x{columns}");
                let (x, w) = (values(count * depth, 0.7), values(columns * depth, 1.3));
                let left = Left::new(backend, precision, &x, count, depth);
                let w = Rows::new(&w, columns, depth, depth);
                let packed = PackedMatrix::new(backend, precision, w, Some(&values(columns, 2.9)));
                let input = left.input(precision, count);
                let plain = stored(input, &packed, Activation::Identity, count, columns);

                let before = values(count * columns, 0.3);
                let mut sum = before.clone();
                let rows = RowsMut::new(&mut sum, count, columns, columns);
                matmul(input, &packed, 0, Activation::Identity, Output::AddTo(rows));
                let expected: Vec<f32> = before.iter().zip(&plain).map(|(a, b)| a + b).collect();
                assert_eq!(sum, expected, "{what}");

                let mut narrow = vec![Bf16::default(); count * columns];
                let rows = RowsMut::new(&mut narrow, count, columns, columns);
                matmul(input, &packed, 0, Activation::Identity, Output::Bf16(rows));
                let expected: Vec<Bf16> = plain.iter().map(|&x| Bf16::from_f32(x)).collect();
                let bits = |x: &[Bf16]| -> Vec<u16> { x.iter().map(|x| x.to_bits()).collect() };
                assert_eq!(bits(&narrow), bits(&expected), "{what}");

                let mut parts = vec![f32::NAN; count * columns];
                let rows = RowsMut::new(&mut parts, count, columns, columns);
                let width = packed.panel_width();
                let cut = (columns / 2).next_multiple_of(width).min(columns / width * width);
                let (head, tail) = Output::F32(rows).split_columns(cut);
                matmul(input, &packed, cut, Activation::Identity, tail);
                matmul(input, &packed, 0, Activation::Identity, head);
                assert_eq!(parts, plain, "{what} cut at {cut}");

                for activation in
                    [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Tanh]
                {
                    let mut expected = plain.clone();
                    backend.activate(activation, &mut expected);
                    let found = stored(input, &packed, activation, count, columns);
                    assert_eq!(found, expected, "{what} {activation:?}");
                }
            }
        }
    }
}

/// Integer sums have no rounding and what follows is rounded alike: not a bit may differ.
#[test]
fn products_of_bytes_are_the_same_on_every_backend() {
    for (count, depth, columns) in shapes(Precision::Int8) {
        let (x, w) = (values(count * depth, 0.7), values(columns * depth, 1.3));
        let product = |backend: Backend| {
            let left = Left::new(backend, Precision::Int8, &x, count, depth);
            let w = Rows::new(&w, columns, depth, depth);
            let packed =
                PackedMatrix::new(backend, Precision::Int8, w, Some(&values(columns, 2.9)));
            let input = left.input(Precision::Int8, count);
            stored(input, &packed, Activation::Identity, count, columns)
        };
        let backends = backends();
        let scalar = backends.last().copied().expect("the scalar backend is always there");
        for backend in backends {
            assert_eq!(product(backend), product(scalar), "{backend:?} {count}x{depth}x{columns}");
        }
    }
}

/// The largest codes of both signs in every place: no sum on the way may overflow.
#[test]
fn products_of_extreme_bytes_do_not_overflow() {
    let depth = 4096;
    for backend in backends() {
        for sign in [1.0, -1.0] {
            let mut x = vec![1.0; depth];
            x[0] = -1e-9;
            let w = vec![sign; depth];
            let left = Left::new(backend, Precision::Int8, &x, 1, depth);
            let w = Rows::new(&w, 1, depth, depth);
            let packed = PackedMatrix::new(backend, Precision::Int8, w, None);
            let input = left.input(Precision::Int8, 1);
            let found = stored(input, &packed, Activation::Identity, 1, 1)[0];
            assert!((found - sign * (depth - 1) as f32).abs() < 0.5, "{backend:?} {found}");
        }
    }
}

#[test]
fn stored_bytes_are_multiplied_as_they_are() {
    for backend in backends() {
        for (count, depth) in [(1, 4), (7, 12), (40, 68), (33, 384)] {
            let row_bytes = ElementType::Int8.row_bytes(depth);
            let mut stored = vec![0u8; count * row_bytes];
            let mut exact = Vec::new();
            for (row, stored) in stored.chunks_mut(row_bytes).enumerate() {
                // One row is all zeros.
                let scaled = values(depth, 0.3 + row as f32).into_iter().map(|x| x * row as f32);
                let row: Vec<f32> = scaled.collect();
                backend.encode_row(ElementType::Int8, &row, stored).unwrap();
                let mut decoded = vec![0.0f32; depth];
                backend.decode_row(ElementType::Int8, stored, &mut decoded);
                exact.push(decoded);
            }
            let rows = StoredRows::new(ElementType::Int8, depth, row_bytes, &stored);
            let listed: Vec<u32> = (0..count as u32).rev().chain([0]).collect();
            let mut left = QuantizedRows::default();
            left.take_stored(rows, &listed);
            let packed = PackedMatrix::of_stored(backend, rows, &listed);
            let columns = listed.len();
            let all = Input::Int8(left.view());
            let products = self::stored(all, &packed, Activation::Identity, columns, columns);
            for (i, &a) in listed.iter().enumerate() {
                assert_eq!(left.view().row(i), exact[a as usize], "{backend:?} {depth}");
                for (j, &b) in listed.iter().enumerate() {
                    let pairs = exact[a as usize].iter().zip(&exact[b as usize]);
                    let sum: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let found = products[i * columns + j];
                    let error = (f64::from(found) - sum).abs();
                    assert!(error <= 1e-6 * sum.abs(), "{backend:?} {depth} {i} {j}: {found}");
                    // To the last bit the same from both sides.
                    assert_eq!(found.to_bits(), products[j * columns + i].to_bits());
                }
            }
            let last = Input::Int8(left.part(columns - 1..columns));
            let products_of_last = self::stored(last, &packed, Activation::Identity, 1, columns);
            assert_eq!(products_of_last, products[(columns - 1) * columns..]);
        }
    }
}

#[test]
fn quantized_rows_are_close_and_keep_zero() {
    for backend in backends() {
        for columns in 1..=70 {
            for (step, shift) in [(0.7, 0.0), (0.3, 0.9), (1.1, -0.9), (0.9, 5.0)] {
                let mut x: Vec<f32> =
                    values(2 * columns, step).iter().map(|x| x * 3.0 + shift).collect();
                x[columns - 1] = 0.0;
                let mut codes = QuantizedRows::default();
                backend.quantize_rows(Rows::new(&x, 2, columns, columns), &mut codes);
                for row in 0..2 {
                    let x = &x[row * columns..][..columns];
                    let spread = x.iter().fold(0.0f32, |most, x| most.max(*x))
                        - x.iter().fold(0.0f32, |least, x| least.min(*x));
                    let what = format!("{backend:?} {columns} {step} {shift}");
                    for (x, found) in x.iter().zip(codes.view().row(row)) {
                        // Half a step for the number and half for the zero point.
                        assert!((x - found).abs() <= spread / 255.0 * 1.001, "{what}: {x} {found}");
                        assert!(*x != 0.0 || found == 0.0, "{what}: zero became {found}");
                    }
                }
                let halves: Vec<Bf16> = x.iter().map(|&x| Bf16::from_f32(x)).collect();
                let wide: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
                let mut from_halves = QuantizedRows::default();
                let rows = Rows::new(&halves, 2, columns, columns);
                backend.quantize_bf16_rows(rows, &mut from_halves);
                backend.quantize_rows(Rows::new(&wide, 2, columns, columns), &mut codes);
                for row in 0..2 {
                    assert_eq!(codes.view().row(row), from_halves.view().row(row));
                }
            }
        }
    }
}

#[test]
fn a_nan_comes_out_of_a_product_in_its_own_row_alone() {
    let (count, depth, columns) = (3, 40, 33);
    for backend in backends() {
        for precision in PRECISIONS {
            for position in 0..depth {
                for bad in [f32::NAN, f32::INFINITY] {
                    let mut x = values(count * depth, 0.7);
                    let w = vec![0.5; columns * depth];
                    let w = Rows::new(&w, columns, depth, depth);
                    let packed = PackedMatrix::new(backend, precision, w, None);
                    let clean = Left::new(backend, precision, &x, count, depth);
                    let input = clean.input(precision, count);
                    let clean = stored(input, &packed, Activation::Identity, count, columns);
                    x[depth + position] = bad;
                    let left = Left::new(backend, precision, &x, count, depth);
                    let input = left.input(precision, count);
                    let found = stored(input, &packed, Activation::Identity, count, columns);
                    let what = format!("{backend:?} {precision:?} {position} {bad}");
                    assert_eq!(found[..columns], clean[..columns], "{what}");
                    assert_eq!(found[2 * columns..], clean[2 * columns..], "{what}");
                    let spoilt = &found[columns..2 * columns];
                    assert!(spoilt.iter().all(|x| !x.is_finite()), "{what}: {spoilt:?}");
                }
            }
        }
    }
}

#[test]
fn a_gelu_that_is_rounded_is_off_by_less_than_the_rounding() {
    let x: Vec<f32> = (-4000..=4000).map(|i| i as f32 * 0.0025).collect();
    for backend in backends() {
        let one = Rows::new(&[1.0], 1, 1, 1);
        let packed = PackedMatrix::new(backend, Precision::F32, one, None);
        let mut rounded = vec![Bf16::default(); x.len()];
        let out = Output::Bf16(RowsMut::new(&mut rounded, x.len(), 1, 1));
        matmul(Input::F32(Rows::new(&x, x.len(), 1, 1)), &packed, 0, Activation::Gelu, out);
        let mut exact = x.clone();
        backend.activate(Activation::Gelu, &mut exact);
        for ((x, exact), rounded) in x.iter().zip(&exact).zip(&rounded) {
            let error = (rounded.to_f32() - exact).abs();
            let bound = 2.2e-4 * x.abs() + exact.abs() / 256.0;
            assert!(error <= bound, "{backend:?} {x}: {rounded:?} for {exact}");
        }
    }
}
