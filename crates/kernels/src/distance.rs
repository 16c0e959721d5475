//! Dot product, squared L2 distance, cosine similarity and norm, of one pair or of many.

use std::marker::PhantomData;

use crate::arithmetic::Arithmetic;
use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::narrow::{Bf16, F16};
use crate::simd::Simd;

/// An element type with kernels: `f32` (sums in `f32`) or `f64`.
pub trait Float: sealed::Sealed + Copy + Send + Sync + PartialOrd + Default + 'static {}
impl Float for f32 {}
impl Float for f64 {}

/// An element type of at most 32 bits whose sums can be kept in `f64`.
pub trait Narrow: sealed::Widening + Copy + Send + Sync + 'static {}
impl Narrow for f32 {}
impl Narrow for F16 {}
impl Narrow for Bf16 {}

mod sealed {
    use super::{Backend, CosineSums, Dot, Many, Pair, SquaredL2};
    use crate::arithmetic::{Double, Single, Widened, WidenedBf16, WidenedF16};
    use crate::narrow::{Bf16, F16};

    /// The kernels of an element type that keep their sums in `f64`.
    pub trait Widening: Sized {
        fn dot_widened(backend: Backend, a: &[Self], b: &[Self]) -> f64;
        fn squared_l2_widened(backend: Backend, a: &[Self], b: &[Self]) -> f64;
        fn cosine_widened(backend: Backend, a: &[Self], b: &[Self]) -> f64;
    }

    macro_rules! widening {
        ($element:ty, $arithmetic:ty) => {
            impl Widening for $element {
                #[inline]
                fn dot_widened(backend: Backend, a: &[Self], b: &[Self]) -> f64 {
                    backend.dispatch(Pair::<$arithmetic, Dot>::new(a, b))
                }
                #[inline]
                fn squared_l2_widened(backend: Backend, a: &[Self], b: &[Self]) -> f64 {
                    backend.dispatch(Pair::<$arithmetic, SquaredL2>::new(a, b))
                }
                #[inline]
                fn cosine_widened(backend: Backend, a: &[Self], b: &[Self]) -> f64 {
                    let sums = backend.dispatch(CosineSums::<$arithmetic> { a, b });
                    f64::cosine_of_sums(sums.0, sums.1, sums.2)
                }
            }
        };
    }
    widening!(f32, Widened);
    widening!(F16, WidenedF16);
    widening!(Bf16, WidenedBf16);

    /// The kernels of an element type.
    pub trait Sealed: Sized {
        fn dot(backend: Backend, a: &[Self], b: &[Self]) -> Self;
        fn squared_l2(backend: Backend, a: &[Self], b: &[Self]) -> Self;
        fn cosine(backend: Backend, a: &[Self], b: &[Self]) -> Self;
        fn dot_many(backend: Backend, query: &[Self], rows: &[Self], out: &mut [Self]);
        fn squared_l2_many(backend: Backend, query: &[Self], rows: &[Self], out: &mut [Self]);
        fn cosine_of_sums(dot: Self, squared_a: Self, squared_b: Self) -> Self;
        fn square_root(self) -> Self;
    }

    macro_rules! sealed {
        ($float:ty, $arithmetic:ty) => {
            impl Sealed for $float {
                #[inline]
                fn dot(backend: Backend, a: &[Self], b: &[Self]) -> Self {
                    backend.dispatch(Pair::<$arithmetic, Dot>::new(a, b))
                }
                #[inline]
                fn squared_l2(backend: Backend, a: &[Self], b: &[Self]) -> Self {
                    backend.dispatch(Pair::<$arithmetic, SquaredL2>::new(a, b))
                }
                #[inline]
                fn cosine(backend: Backend, a: &[Self], b: &[Self]) -> Self {
                    let sums = backend.dispatch(CosineSums::<$arithmetic> { a, b });
                    Self::cosine_of_sums(sums.0, sums.1, sums.2)
                }
                fn dot_many(backend: Backend, query: &[Self], rows: &[Self], out: &mut [Self]) {
                    backend.dispatch(Many::<$arithmetic, Dot>::new(query, rows, out));
                }
                fn squared_l2_many(
                    backend: Backend,
                    query: &[Self],
                    rows: &[Self],
                    out: &mut [Self],
                ) {
                    backend.dispatch(Many::<$arithmetic, SquaredL2>::new(query, rows, out));
                }
                #[inline]
                fn cosine_of_sums(dot: Self, squared_a: Self, squared_b: Self) -> Self {
                    let norms = squared_a.sqrt() * squared_b.sqrt();
                    if norms == 0.0 { 0.0 } else { dot / norms }
                }
                #[inline]
                fn square_root(self) -> Self {
                    self.sqrt()
                }
            }
        };
    }
    sealed!(f32, Single);
    sealed!(f64, Double);
}

impl Backend {
    /// Sum of `a[i] * b[i]`; 0 for empty vectors.
    ///
    /// # Panics
    /// The lengths differ.
    #[inline]
    pub fn dot<T: Float>(self, a: &[T], b: &[T]) -> T {
        T::dot(self, a, b)
    }

    /// [`Backend::dot`] of narrow vectors, with every product and sum in `f64`.
    #[inline]
    pub fn dot_widened<T: Narrow>(self, a: &[T], b: &[T]) -> f64 {
        T::dot_widened(self, a, b)
    }

    /// Sum of `(a[i] - b[i])^2`; 0 for empty vectors.
    ///
    /// # Panics
    /// The lengths differ.
    #[inline]
    pub fn squared_l2<T: Float>(self, a: &[T], b: &[T]) -> T {
        T::squared_l2(self, a, b)
    }

    /// [`Backend::squared_l2`] of narrow vectors, with every term and sum in `f64`.
    #[inline]
    pub fn squared_l2_widened<T: Narrow>(self, a: &[T], b: &[T]) -> f64 {
        T::squared_l2_widened(self, a, b)
    }

    /// `dot(a, b) / (norm(a) * norm(b))`; 0 where a vector is zero or empty.
    ///
    /// # Panics
    /// The lengths differ.
    #[inline]
    pub fn cosine<T: Float>(self, a: &[T], b: &[T]) -> T {
        T::cosine(self, a, b)
    }

    /// [`Backend::cosine`] of narrow vectors, with every product and sum in `f64`.
    #[inline]
    pub fn cosine_widened<T: Narrow>(self, a: &[T], b: &[T]) -> f64 {
        T::cosine_widened(self, a, b)
    }

    /// L2 magnitude, `sqrt(dot(a, a))`; 0 for an empty vector.
    #[inline]
    pub fn norm<T: Float>(self, a: &[T]) -> T {
        self.dot(a, a).square_root()
    }

    /// [`Backend::norm`] of a narrow vector, summed in `f64`: no overflow, no underflow.
    #[inline]
    pub fn norm_widened<T: Narrow>(self, a: &[T]) -> f64 {
        self.dot_widened(a, a).sqrt()
    }

    /// `out[i] = dot(query, rows[i])` for row-major `rows` of `query.len()` columns.
    ///
    /// # Panics
    /// `rows` does not hold `out.len()` rows.
    pub fn dot_many<T: Float>(self, query: &[T], rows: &[T], out: &mut [T]) {
        T::dot_many(self, query, rows, out);
    }

    /// `out[i] = squared_l2(query, rows[i])` for row-major `rows` of `query.len()` columns.
    ///
    /// # Panics
    /// `rows` does not hold `out.len()` rows.
    pub fn squared_l2_many<T: Float>(self, query: &[T], rows: &[T], out: &mut [T]) {
        T::squared_l2_many(self, query, rows, out);
    }

    /// `out[i] = cosine(query, rows[i])` for row-major `rows` of `query.len()` columns.
    ///
    /// # Panics
    /// `rows` does not hold `out.len()` rows.
    pub fn cosine_many<T: Float>(self, query: &[T], rows: &[T], out: &mut [T]) {
        assert_eq!(rows.len(), query.len() * out.len(), "rows must be out.len() x query.len()");
        let squared_query = self.dot(query, query);
        for (index, cosine) in out.iter_mut().enumerate() {
            let row = &rows[index * query.len()..][..query.len()];
            *cosine = T::cosine_of_sums(self.dot(query, row), squared_query, self.dot(row, row));
        }
    }
}

/// The term of a sum over two vectors.
trait Term {
    fn add<A: Arithmetic, S: Simd>(
        simd: S,
        a: A::Vector<S>,
        b: A::Vector<S>,
        sum: A::Vector<S>,
    ) -> A::Vector<S>;
    fn one<A: Arithmetic>(a: A::Sum, b: A::Sum) -> A::Sum;
}

struct Dot;
impl Term for Dot {
    #[inline(always)]
    fn add<A: Arithmetic, S: Simd>(
        simd: S,
        a: A::Vector<S>,
        b: A::Vector<S>,
        sum: A::Vector<S>,
    ) -> A::Vector<S> {
        A::mul_add(simd, a, b, sum)
    }
    #[inline(always)]
    fn one<A: Arithmetic>(a: A::Sum, b: A::Sum) -> A::Sum {
        A::times(a, b)
    }
}

struct SquaredL2;
impl Term for SquaredL2 {
    #[inline(always)]
    fn add<A: Arithmetic, S: Simd>(
        simd: S,
        a: A::Vector<S>,
        b: A::Vector<S>,
        sum: A::Vector<S>,
    ) -> A::Vector<S> {
        let difference = A::sub(simd, a, b);
        A::mul_add(simd, difference, difference, sum)
    }
    #[inline(always)]
    fn one<A: Arithmetic>(a: A::Sum, b: A::Sum) -> A::Sum {
        let difference = A::minus(a, b);
        A::times(difference, difference)
    }
}

/// Independent sums: enough to hide the latency of a fused multiply-add.
const CHAINS: usize = 4;

/// Sums `T` over two vectors of equal length.
#[inline(always)]
fn sum_terms<A: Arithmetic, T: Term, S: Simd>(
    simd: S,
    a: &[A::Element],
    b: &[A::Element],
) -> A::Sum {
    let length = a.len();
    assert_eq!(length, b.len(), "vectors must be of the same length");
    let lanes = A::lanes::<S>();
    let (a_start, b_start) = (a.as_ptr(), b.as_ptr());
    let mut sums = [A::zero(simd); CHAINS];
    let mut at = 0;
    while at + CHAINS * lanes <= length {
        let mut chain = 0;
        while chain < CHAINS {
            let from = at + chain * lanes;
            // SAFETY: from + lanes <= length, the length of both vectors.
            let (x, y) =
                unsafe { (A::load(simd, a_start.add(from)), A::load(simd, b_start.add(from))) };
            sums[chain] = T::add::<A, S>(simd, x, y, sums[chain]);
            chain += 1;
        }
        at += CHAINS * lanes;
    }
    while at + lanes <= length {
        // SAFETY: at + lanes <= length, the length of both vectors.
        let (x, y) = unsafe { (A::load(simd, a_start.add(at)), A::load(simd, b_start.add(at))) };
        sums[0] = T::add::<A, S>(simd, x, y, sums[0]);
        at += lanes;
    }
    let low = A::add(simd, sums[0], sums[1]);
    let high = A::add(simd, sums[2], sums[3]);
    let mut total = A::sum(simd, A::add(simd, low, high));
    while at < length {
        total = A::plus(total, T::one::<A>(A::widen(a[at]), A::widen(b[at])));
        at += 1;
    }
    total
}

struct Pair<'a, A: Arithmetic, T> {
    a: &'a [A::Element],
    b: &'a [A::Element],
    term: PhantomData<T>,
}

impl<'a, A: Arithmetic, T> Pair<'a, A, T> {
    fn new(a: &'a [A::Element], b: &'a [A::Element]) -> Self {
        Pair { a, b, term: PhantomData }
    }
}

impl<A: Arithmetic, T: Term> Kernel for Pair<'_, A, T> {
    type Output = A::Sum;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> A::Sum {
        sum_terms::<A, T, S>(simd, self.a, self.b)
    }
}

struct Many<'a, A: Arithmetic, T> {
    query: &'a [A::Element],
    rows: &'a [A::Element],
    out: &'a mut [A::Sum],
    term: PhantomData<T>,
}

impl<'a, A: Arithmetic, T> Many<'a, A, T> {
    fn new(query: &'a [A::Element], rows: &'a [A::Element], out: &'a mut [A::Sum]) -> Self {
        Many { query, rows, out, term: PhantomData }
    }
}

impl<A: Arithmetic, T: Term> Kernel for Many<'_, A, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let dimension = self.query.len();
        assert_eq!(
            self.rows.len(),
            dimension * self.out.len(),
            "rows must be out.len() x query.len()"
        );
        let mut index = 0;
        while index < self.out.len() {
            let row = &self.rows[index * dimension..(index + 1) * dimension];
            self.out[index] = sum_terms::<A, T, S>(simd, self.query, row);
            index += 1;
        }
    }
}

/// The three sums of a cosine in one pass over both vectors.
struct CosineSums<'a, A: Arithmetic> {
    a: &'a [A::Element],
    b: &'a [A::Element],
}

impl<A: Arithmetic> Kernel for CosineSums<'_, A> {
    type Output = (A::Sum, A::Sum, A::Sum);
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let length = self.a.len();
        assert_eq!(length, self.b.len(), "vectors must be of the same length");
        let lanes = A::lanes::<S>();
        let (a_start, b_start) = (self.a.as_ptr(), self.b.as_ptr());
        // Two chains of three sums each: six independent sums hide the latency.
        let mut sums = [[A::zero(simd); 3]; 2];
        let mut at = 0;
        let mut chain = 0;
        while at + lanes <= length {
            // SAFETY: at + lanes <= length, the length of both vectors.
            let (x, y) =
                unsafe { (A::load(simd, a_start.add(at)), A::load(simd, b_start.add(at))) };
            let sum = &mut sums[chain];
            sum[0] = A::mul_add(simd, x, y, sum[0]);
            sum[1] = A::mul_add(simd, x, x, sum[1]);
            sum[2] = A::mul_add(simd, y, y, sum[2]);
            chain ^= 1;
            at += lanes;
        }
        let mut totals = [A::Sum::default(); 3];
        let mut which = 0;
        while which < 3 {
            totals[which] = A::sum(simd, A::add(simd, sums[0][which], sums[1][which]));
            which += 1;
        }
        while at < length {
            let (x, y) = (A::widen(self.a[at]), A::widen(self.b[at]));
            totals[0] = A::plus(totals[0], A::times(x, y));
            totals[1] = A::plus(totals[1], A::times(x, x));
            totals[2] = A::plus(totals[2], A::times(y, y));
            at += 1;
        }
        (totals[0], totals[1], totals[2])
    }
}
