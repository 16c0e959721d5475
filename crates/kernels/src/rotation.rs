//! A random rotation in O(d log d): random signs and Walsh-Hadamard transforms in turn.
//!
//! After it, no coordinate is special: the signs of a vector's coordinates are a good one-bit code
//! whatever the vector was (N. Ailon and B. Chazelle, "The fast Johnson-Lindenstrauss transform",
//! 2009). A Hadamard transform needs a power of two. Other lengths are transformed in two windows
//! of the greatest power of two that fits, one from the start and one to the end: they overlap, so
//! that four rounds carry every coordinate into every other. Each round is orthogonal, so lengths
//! and angles are kept.

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::simd::Simd;

const ROUNDS: usize = 4;

/// Lengths are rounded up to a multiple of this.
const UNIT: usize = 64;

/// Shorter vectors are lengthened to this: one bit a coordinate says too little of a few of them.
const SHORTEST: usize = 128;

/// A rotation of vectors of one length, made from a seed: the same on every machine, up to rounding.
#[derive(Clone, Debug)]
pub struct Rotation {
    dimension: usize,
    padded: usize,
    window: usize,
    /// A row of `padded` factors a round: a random sign, and the scale of the transform where the
    /// round's window is.
    factors: Vec<f32>,
}

impl Rotation {
    /// A rotation of vectors of `dimension` elements, at least 1.
    pub fn new(dimension: usize, seed: u64) -> Self {
        let padded = Self::padded(dimension);
        let window = 1 << padded.ilog2();
        let scale = 1.0 / (window as f32).sqrt();
        let mut random = SplitMix(seed);
        let mut factors = Vec::with_capacity(ROUNDS * padded);
        for round in 0..ROUNDS {
            let start = Self::window_start(padded, window, round);
            let mut bits = 0;
            for at in 0..padded {
                if at % 64 == 0 {
                    bits = random.next();
                }
                let magnitude = if (start..start + window).contains(&at) { scale } else { 1.0 };
                factors.push(if bits >> (at % 64) & 1 == 1 { -magnitude } else { magnitude });
            }
        }
        Rotation { dimension, padded, window, factors }
    }

    /// Elements of a rotated vector: the dimension, rounded up to a multiple of 64, at least
    /// 128.
    pub fn padded(dimension: usize) -> usize {
        dimension.max(SHORTEST).next_multiple_of(UNIT)
    }

    fn window_start(padded: usize, window: usize, round: usize) -> usize {
        if round.is_multiple_of(2) { 0 } else { padded - window }
    }
}

/// The generator of G. Steele et al., "Fast splittable pseudorandom number generators", 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Backend {
    /// Rotates `vector` into `out`.
    ///
    /// # Panics
    /// `vector` is not of the rotation's dimension or `out` not of its padded dimension.
    pub fn rotate(self, rotation: &Rotation, vector: &[f32], out: &mut [f32]) {
        assert_eq!(vector.len(), rotation.dimension);
        assert_eq!(out.len(), rotation.padded);
        out[..vector.len()].copy_from_slice(vector);
        out[vector.len()..].fill(0.0);
        self.dispatch(Rotate { rotation, x: out });
    }
}

struct Rotate<'a> {
    rotation: &'a Rotation,
    x: &'a mut [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rotation { padded, window, .. } = *self.rotation;
        let mut round = 0;
        while round < ROUNDS {
            let factors = &self.rotation.factors[round * padded..(round + 1) * padded];
            for (x, factor) in self.x.iter_mut().zip(factors) {
                *x *= factor;
            }
            let start = Rotation::window_start(padded, window, round);
            hadamard(simd, &mut self.x[start..start + window]);
            round += 1;
        }
    }
}

/// The Walsh-Hadamard transform, without its scale, of a power of two of elements, at least 16.
#[inline(always)]
fn hadamard<S: Simd>(simd: S, x: &mut [f32]) {
    for block in x.as_chunks_mut::<16>().0 {
        for half in [1, 2, 4, 8] {
            let before = *block;
            for (i, value) in block.iter_mut().enumerate() {
                let other = before[i ^ half];
                *value = if i & half == 0 { before[i] + other } else { other - before[i] };
            }
        }
    }
    let length = x.len();
    let start = x.as_mut_ptr();
    let mut half = 16;
    while half < length {
        let mut block = 0;
        while block < length {
            let mut at = block;
            while at < block + half {
                // SAFETY: half is a multiple of 16, hence of the lanes, and block + 2 * half is at
                // most the length: both vectors are inside.
                unsafe {
                    let (low, high) = (start.add(at), start.add(at + half));
                    let (a, b) = (simd.f32_load(low), simd.f32_load(high));
                    simd.f32_store(low, simd.f32_add(a, b));
                    simd.f32_store(high, simd.f32_sub(a, b));
                }
                at += S::F32_LANES;
            }
            block += 2 * half;
        }
        half *= 2;
    }
}
