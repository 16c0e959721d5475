//! What a transformer does to rows between its matrix products.

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::elementary::{erf, exp, tanh};
use crate::simd::Simd;

/// The function applied to each output of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x
    Identity,
    /// x * Phi(x) through the error function.
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// max(x, 0)
    Relu,
    /// tanh x
    Tanh,
}

impl Activation {
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, x: S::F32) -> S::F32 {
        let half = simd.f32_splat(0.5);
        let one = simd.f32_splat(1.0);
        match self {
            Activation::Identity => x,
            Activation::Gelu => {
                let inner = simd.f32_mul(x, simd.f32_splat(std::f32::consts::FRAC_1_SQRT_2));
                simd.f32_mul(simd.f32_mul(x, half), simd.f32_add(one, erf(simd, inner)))
            }
            Activation::GeluTanh => {
                const SQRT_2_OVER_PI: f32 = 0.797_884_6;
                let square = simd.f32_mul(x, x);
                let cubic = simd.f32_mul_add(square, simd.f32_splat(0.044_715), one);
                let inner = simd.f32_mul(simd.f32_mul(x, cubic), simd.f32_splat(SQRT_2_OVER_PI));
                simd.f32_mul(simd.f32_mul(x, half), simd.f32_add(one, tanh(simd, inner)))
            }
            Activation::Relu => simd.f32_max(x, simd.f32_splat(0.0)),
            Activation::Tanh => tanh(simd, x),
        }
    }
}

impl Backend {
    /// Applies `activation` to every element.
    pub fn activate(self, activation: Activation, x: &mut [f32]) {
        self.dispatch(Activate { activation, x });
    }

    /// Turns every row of `length` elements of `x` into `softmax(scale * row)`.
    ///
    /// # Panics
    /// `x` is not a whole number of rows.
    pub fn softmax_rows(self, x: &mut [f32], length: usize, scale: f32) {
        self.dispatch(SoftmaxRows { x, length, scale });
    }

    /// `x = layer_norm(x + residual) * gain + bias` for every row of `gain.len()` elements; without
    /// `residual`, of x alone. The variance is the biased one, plus `epsilon`.
    ///
    /// # Panics
    /// The lengths do not fit each other.
    pub fn layer_norm_rows(
        self,
        x: &mut [f32],
        residual: Option<&[f32]>,
        gain: &[f32],
        bias: &[f32],
        epsilon: f32,
    ) {
        self.dispatch(LayerNormRows { x, residual, gain, bias, epsilon });
    }

    /// `sum[i] += x[i]`.
    ///
    /// # Panics
    /// The lengths differ.
    pub fn add_assign(self, sum: &mut [f32], x: &[f32]) {
        self.dispatch(AddAssign { sum, x });
    }
}

/// A stack buffer for the remainder of a row that is shorter than a vector.
const MOST_LANES: usize = 16;

/// Calls `$body` with every vector of `$x` (loaded into `$value`) and stores what it gives; the
/// remainder goes through a buffer filled up with `$fill`.
macro_rules! map_vectors {
    ($simd:expr, $S:ty, $x:expr, $fill:expr, |$value:ident| $body:expr) => {{
        let lanes = <$S>::F32_LANES;
        let length = $x.len();
        let start = $x.as_mut_ptr();
        let mut at = 0;
        while at + lanes <= length {
            // SAFETY: at + lanes <= length.
            let $value = unsafe { $simd.f32_load(start.add(at)) };
            let result = $body;
            // SAFETY: at + lanes <= length.
            unsafe { $simd.f32_store(start.add(at), result) };
            at += lanes;
        }
        if at < length {
            let mut rest = [$fill; MOST_LANES];
            rest[..length - at].copy_from_slice(&$x[at..]);
            // SAFETY: the buffer holds MOST_LANES >= F32_LANES elements.
            let $value = unsafe { $simd.f32_load(rest.as_ptr()) };
            let result = $body;
            // SAFETY: the buffer holds MOST_LANES >= F32_LANES elements.
            unsafe { $simd.f32_store(rest.as_mut_ptr(), result) };
            $x[at..].copy_from_slice(&rest[..length - at]);
        }
    }};
}

struct Activate<'a> {
    activation: Activation,
    x: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        map_vectors!(simd, S, self.x, 0.0, |value| self.activation.apply(simd, value));
    }
}

struct SoftmaxRows<'a> {
    x: &'a mut [f32],
    length: usize,
    scale: f32,
}

impl Kernel for SoftmaxRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.length == 0 {
            return;
        }
        assert!(
            self.x.len().is_multiple_of(self.length),
            "x must be rows of {} elements",
            self.length
        );
        let mut first = 0;
        while first < self.x.len() {
            let row = &mut self.x[first..first + self.length];
            first += self.length;

            let mut greatest = simd.f32_splat(f32::NEG_INFINITY);
            let scale = simd.f32_splat(self.scale);
            map_vectors!(simd, S, row, f32::NEG_INFINITY, |value| {
                let scaled = simd.f32_mul(value, scale);
                greatest = simd.f32_max(greatest, scaled);
                scaled
            });
            let shift = simd.f32_splat(simd.f32_maximum(greatest));
            // Minus infinity in the filling gives e^-87, about 1e-38: nothing in the sum.
            let mut sum = simd.f32_splat(0.0);
            map_vectors!(simd, S, row, f32::NEG_INFINITY, |value| {
                let power = exp(simd, simd.f32_sub(value, shift));
                sum = simd.f32_add(sum, power);
                power
            });
            let factor = simd.f32_splat(1.0 / simd.f32_sum(sum));
            map_vectors!(simd, S, row, 0.0, |value| simd.f32_mul(value, factor));
        }
    }
}

struct LayerNormRows<'a> {
    x: &'a mut [f32],
    residual: Option<&'a [f32]>,
    gain: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
}

impl Kernel for LayerNormRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let length = self.gain.len();
        assert!(length > 0 && self.bias.len() == length);
        assert!(self.x.len().is_multiple_of(length), "x must be rows of {length} elements");
        if let Some(residual) = self.residual {
            AddAssign { sum: self.x, x: residual }.run(simd);
        }
        let mut first = 0;
        while first < self.x.len() {
            let row = &mut self.x[first..first + length];
            first += length;

            let mut sum = simd.f32_splat(0.0);
            map_vectors!(simd, S, row, 0.0, |value| {
                sum = simd.f32_add(sum, value);
                value
            });
            let mean = simd.f32_sum(sum) / length as f32;
            let shift = simd.f32_splat(mean);
            let mut squares = simd.f32_splat(0.0);
            // The filling is the mean: its deviation is zero.
            map_vectors!(simd, S, row, mean, |value| {
                let deviation = simd.f32_sub(value, shift);
                squares = simd.f32_mul_add(deviation, deviation, squares);
                deviation
            });
            let variance = simd.f32_sum(squares) / length as f32;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            let factor_vector = simd.f32_splat(factor);
            let lanes = S::F32_LANES;
            let start = row.as_mut_ptr();
            let mut at = 0;
            while at + lanes <= length {
                // SAFETY: at + lanes <= length, the length of row, gain and bias.
                unsafe {
                    let deviation = simd.f32_load(start.add(at));
                    let gain = simd.f32_load(self.gain.as_ptr().add(at));
                    let bias = simd.f32_load(self.bias.as_ptr().add(at));
                    let scaled = simd.f32_mul(deviation, factor_vector);
                    simd.f32_store(start.add(at), simd.f32_mul_add(scaled, gain, bias));
                }
                at += lanes;
            }
            while at < length {
                row[at] = row[at] * factor * self.gain[at] + self.bias[at];
                at += 1;
            }
        }
    }
}

struct AddAssign<'a> {
    sum: &'a mut [f32],
    x: &'a [f32],
}

impl Kernel for AddAssign<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let length = self.sum.len();
        assert_eq!(length, self.x.len(), "slices must be of the same length");
        let start = self.sum.as_mut_ptr();
        let mut at = 0;
        while at + S::F32_LANES <= length {
            // SAFETY: at + F32_LANES <= length, the length of both slices.
            unsafe {
                let sum = simd
                    .f32_add(simd.f32_load(start.add(at)), simd.f32_load(self.x.as_ptr().add(at)));
                simd.f32_store(start.add(at), sum);
            }
            at += S::F32_LANES;
        }
        while at < length {
            self.sum[at] += self.x[at];
            at += 1;
        }
    }
}
