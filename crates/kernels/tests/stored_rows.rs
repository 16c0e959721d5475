//! Stored rows of every type on every backend: codec and scores, against plain `f64` arithmetic.

mod backends;
mod oracle;

use backends::backends;
use kernels::{Backend, ElementType, Measure, StoredRows};
use oracle::{assert_close, exact_dot, exact_squared_l2, values, wide};

/// Covers several rounds of the widest unrolled loop (4 x 16 lanes) and every remainder.
const LONGEST: usize = 200;
/// Start offsets in bytes: rows lie anywhere in a mapped file.
const OFFSETS: std::ops::Range<usize> = 0..16;

const MEASURES: [Measure; 2] = [Measure::Dot, Measure::SquaredL2];

fn encoded(backend: Backend, element: ElementType, row: &[f32]) -> Vec<u8> {
    let mut stored = vec![0xaa; element.row_bytes(row.len())];
    backend.encode_row(element, row, &mut stored).unwrap();
    stored
}

fn decoded(backend: Backend, element: ElementType, stored: &[u8]) -> Vec<f32> {
    let mut row = vec![f32::NAN; element.dimension(stored.len())];
    backend.decode_row(element, stored, &mut row);
    row
}

fn exact(measure: Measure, a: &[f32], b: &[f32]) -> f64 {
    match measure {
        Measure::Dot => exact_dot(&wide(a), &wide(b)),
        Measure::SquaredL2 => exact_squared_l2(&wide(a), &wide(b)),
    }
}

/// What a score may be off by: rounding of sums of terms of magnitudes up to 4.
fn tolerance(measure: Measure) -> f64 {
    match measure {
        Measure::Dot => 1e-5,
        Measure::SquaredL2 => 1e-4,
    }
}

#[test]
fn scores_agree_at_every_length_and_alignment() {
    for backend in backends() {
        for element in ElementType::NUMBERS {
            for length in 0..=LONGEST {
                let query = values(length, 1);
                let stored = encoded(backend, element, &values(length, 2));
                let row = decoded(backend, element, &stored);
                let stored_query = encoded(backend, element, &query);
                let coded_query = decoded(backend, element, &stored_query);
                for offset in OFFSETS {
                    let mut bytes = vec![0xff; offset];
                    bytes.extend(&stored);
                    let mut query_bytes = vec![0xff; 16 - offset];
                    query_bytes.extend(&stored_query);
                    for measure in MEASURES {
                        let what =
                            || format!("{backend:?} {element:?} {measure:?} {length} {offset}");
                        let off = tolerance(measure);
                        let scorer = backend.row_scorer(element, measure, &query);
                        let expected = exact(measure, &query, &row);
                        assert_close(scorer.score(&bytes[offset..]), expected, off, &what);
                        let stored_query = &query_bytes[16 - offset..];
                        let scorer = backend.row_scorer_of_row(element, measure, stored_query);
                        let expected = exact(measure, &coded_query, &row);
                        assert_close(scorer.score(&bytes[offset..]), expected, off, &what);
                    }
                    let norm = exact(Measure::Dot, &row, &row).sqrt();
                    let found = backend.row_norm(element, &bytes[offset..]);
                    assert_close(found, norm, 1e-5, &|| {
                        format!("{backend:?} {element:?} {length}")
                    });
                }
            }
        }
    }
}

#[test]
fn several_rows_score_as_each_does() {
    for backend in backends() {
        for element in ElementType::NUMBERS {
            for dimension in [1, 7, 16, 64, 100] {
                let stride = element.row_bytes(dimension) + 5;
                let rows: Vec<f32> = values(dimension * 9, 3);
                let mut bytes = vec![0xff; 3 + stride * 9 - 5];
                for (row, stored) in rows.chunks(dimension).zip(bytes[3..].chunks_mut(stride)) {
                    let stored = &mut stored[..element.row_bytes(dimension)];
                    backend.encode_row(element, row, stored).unwrap();
                }
                let rows = StoredRows::new(element, dimension, stride, &bytes[3..]);
                let query = values(dimension, 4);
                let stored_query = encoded(backend, element, &query);
                for measure in MEASURES {
                    for scorer in [
                        backend.row_scorer(element, measure, &query),
                        backend.row_scorer_of_row(element, measure, &stored_query),
                    ] {
                        let alone: Vec<f32> = (0..9).map(|n| scorer.score(rows.row(n))).collect();
                        for first in 0..=9 {
                            let mut out = vec![f32::NAN; 9 - first];
                            scorer.score_from(rows, first, &mut out);
                            assert_eq!(out, alone[first..], "{backend:?} {element:?} {measure:?}");
                        }
                        let listed = [8, 0, 3, 3, 7, 1];
                        let mut out = [f32::NAN; 6];
                        scorer.score_listed(rows, &listed, &mut out);
                        assert_eq!(out, listed.map(|n| alone[n as usize]), "{backend:?}");
                        scorer.score_listed(rows, &[], &mut []);
                    }
                }
            }
        }
    }
}

/// A single odd element must be seen wherever it stands: no lane may be skipped or read twice.
#[test]
fn every_element_counts_once() {
    for backend in backends() {
        for element in ElementType::NUMBERS {
            for length in 1..=LONGEST {
                let ones = encoded(backend, element, &vec![1.0; length]);
                let zeros = encoded(backend, element, &vec![0.0; length]);
                for position in 0..length {
                    let mut unit = vec![0.0; length];
                    unit[position] = 127.0;
                    let stored = encoded(backend, element, &unit);
                    let what = format!("{backend:?} {element:?} {length} {position}");
                    for (query, row) in [(&stored, &ones), (&ones, &stored)] {
                        let scorer = backend.row_scorer_of_row(element, Measure::Dot, query);
                        assert!((scorer.score(row) - 127.0).abs() < 0.01, "{what}");
                    }
                    let scorer = backend.row_scorer(element, Measure::SquaredL2, &unit);
                    assert_eq!(scorer.score(&zeros), 127.0 * 127.0, "{what}");
                    assert_eq!(scorer.score(&stored), 0.0, "{what}");
                }
            }
        }
    }
}

/// Magnitudes from the edge of what is stored as zero to the largest finite number of each type.
fn magnitudes(element: ElementType) -> Vec<f32> {
    let mut magnitudes = vec![1e-45, 1e-39, 1.4e-36, 1.6e-36, 1e-30, 1e-7, 0.3, 1.0, 3e4, 65_504.0];
    match element {
        ElementType::Float16 => {}
        ElementType::BFloat16 => magnitudes.extend([1e20, 3.389e38]),
        ElementType::Float32 | ElementType::Int8 => magnitudes.extend([1e20, f32::MAX]),
        ElementType::Bits => unreachable!("no number"),
    }
    magnitudes
}

#[test]
fn what_was_stored_once_is_stored_the_same_again() {
    for backend in backends() {
        for element in ElementType::NUMBERS {
            for magnitude in magnitudes(element) {
                for length in [0, 1, 2, 15, 16, 17, 100] {
                    let mut row: Vec<f32> =
                        values(length, 5).iter().map(|x| x * magnitude).collect();
                    if let Some(last) = row.last_mut() {
                        *last = -magnitude;
                    }
                    let stored = encoded(backend, element, &row);
                    let back = decoded(backend, element, &stored);
                    assert!(back.iter().all(|x| x.is_finite()), "{element:?} {magnitude}");
                    assert_eq!(encoded(backend, element, &back), stored, "{element:?} {magnitude}");
                    assert_eq!(back, decoded(backend, element, &encoded(backend, element, &back)));
                }
            }
        }
    }
}

/// Random scales: a scale times 127 must give the scale back.
#[test]
fn scales_survive() {
    let backend = Backend::active();
    for seed in 0..20_000 {
        // Over all the binary magnitudes that codes are kept for.
        let magnitude = 2f32.powi((seed % 240) as i32 - 115);
        let row: Vec<f32> = values(3, seed).iter().map(|x| x * magnitude).collect();
        let stored = encoded(backend, ElementType::Int8, &row);
        let back = decoded(backend, ElementType::Int8, &stored);
        assert_eq!(encoded(backend, ElementType::Int8, &back), stored, "{row:?}");
    }
}

#[test]
fn an_element_is_stored_as_the_nearest_there_is() {
    let row = values(1000, 6);
    let largest = row.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    for backend in backends() {
        for element in ElementType::NUMBERS {
            let back = decoded(backend, element, &encoded(backend, element, &row));
            for (&x, &stored) in row.iter().zip(&back) {
                let most = match element {
                    ElementType::Float32 => 0.0,
                    ElementType::Float16 => (x.abs() * 2f32.powi(-11)).max(2f32.powi(-25)),
                    ElementType::BFloat16 => x.abs() * 2f32.powi(-8),
                    ElementType::Int8 => largest / 127.0 * 0.50001,
                    ElementType::Bits => unreachable!("no number"),
                };
                assert!((x - stored).abs() <= most, "{backend:?} {element:?} {x} {stored}");
            }
        }
    }
}

#[test]
fn backends_store_the_same_bytes() {
    let scalar = *backends().last().expect("the scalar backend is always there");
    for backend in backends() {
        for element in ElementType::NUMBERS {
            for length in 0..=LONGEST {
                for magnitude in magnitudes(element) {
                    let row: Vec<f32> = values(length, 7).iter().map(|x| x * magnitude).collect();
                    let expected = encoded(scalar, element, &row);
                    assert_eq!(
                        encoded(backend, element, &row),
                        expected,
                        "{backend:?} {element:?}"
                    );
                }
            }
        }
    }
}

/// Sums of integers have no rounding, so these scores are the same to the last bit.
#[test]
fn scores_of_byte_rows_do_not_depend_on_the_backend() {
    let scalar = *backends().last().expect("the scalar backend is always there");
    for length in (0..=LONGEST).chain([384, 1000, 70_000]) {
        let query = encoded(scalar, ElementType::Int8, &values(length, 8));
        let row = encoded(scalar, ElementType::Int8, &values(length, 9));
        for measure in MEASURES {
            let score = |backend: Backend| {
                backend.row_scorer_of_row(ElementType::Int8, measure, &query).score(&row)
            };
            for backend in backends() {
                assert_eq!(score(backend), score(scalar), "{backend:?} {measure:?} {length}");
            }
        }
    }
}

#[test]
fn zeros_keep_no_sign_they_do_not_have() {
    for backend in backends() {
        for element in ElementType::NUMBERS {
            let back = decoded(backend, element, &encoded(backend, element, &[-0.0, 0.0, -1.0]));
            let signs = back.iter().map(|x| x.is_sign_negative()).collect::<Vec<_>>();
            // One-byte codes have one zero.
            assert_eq!(signs, [element != ElementType::Int8, false, true], "{element:?}");
        }
    }
}

#[test]
fn what_is_not_finite_is_refused_wherever_it_stands() {
    for backend in backends() {
        for element in ElementType::NUMBERS {
            let mut beyond = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
            match element {
                ElementType::Float16 => beyond.extend([65_520.0, -65_520.0, 1e9]),
                ElementType::BFloat16 => beyond.extend([f32::from_bits(0x7f7f_8000), f32::MAX]),
                ElementType::Float32 | ElementType::Int8 | ElementType::Bits => {}
            }
            for length in 1..=70 {
                for index in 0..length {
                    for &value in &beyond {
                        let mut row = vec![1.0; length];
                        row[index] = value;
                        let mut stored = vec![0; element.row_bytes(length)];
                        let error = backend.encode_row(element, &row, &mut stored).unwrap_err();
                        assert_eq!(error.index, index, "{backend:?} {element:?}");
                        assert_eq!(error.value.to_bits(), value.to_bits());
                        assert!(error.to_string().contains(element.name()), "{error}");
                    }
                }
            }
            let largest = *magnitudes(element).last().expect("not empty");
            encoded(backend, element, &[largest, -largest]);
        }
        encoded(backend, ElementType::Float16, &[65_519.996]);
        encoded(backend, ElementType::BFloat16, &[f32::from_bits(0x7f7f_7fff)]);
    }
}

/// Bytes that no encoder wrote, from a damaged file: scores follow IEEE 754, nothing panics.
#[test]
fn stored_nan_and_infinity_follow_ieee() {
    let patterns = [
        (ElementType::Float32, [0x7fc0_0000u32, 0x7f80_0000, 0xff80_0000], 4),
        (ElementType::Float16, [0x7e00, 0x7c00, 0xfc00], 2),
        (ElementType::BFloat16, [0x7fc0, 0x7f80, 0xff80], 2),
    ];
    for backend in backends() {
        for (element, [nan, infinity, minus], bytes) in patterns {
            for length in 1..=70 {
                let ones = vec![1.0; length];
                let stored_ones = encoded(backend, element, &ones);
                for position in [0, length / 2, length - 1] {
                    let with = |bits: u32| {
                        let mut stored = stored_ones.clone();
                        stored[position * bytes..][..bytes]
                            .copy_from_slice(&bits.to_le_bytes()[..bytes]);
                        stored
                    };
                    let what = format!("{backend:?} {element:?} {length} {position}");
                    for scorer in [
                        backend.row_scorer(element, Measure::Dot, &ones),
                        backend.row_scorer_of_row(element, Measure::Dot, &stored_ones),
                    ] {
                        assert!(scorer.score(&with(nan)).is_nan(), "{what}");
                        assert_eq!(scorer.score(&with(infinity)), f32::INFINITY, "{what}");
                        assert_eq!(scorer.score(&with(minus)), f32::NEG_INFINITY, "{what}");
                    }
                    let infinite = with(infinity);
                    let l2 = backend.row_scorer_of_row(element, Measure::SquaredL2, &infinite);
                    assert!(l2.score(&infinite).is_nan(), "{what}");
                    assert_eq!(l2.score(&stored_ones), f32::INFINITY, "{what}");
                    assert_eq!(backend.row_norm(element, &with(minus)), f32::INFINITY, "{what}");
                }
            }
        }
    }
}

#[test]
fn sums_beyond_f32_are_infinite_and_subnormals_count() {
    for backend in backends() {
        for length in [1, 20, 100] {
            for element in [ElementType::Float32, ElementType::BFloat16, ElementType::Int8] {
                let huge = encoded(backend, element, &vec![3e38; length]);
                for measure in MEASURES {
                    let query = vec![-3e38; length];
                    let score = backend.row_scorer(element, measure, &query).score(&huge);
                    let expected = if measure == Measure::Dot { -1.0 } else { 1.0 };
                    assert_eq!(score, expected * f32::INFINITY, "{backend:?} {element:?}");
                }
                let score = backend.row_scorer_of_row(element, Measure::Dot, &huge).score(&huge);
                assert_eq!(score, f32::INFINITY, "{backend:?} {element:?}");
            }
            // The smallest numbers of each type times a large one.
            let least = [
                (ElementType::Float32, 2f32.powi(-149), 2f32.powi(120)),
                (ElementType::Float16, 2f32.powi(-24), 2f32.powi(15)),
                (ElementType::BFloat16, 2f32.powi(-133), 2f32.powi(120)),
            ];
            for (element, least, large) in least {
                let row = encoded(backend, element, &vec![least; length]);
                let query = vec![large; length];
                let stored_query = encoded(backend, element, &query);
                let expected = least * large * length as f32;
                let scorer = backend.row_scorer(element, Measure::Dot, &query);
                assert_eq!(scorer.score(&row), expected, "{backend:?} {element:?}");
                let scorer = backend.row_scorer_of_row(element, Measure::Dot, &stored_query);
                assert_eq!(scorer.score(&row), expected, "{backend:?} {element:?}");
            }
        }
    }
}

#[test]
fn a_row_knows_its_length() {
    for element in ElementType::NUMBERS {
        for dimension in 0..100 {
            assert_eq!(element.dimension(element.row_bytes(dimension)), dimension);
        }
    }
    assert_eq!(ElementType::Int8.row_bytes(384), 388);
    assert_eq!(ElementType::BFloat16.row_bytes(384), 768);
}

#[test]
#[should_panic(expected = "rows of the query's dimension")]
fn a_row_of_another_dimension_is_refused() {
    let scorer = Backend::active().row_scorer(ElementType::Float16, Measure::Dot, &[1.0, 2.0]);
    scorer.score(&[0; 6]);
}

#[test]
#[should_panic(expected = "rows of the query's dimension")]
fn a_byte_row_of_another_dimension_is_refused() {
    let query = encoded(Backend::active(), ElementType::Int8, &[1.0, 2.0]);
    let scorer = Backend::active().row_scorer_of_row(ElementType::Int8, Measure::Dot, &query);
    scorer.score(&[0; 7]);
}

#[test]
#[should_panic(expected = "no row of float16 has 3 bytes")]
fn a_query_that_is_no_row_is_refused() {
    Backend::active().row_norm(ElementType::Float16, &[0; 3]);
}

#[test]
#[should_panic(expected = "range end index")]
fn a_row_behind_the_last_is_refused() {
    let bytes = [0; 12];
    let rows = StoredRows::new(ElementType::Float16, 2, 4, &bytes);
    let scorer = Backend::active().row_scorer(ElementType::Float16, Measure::Dot, &[1.0, 2.0]);
    scorer.score_listed(rows, &[0, 3], &mut [0.0; 2]);
}

#[test]
fn packed_bits_are_bytes_and_nothing_else() {
    let bits = ElementType::Bits;
    for backend in backends() {
        for length in 0..=LONGEST {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 37 % 256) as u8).collect();
            let row: Vec<f32> = bytes.iter().map(|&byte| byte.into()).collect();
            assert_eq!(encoded(backend, bits, &row), bytes);
            assert_eq!(decoded(backend, bits, &bytes), row);
            for wrong in [-1.0, 256.0, 0.5, f32::NAN, f32::INFINITY, 1e30] {
                for place in [0, length / 2, length.saturating_sub(1)] {
                    let mut row = row.clone();
                    let Some(x) = row.get_mut(place) else { continue };
                    *x = wrong;
                    let error = backend.encode_row(bits, &row, &mut vec![0; length]).unwrap_err();
                    assert_eq!((error.index, error.value.to_bits()), (place, wrong.to_bits()));
                    assert!(error.to_string().contains("packed bits"), "{error}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "no products")]
fn packed_bits_have_no_products() {
    Backend::active().row_scorer(ElementType::Bits, Measure::Dot, &[1.0]);
}
