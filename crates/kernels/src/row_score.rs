//! Distances of a query to stored rows: one, several in order, or several picked by number.

use std::marker::PhantomData;

use crate::backend::Backend;
use crate::byte_rows::{ScoreByteRow, ScoreByteRows};
use crate::dispatch::Kernel;
use crate::element::{BFloat16, Code, Element, ElementType, Float16, Float32, bytes_of, load_part};
use crate::row_codec::scale_behind;
use crate::simd::Simd;
use crate::stored_rows::{Selection, StoredRows};

/// What a score is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The dot product.
    Dot,
    /// The squared Euclidean distance.
    SquaredL2,
}

/// A query, ready to be scored against stored rows of its type and dimension.
#[derive(Clone, Copy)]
pub struct RowScorer<'a> {
    backend: Backend,
    element: ElementType,
    measure: Measure,
    query: Query<'a>,
}

#[derive(Clone, Copy)]
enum Query<'a> {
    Floats(&'a [f32]),
    Row(&'a [u8]),
}

impl Backend {
    /// Scores of a query that is kept in `f32`: nothing is lost but what the stored rows lack.
    ///
    /// # Panics
    /// `element` is `Bits`.
    #[inline]
    pub fn row_scorer(
        self,
        element: ElementType,
        measure: Measure,
        query: &[f32],
    ) -> RowScorer<'_> {
        check_numbers(element);
        RowScorer { backend: self, element, measure, query: Query::Floats(query) }
    }

    /// Scores of a query that is a stored row itself. Of `Int8` rows the sums are exact integers,
    /// and faster than with an `f32` query by far.
    ///
    /// # Panics
    /// `query` has the length of no row, or `element` is `Bits`.
    #[inline]
    pub fn row_scorer_of_row(
        self,
        element: ElementType,
        measure: Measure,
        query: &[u8],
    ) -> RowScorer<'_> {
        check_numbers(element);
        element.dimension(query.len());
        RowScorer { backend: self, element, measure, query: Query::Row(query) }
    }

    /// The Euclidean norm of a stored row.
    ///
    /// # Panics
    /// `row` has the length of no row.
    pub fn row_norm(self, element: ElementType, row: &[u8]) -> f32 {
        self.row_scorer_of_row(element, Measure::Dot, row).score(row).sqrt()
    }
}

#[inline]
fn check_numbers(element: ElementType) {
    if element == ElementType::Bits {
        no_numbers();
    }
}

#[cold]
fn no_numbers() -> ! {
    panic!("packed bits have Hamming distances, no products")
}

impl RowScorer<'_> {
    /// The score of one row.
    ///
    /// # Panics
    /// The row is not of the query's dimension.
    #[inline]
    pub fn score(&self, row: &[u8]) -> f32 {
        self.check(self.element, row.len());
        let (backend, measure) = (self.backend, self.measure);
        match self.query {
            Query::Floats(query) => {
                let pair = Pair { query: bytes_of(query), row };
                match self.element {
                    ElementType::Float32 => pair.score::<Float32, Float32>(backend, measure),
                    ElementType::Float16 => pair.score::<Float32, Float16>(backend, measure),
                    ElementType::BFloat16 => pair.score::<Float32, BFloat16>(backend, measure),
                    ElementType::Int8 => pair.score::<Float32, Code>(backend, measure),
                    ElementType::Bits => no_numbers(),
                }
            }
            Query::Row(query) => {
                let pair = Pair { query, row };
                match self.element {
                    ElementType::Float32 => pair.score::<Float32, Float32>(backend, measure),
                    ElementType::Float16 => pair.score::<Float16, Float16>(backend, measure),
                    ElementType::BFloat16 => pair.score::<BFloat16, BFloat16>(backend, measure),
                    ElementType::Int8 => {
                        backend.dispatch_bytes(ScoreByteRow { query, row, measure })
                    }
                    ElementType::Bits => no_numbers(),
                }
            }
        }
    }

    /// `out[n]` = score of row `first + n`.
    ///
    /// # Panics
    /// The rows are not of the query's type and dimension, or end before `first + out.len()`.
    pub fn score_from(&self, rows: StoredRows<'_>, first: usize, out: &mut [f32]) {
        self.score_several(rows, Selection::From(first), out);
    }

    /// `out[n]` = score of row `listed[n]`, while the rows to come are fetched from memory.
    ///
    /// # Panics
    /// The rows are not of the query's type and dimension, or one that is listed is not there, or
    /// `listed` and `out` differ in length.
    pub fn score_listed(&self, rows: StoredRows<'_>, listed: &[u32], out: &mut [f32]) {
        assert_eq!(listed.len(), out.len(), "a score for every listed row");
        self.score_several(rows, Selection::Listed(listed), out);
    }

    fn score_several(&self, rows: StoredRows<'_>, selection: Selection<'_>, out: &mut [f32]) {
        self.check(rows.element(), rows.row_bytes());
        let (backend, measure) = (self.backend, self.measure);
        match self.query {
            Query::Floats(query) => {
                let mut job = Job { query: bytes_of(query), rows, selection, out };
                match self.element {
                    ElementType::Float32 => job.score::<Float32, Float32>(backend, measure),
                    ElementType::Float16 => job.score::<Float32, Float16>(backend, measure),
                    ElementType::BFloat16 => job.score::<Float32, BFloat16>(backend, measure),
                    ElementType::Int8 => job.score::<Float32, Code>(backend, measure),
                    ElementType::Bits => no_numbers(),
                }
            }
            Query::Row(query) => {
                let mut job = Job { query, rows, selection, out };
                match self.element {
                    ElementType::Float32 => job.score::<Float32, Float32>(backend, measure),
                    ElementType::Float16 => job.score::<Float16, Float16>(backend, measure),
                    ElementType::BFloat16 => job.score::<BFloat16, BFloat16>(backend, measure),
                    ElementType::Int8 => {
                        backend.dispatch_bytes(ScoreByteRows { job: &mut job, measure });
                    }
                    ElementType::Bits => no_numbers(),
                }
            }
        }
    }

    #[inline]
    fn check(&self, element: ElementType, row_bytes: usize) {
        assert!(element == self.element, "rows of the query's type");
        let expected = match self.query {
            Query::Floats(query) => element.row_bytes(query.len()),
            Query::Row(query) => query.len(),
        };
        assert!(row_bytes == expected, "rows of the query's dimension");
    }
}

/// A query of whole elements against one row: apart from [`Job`], because setting up a job takes as
/// long as scoring a short row.
#[derive(Clone, Copy)]
struct Pair<'a> {
    query: &'a [u8],
    row: &'a [u8],
}

impl Pair<'_> {
    #[inline]
    fn score<Q: Element, E: Element>(self, backend: Backend, measure: Measure) -> f32 {
        match measure {
            Measure::Dot => backend.dispatch(ScoreRow::<Q, E, Dot>(self, PhantomData)),
            Measure::SquaredL2 => backend.dispatch(ScoreRow::<Q, E, SquaredL2>(self, PhantomData)),
        }
    }
}

/// A query against several rows.
pub(crate) struct Job<'a> {
    pub(crate) query: &'a [u8],
    pub(crate) rows: StoredRows<'a>,
    pub(crate) selection: Selection<'a>,
    pub(crate) out: &'a mut [f32],
}

impl Job<'_> {
    #[inline]
    fn score<Q: Element, E: Element>(&mut self, backend: Backend, measure: Measure) {
        match measure {
            Measure::Dot => backend.dispatch(ScoreRows::<Q, E, Dot>(self, PhantomData)),
            Measure::SquaredL2 => backend.dispatch(ScoreRows::<Q, E, SquaredL2>(self, PhantomData)),
        }
    }
}

/// The term that a measure sums.
trait Term {
    /// Whether the scale of a row goes into every term, not into the sum.
    const SCALES_TERMS: bool;

    fn add<E: Element, S: Simd>(
        simd: S,
        query: S::F32,
        x: S::F32,
        minus_scale: S::F32,
        sum: S::F32,
    ) -> S::F32;
}

struct Dot;
impl Term for Dot {
    const SCALES_TERMS: bool = false;
    #[inline(always)]
    fn add<E: Element, S: Simd>(
        simd: S,
        query: S::F32,
        x: S::F32,
        _minus_scale: S::F32,
        sum: S::F32,
    ) -> S::F32 {
        simd.f32_mul_add(query, x, sum)
    }
}

struct SquaredL2;
impl Term for SquaredL2 {
    const SCALES_TERMS: bool = true;
    #[inline(always)]
    fn add<E: Element, S: Simd>(
        simd: S,
        query: S::F32,
        x: S::F32,
        minus_scale: S::F32,
        sum: S::F32,
    ) -> S::F32 {
        let difference = E::difference(simd, query, x, minus_scale);
        simd.f32_mul_add(difference, difference, sum)
    }
}

struct ScoreRow<'a, Q, E, T>(Pair<'a>, PhantomData<(Q, E, T)>);

impl<Q: Element, E: Element, T: Term> Kernel for ScoreRow<'_, Q, E, T> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        score_row::<Q, E, T, S>(simd, self.0.query, self.0.row)
    }
}

struct ScoreRows<'j, 'a, Q, E, T>(&'j mut Job<'a>, PhantomData<(Q, E, T)>);

impl<Q: Element, E: Element, T: Term> Kernel for ScoreRows<'_, '_, Q, E, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job { query, rows, selection, ref mut out } = *self.0;
        let mut n = 0;
        while n < out.len() {
            out[n] = score_row::<Q, E, T, S>(simd, query, selection.row(rows, n));
            n += 1;
        }
    }
}

#[inline(always)]
fn score_row<Q: Element, E: Element, T: Term, S: Simd>(simd: S, query: &[u8], row: &[u8]) -> f32 {
    // Codes alone are scaled, by what stands behind them.
    let scale = if E::BYTES == 1 { scale_behind(row) } else { 1.0 };
    let sum = sum_terms::<Q, E, T, S>(simd, query, row, -scale);
    if T::SCALES_TERMS { sum } else { scale * sum }
}

/// Independent sums: enough to hide the latency of a fused multiply-add.
const CHAINS: usize = 4;

/// Sums the terms of a query of `Q` and a row of `E`.
#[inline(always)]
fn sum_terms<Q: Element, E: Element, T: Term, S: Simd>(
    simd: S,
    query: &[u8],
    row: &[u8],
    minus_scale: f32,
) -> f32 {
    let length = query.len() / Q::BYTES;
    assert!(row.len() >= length * E::BYTES, "rows of the query's dimension");
    let (query, row) = (query.as_ptr(), row.as_ptr());
    let minus_scale = simd.f32_splat(minus_scale);
    let mut sums = [simd.f32_splat(0.0); CHAINS];
    let mut at = 0;
    while at + CHAINS * S::F32_LANES <= length {
        let mut chain = 0;
        while chain < CHAINS {
            let from = at + chain * S::F32_LANES;
            // SAFETY: from + F32_LANES <= length, the number of elements of both.
            let (a, b) = unsafe {
                (Q::load(simd, query.add(from * Q::BYTES)), E::load(simd, row.add(from * E::BYTES)))
            };
            sums[chain] = T::add::<E, S>(simd, a, b, minus_scale, sums[chain]);
            chain += 1;
        }
        at += CHAINS * S::F32_LANES;
    }
    while at + S::F32_LANES <= length {
        // SAFETY: at + F32_LANES <= length, the number of elements of both.
        let (a, b) = unsafe {
            (Q::load(simd, query.add(at * Q::BYTES)), E::load(simd, row.add(at * E::BYTES)))
        };
        sums[0] = T::add::<E, S>(simd, a, b, minus_scale, sums[0]);
        at += S::F32_LANES;
    }
    if at < length {
        // Zeros behind the ends add nothing to either measure.
        // SAFETY: length - at elements are left of both, less than a vector.
        let (a, b) = unsafe {
            (
                load_part::<Q, S>(simd, query.add(at * Q::BYTES), length - at),
                load_part::<E, S>(simd, row.add(at * E::BYTES), length - at),
            )
        };
        sums[1] = T::add::<E, S>(simd, a, b, minus_scale, sums[1]);
    }
    let low = simd.f32_add(sums[0], sums[1]);
    simd.f32_sum(simd.f32_add(low, simd.f32_add(sums[2], sums[3])))
}
