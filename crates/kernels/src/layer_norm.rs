//! Layer normalisation.

use crate::backend::Backend;
use crate::matmul::{Format, Precision, WordKernel, store_bf16};
use crate::narrow::Bf16;
use crate::simd::words::Words;

/// What a layer normalisation learnt.
#[derive(Clone, Copy)]
pub struct LayerNorm<'a> {
    /// A factor a column.
    pub gain: &'a [f32],
    /// A summand a column.
    pub bias: &'a [f32],
    /// What is added to the variance.
    pub epsilon: f32,
}

impl Backend {
    /// `x = (x - mean) / sqrt(variance + epsilon) * gain + bias` for every row of `gain.len()`
    /// elements. The variance is the biased one. `narrow` gets the result rounded to bf16.
    ///
    /// # Panics
    /// The lengths do not fit each other.
    pub fn layer_norm_rows(self, x: &mut [f32], norm: LayerNorm<'_>, narrow: Option<&mut [Bf16]>) {
        let length = norm.gain.len();
        assert!(length > 0 && norm.bias.len() == length);
        assert!(x.len().is_multiple_of(length), "x must be rows of {length} elements");
        assert!(narrow.as_ref().is_none_or(|narrow| narrow.len() == x.len()));
        self.dispatch_words(Precision::Bf16, LayerNormRows { x, norm, narrow });
    }
}

struct LayerNormRows<'a> {
    x: &'a mut [f32],
    norm: LayerNorm<'a>,
    narrow: Option<&'a mut [Bf16]>,
}

impl WordKernel for LayerNormRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Words, F: Format<S>>(self, simd: S, format: F) {
        let LayerNormRows { x, norm, mut narrow } = self;
        let length = norm.gain.len();
        for (number, row) in x.chunks_exact_mut(length).enumerate() {
            normalize(simd, row, norm);
            if let Some(narrow) = &mut narrow {
                let narrow = &mut narrow[number * length..][..length];
                narrow_row(simd, format, row, narrow);
            }
        }
    }
}

#[inline(always)]
fn normalize<S: Words>(simd: S, row: &mut [f32], norm: LayerNorm<'_>) {
    let lanes = S::F32_LANES;
    let length = row.len();
    let (whole, start) = (length / lanes * lanes, row.as_mut_ptr());
    let LayerNorm { gain, bias, epsilon } = norm;
    let (gain, bias) = (&gain[..length], &bias[..length]);

    let mut sum = simd.f32_splat(0.0);
    let mut at = 0;
    while at < whole {
        // SAFETY: at + lanes <= whole <= length.
        sum = simd.f32_add(sum, unsafe { simd.f32_load(start.add(at)) });
        at += lanes;
    }
    let rest: f32 = row[whole..].iter().sum();
    let mean = (simd.f32_sum(sum) + rest) / length as f32;

    let shift = simd.f32_splat(mean);
    let mut squares = simd.f32_splat(0.0);
    let mut at = 0;
    while at < whole {
        // SAFETY: as above.
        let deviation = simd.f32_sub(unsafe { simd.f32_load(start.add(at)) }, shift);
        squares = simd.f32_mul_add(deviation, deviation, squares);
        at += lanes;
    }
    let rest: f32 = row[whole..].iter().map(|x| (x - mean) * (x - mean)).sum();
    let variance = (simd.f32_sum(squares) + rest) / length as f32;

    let factor = 1.0 / (variance + epsilon).sqrt();
    let factors = simd.f32_splat(factor);
    let mut at = 0;
    while at < whole {
        // SAFETY: at + lanes <= whole <= length, the length of row, gain and bias.
        unsafe {
            let deviation = simd.f32_sub(simd.f32_load(start.add(at)), shift);
            let gain = simd.f32_load(gain.as_ptr().add(at));
            let bias = simd.f32_load(bias.as_ptr().add(at));
            let normal = simd.f32_mul(deviation, factors);
            simd.f32_store(start.add(at), simd.f32_mul_add(normal, gain, bias));
        }
        at += lanes;
    }
    for at in whole..length {
        row[at] = (row[at] - mean) * factor * gain[at] + bias[at];
    }
}

#[inline(always)]
fn narrow_row<S: Words, F: Format<S>>(simd: S, format: F, row: &[f32], narrow: &mut [Bf16]) {
    let lanes = S::F32_LANES;
    let whole = row.len() / lanes * lanes;
    let (vectors, rest) = row.split_at(whole);
    let (narrow_vectors, narrow_rest) = narrow.split_at_mut(whole);
    for (from, to) in vectors.chunks_exact(lanes).zip(narrow_vectors.chunks_exact_mut(lanes)) {
        // SAFETY: the slice has a vector's length.
        store_bf16(simd, format, to, unsafe { simd.f32_load(from.as_ptr()) });
    }
    for (from, to) in rest.iter().zip(narrow_rest) {
        *to = Bf16::from_f32(*from);
    }
}
