//! Half precision and bfloat16: every number there is, and every place where rounding turns.

mod backends;

use backends::backends;
use kernels::{Bf16, ElementType, F16};

/// A two-byte format by its definition: fraction bits and exponent bias.
struct Format {
    fraction: i32,
    bias: i32,
    element: ElementType,
    narrow: fn(f32) -> u16,
    widen: fn(u16) -> f32,
}

const FORMATS: [Format; 2] = [
    Format {
        fraction: 10,
        bias: 15,
        element: ElementType::Float16,
        narrow: |x| F16::from_f32(x).to_bits(),
        widen: |bits| F16::from_bits(bits).to_f32(),
    },
    Format {
        fraction: 7,
        bias: 127,
        element: ElementType::BFloat16,
        narrow: |x| Bf16::from_f32(x).to_bits(),
        widen: |bits| Bf16::from_bits(bits).to_f32(),
    },
];

impl Format {
    fn infinity(&self) -> u16 {
        0x7fff >> self.fraction << self.fraction
    }

    /// Sign, exponent and fraction put together by arithmetic; for what is finite.
    fn defined(&self, bits: u16) -> f64 {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from((bits & 0x7fff) >> self.fraction);
        let fraction = f64::from(bits & ((1 << self.fraction) - 1)) / f64::from(1 << self.fraction);
        let (whole, exponent) = if exponent == 0 { (0.0, 1) } else { (1.0, exponent) };
        sign * (whole + fraction) * 2f64.powi(exponent - self.bias)
    }
}

#[test]
fn every_number_widens_to_its_definition_and_narrows_back() {
    for format in FORMATS {
        for bits in 0..=u16::MAX {
            let wide = (format.widen)(bits);
            let magnitude = bits & 0x7fff;
            if magnitude < format.infinity() {
                let expected = format.defined(bits);
                assert_eq!(f64::from(wide), expected, "{bits:#x}");
                assert_eq!(wide.is_sign_negative(), bits >> 15 == 1, "{bits:#x}");
                assert_eq!((format.narrow)(wide), bits, "{wide}");
            } else if magnitude == format.infinity() {
                let expected = if bits == magnitude { f32::INFINITY } else { f32::NEG_INFINITY };
                assert_eq!(wide, expected);
                assert_eq!((format.narrow)(wide), bits);
            } else {
                assert!(wide.is_nan(), "{bits:#x}");
                // It stays the NaN that it is, made quiet.
                let quiet = bits | 1 << (format.fraction - 1);
                assert_eq!((format.narrow)(wide), quiet, "{bits:#x}");
            }
        }
    }
}

/// Between two neighbours all turns on their middle, which goes to the even one. The neighbour of
/// the largest number is the power of two at which its successor would stand.
#[test]
fn narrowing_rounds_to_nearest_and_ties_to_even() {
    for format in FORMATS {
        for below in 0..format.infinity() {
            let above = below + 1;
            let low = format.defined(below);
            let high = if above == format.infinity() {
                low + (low - format.defined(below - 1))
            } else {
                format.defined(above)
            };
            let middle = f64::midpoint(low, high);
            if middle < f64::from(f32::from_bits(1)) {
                continue;
            }
            let middle = middle as f32;
            assert_eq!(f64::from(middle), f64::midpoint(low, high), "the middle is an f32");
            let even = if below % 2 == 0 { below } else { above };
            let narrow = format.narrow;
            for sign in [0, 0x8000] {
                let signed = |x: f32| if sign == 0 { x } else { -x };
                assert_eq!(narrow(signed(middle)), even | sign, "{middle}");
                assert_eq!(narrow(signed(middle.next_down())), below | sign, "below {middle}");
                assert_eq!(narrow(signed(middle.next_up())), above | sign, "above {middle}");
            }
        }
        for huge in [f32::MAX, f32::INFINITY] {
            assert_eq!((format.narrow)(huge), format.infinity());
            assert_eq!((format.narrow)(-huge), format.infinity() | 0x8000);
        }
    }
}

#[test]
fn no_other_number_is_nearer() {
    for format in FORMATS {
        for bits in (0..0x7f80_0000u32).step_by(4093) {
            let x = f32::from_bits(bits);
            let narrow = (format.narrow)(x);
            if narrow == format.infinity() {
                continue;
            }
            let distance = |narrow: u16| (format.defined(narrow) - f64::from(x)).abs();
            if narrow > 0 {
                assert!(distance(narrow) <= distance(narrow - 1), "{x}");
            }
            if narrow + 1 < format.infinity() {
                assert!(distance(narrow) <= distance(narrow + 1), "{x}");
            }
        }
    }
}

#[test]
fn every_backend_widens_every_number_alike() {
    let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for backend in backends() {
        for format in FORMATS {
            let mut wide = vec![0.0; 1 << 16];
            backend.decode_row(format.element, &all, &mut wide);
            for (bits, wide) in (0..=u16::MAX).zip(&wide) {
                let expected = (format.widen)(bits);
                assert_eq!(wide.to_bits(), expected.to_bits(), "{backend:?} {bits:#x}");
            }
        }
    }
}

#[test]
fn every_backend_narrows_alike() {
    for format in FORMATS {
        let largest = (format.widen)(format.infinity() - 1);
        // Every number, its middle to the next one, and both sides of that; and others.
        let mut row: Vec<f32> = (0..format.infinity() - 1)
            .flat_map(|bits| {
                let middle = f64::midpoint(format.defined(bits), format.defined(bits + 1)) as f32;
                [(format.widen)(bits), middle, middle.next_down(), middle.next_up()]
            })
            .chain((0..largest.to_bits()).step_by(9973).map(f32::from_bits))
            .collect();
        let negated: Vec<f32> = row.iter().map(|x| -x).collect();
        row.extend(negated);
        let expected: Vec<u8> =
            row.iter().flat_map(|&x| (format.narrow)(x).to_le_bytes()).collect();
        for backend in backends() {
            let mut stored = vec![0; expected.len()];
            backend.encode_row(format.element, &row, &mut stored).unwrap();
            let differs = expected.iter().zip(&stored).position(|(a, b)| a != b);
            assert_eq!(differs.map(|at| row[at / 2]), None, "{backend:?} {:?}", format.element);
        }
    }
}
