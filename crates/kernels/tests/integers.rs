//! Sums over bytes and counts of bits, which are exact, on every backend.

mod backends;

use backends::backends;

/// Covers several rounds of the widest unrolled loop and every remainder.
const LONGEST: usize = 300;
const OFFSETS: std::ops::Range<usize> = 0..16;

/// Reproducible bytes of no special pattern.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&byte| byte as i8).collect()
}

fn exact_dot(a: &[i8], b: &[i8]) -> i64 {
    a.iter().zip(b).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum()
}

fn exact_squared_l2(a: &[i8], b: &[i8]) -> i64 {
    a.iter().zip(b).map(|(&a, &b)| (i64::from(a) - i64::from(b)).pow(2)).sum()
}

fn exact_hamming(a: &[u8], b: &[u8]) -> u64 {
    a.iter().zip(b).map(|(a, b)| u64::from((a ^ b).count_ones())).sum()
}

#[test]
fn sums_and_counts_are_exact_at_every_length_and_alignment() {
    let (a_bytes, b_bytes) = (bytes(LONGEST + 16, 1), bytes(LONGEST + 16, 2));
    let (a_signed, b_signed) = (signed(&a_bytes), signed(&b_bytes));
    for backend in backends() {
        for length in 0..=LONGEST {
            for offset in OFFSETS {
                let what = format!("{backend:?} {length} {offset}");
                let (from, other) = (offset..offset + length, 16 - offset..16 - offset + length);
                let (a, b) = (&a_signed[from.clone()], &b_signed[other.clone()]);
                assert_eq!(backend.dot_bytes(a, b), exact_dot(a, b), "{what}");
                assert_eq!(backend.squared_l2_bytes(a, b), exact_squared_l2(a, b), "{what}");
                let (a, b) = (&a_bytes[from], &b_bytes[other]);
                assert_eq!(backend.hamming(a, b), exact_hamming(a, b), "{what}");
            }
        }
    }
}

/// The extreme products, so many that 32-bit sums would overflow.
#[test]
fn long_sums_of_extremes_do_not_overflow() {
    let length = 700_001;
    for backend in backends() {
        for (x, y) in [(-128, -128), (127, -128), (-128, 127), (127, 127), (0, -128)] {
            let (a, b) = (vec![x; length], vec![y; length]);
            let expected = i64::from(x) * i64::from(y) * length as i64;
            assert_eq!(backend.dot_bytes(&a, &b), expected, "{backend:?} {x} {y}");
        }
        let squared = backend.squared_l2_bytes(&vec![-128; length], &vec![127; length]);
        assert_eq!(squared, 255 * 255 * length as i64, "{backend:?}");
        let differing = backend.hamming(&vec![0xff; length], &vec![0; length]);
        assert_eq!(differing, 8 * length as u64, "{backend:?}");
    }
}

#[test]
fn every_bit_counts_once() {
    for backend in backends() {
        for length in 1..=150 {
            let zeros = vec![0; length];
            for bit in 0..8 * length {
                let mut one = zeros.clone();
                one[bit / 8] = 1 << (bit % 8);
                assert_eq!(backend.hamming(&zeros, &one), 1, "{backend:?} {length} {bit}");
                assert_eq!(backend.hamming(&one, &one), 0, "{backend:?} {length} {bit}");
            }
        }
    }
}

#[test]
fn many_rows_are_one_pair_many_times() {
    for backend in backends() {
        for width in [0, 1, 7, 16, 48, 100] {
            let query = bytes(width, 3);
            let rows = bytes(width * 9, 4);
            let mut out = [u32::MAX; 9];
            backend.hamming_many(&query, &rows, &mut out);
            for (index, &found) in out.iter().enumerate() {
                let row = &rows[index * width..][..width];
                assert_eq!(u64::from(found), exact_hamming(&query, row), "{backend:?}");
            }
        }
    }
}
