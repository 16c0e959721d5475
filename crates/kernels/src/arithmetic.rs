//! In what precision a distance reads its vectors and sums its terms.

use crate::narrow::{Bf16, F16};
use crate::simd::Simd;

/// One way to read elements and to sum over them; distances are written once over it.
pub(crate) trait Arithmetic {
    /// What is in memory.
    type Element: Copy;
    /// What sums are kept in.
    type Sum: Copy + Default;
    type Vector<S: Simd>: Copy;

    fn lanes<S: Simd>() -> usize;
    fn zero<S: Simd>(simd: S) -> Self::Vector<S>;
    /// # Safety
    /// `lanes()` elements from `from` on are readable.
    unsafe fn load<S: Simd>(simd: S, from: *const Self::Element) -> Self::Vector<S>;
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    fn sum<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Sum;

    /// The element as a sum is kept.
    fn widen(x: Self::Element) -> Self::Sum;
    fn plus(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    fn minus(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    fn times(a: Self::Sum, b: Self::Sum) -> Self::Sum;
}

/// `f32` elements, `f32` sums: the speed that search wants.
pub(crate) struct Single;
/// `f64` elements, `f64` sums.
pub(crate) struct Double;
/// `f32` elements, `f64` sums: no rounding error worth the name, half the speed of [`Single`].
pub(crate) struct Widened;
/// Half-precision elements, `f64` sums.
pub(crate) struct WidenedF16;
/// bfloat16 elements, `f64` sums.
pub(crate) struct WidenedBf16;

macro_rules! arithmetic {
    ($name:ty, $element:ty, $sum:ty, $vector:ident, $lanes:ident, $splat:ident, $load:ident, $add:ident, $sub:ident, $mul_add:ident, $reduce:ident) => {
        impl Arithmetic for $name {
            type Element = $element;
            type Sum = $sum;
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }
            #[inline(always)]
            fn zero<S: Simd>(simd: S) -> S::$vector {
                simd.$splat(0.0)
            }
            #[inline(always)]
            unsafe fn load<S: Simd>(simd: S, from: *const $element) -> S::$vector {
                // SAFETY: readable by this method's own contract.
                unsafe { simd.$load(from.cast()) }
            }
            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn sub<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$sub(a, b)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                c: S::$vector,
            ) -> S::$vector {
                simd.$mul_add(a, b, c)
            }
            #[inline(always)]
            fn sum<S: Simd>(simd: S, x: S::$vector) -> $sum {
                simd.$reduce(x)
            }
            #[inline(always)]
            fn widen(x: $element) -> $sum {
                <$sum>::from(x)
            }
            #[inline(always)]
            fn plus(a: $sum, b: $sum) -> $sum {
                a + b
            }
            #[inline(always)]
            fn minus(a: $sum, b: $sum) -> $sum {
                a - b
            }
            #[inline(always)]
            fn times(a: $sum, b: $sum) -> $sum {
                a * b
            }
        }
    };
}

arithmetic!(
    Single,
    f32,
    f32,
    F32,
    F32_LANES,
    f32_splat,
    f32_load,
    f32_add,
    f32_sub,
    f32_mul_add,
    f32_sum
);
arithmetic!(
    Double,
    f64,
    f64,
    F64,
    F64_LANES,
    f64_splat,
    f64_load,
    f64_add,
    f64_sub,
    f64_mul_add,
    f64_sum
);
arithmetic!(
    Widened,
    f32,
    f64,
    F64,
    F64_LANES,
    f64_splat,
    f64_load_f32,
    f64_add,
    f64_sub,
    f64_mul_add,
    f64_sum
);
arithmetic!(
    WidenedF16,
    F16,
    f64,
    F64,
    F64_LANES,
    f64_splat,
    f64_load_f16,
    f64_add,
    f64_sub,
    f64_mul_add,
    f64_sum
);
arithmetic!(
    WidenedBf16,
    Bf16,
    f64,
    F64,
    F64_LANES,
    f64_splat,
    f64_load_bf16,
    f64_add,
    f64_sub,
    f64_mul_add,
    f64_sum
);
