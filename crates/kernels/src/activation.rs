//! Activations and sums: what is done to numbers between matrix products.

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::elementary::{coarse_normal_distribution, erf, tanh};
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

    /// As `apply`, for a result that is rounded to bf16: the error is a small part of that rounding's.
    #[inline(always)]
    pub(crate) fn apply_coarsely<S: Simd>(self, simd: S, x: S::F32) -> S::F32 {
        match self {
            Activation::Gelu => simd.f32_mul(x, coarse_normal_distribution(simd, x)),
            other => other.apply(simd, x),
        }
    }
}

impl Backend {
    /// Applies `activation` to every element.
    pub fn activate(self, activation: Activation, x: &mut [f32]) {
        self.dispatch(Activate { activation, x });
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
