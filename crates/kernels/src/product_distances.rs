//! Squared distances of a row to many others, from its dot products with them.

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::simd::Simd;

/// Distances whose least one is told.
pub const DISTANCES_PER_MINIMUM: usize = 32;

/// What a distance depends on besides the dot product: of one vector for the row, of as many as
/// there are products for the others. A vector is `scale` times what was multiplied, and `lift` is a
/// further coordinate of it, which `square`, its squared length, includes.
#[derive(Clone, Copy, Debug)]
pub struct Lengths<T> {
    /// Squared lengths.
    pub square: T,
    /// Further coordinates.
    pub lift: T,
    /// Factors.
    pub scale: T,
}

impl Backend {
    /// Turns dot products with a row, which are finite, into squared distances from it, none below
    /// 0, and gives the least of each 32 of them.
    ///
    /// # Panics
    /// There are not as many lengths as products, or not as many minima as 32s of them, begun ones
    /// included.
    pub fn distances_of_products(
        self,
        row: Lengths<f32>,
        others: Lengths<&[f32]>,
        products: &mut [f32],
        minima: &mut [f32],
    ) {
        self.dispatch(Distances { row, others, products, minima });
    }
}

impl Backend {
    /// Turns dot products with a row into squared distances from it, up to rounding, which may take
    /// one below 0, and lists where a distance is less than `limit` or than what stands in its place
    /// in `limits`. Only distances in listed places are sure to be given.
    ///
    /// # Panics
    /// There are not as many lengths, limits or places for distances as products.
    #[expect(clippy::too_many_arguments, reason = "four slices of one length and what fills them")]
    pub fn distances_within(
        self,
        row: Lengths<f32>,
        others: Lengths<&[f32]>,
        products: &[f32],
        limit: f32,
        limits: &[f32],
        distances: &mut [f32],
        within: &mut Vec<u32>,
    ) {
        within.clear();
        within.reserve(products.len());
        self.dispatch(Within { row, others, products, limit, limits, distances, within });
    }
}

struct Within<'a> {
    row: Lengths<f32>,
    others: Lengths<&'a [f32]>,
    products: &'a [f32],
    limit: f32,
    limits: &'a [f32],
    distances: &'a mut [f32],
    within: &'a mut Vec<u32>,
}

impl Kernel for Within<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { row, others, products, limit, limits, distances, within } = self;
        let count = products.len();
        assert!(others.square.len() == count, "a length for every product");
        assert!(others.lift.len() == count && others.scale.len() == count);
        assert!(limits.len() == count && distances.len() == count, "a limit for every product");
        let own = simd.f32_splat(row.square);
        let lift = simd.f32_splat(-2.0 * row.lift);
        let scale = simd.f32_splat(-2.0 * row.scale);
        let own_limit = simd.f32_splat(limit);
        let mut at = 0;
        while at + S::F32_LANES <= count {
            // SAFETY: at + F32_LANES <= the number of products, and of each of the other slices.
            let mut below = unsafe {
                let square = simd.f32_load(others.square.as_ptr().add(at));
                let other_lift = simd.f32_load(others.lift.as_ptr().add(at));
                let other_scale = simd.f32_load(others.scale.as_ptr().add(at));
                let product = simd.f32_load(products.as_ptr().add(at));
                let sum = simd.f32_mul_add(lift, other_lift, simd.f32_add(own, square));
                let distance = simd.f32_mul_add(scale, simd.f32_mul(product, other_scale), sum);
                let greatest = simd.f32_max(simd.f32_load(limits.as_ptr().add(at)), own_limit);
                simd.f32_store(distances.as_mut_ptr().add(at), distance);
                simd.f32_greater(greatest, distance)
            };
            while below != 0 {
                within.push(at as u32 + below.trailing_zeros());
                below &= below - 1;
            }
            at += S::F32_LANES;
        }
        while at < count {
            let sum = row.square + others.square[at] - 2.0 * row.lift * others.lift[at];
            let product = row.scale * others.scale[at] * products[at];
            distances[at] = sum - 2.0 * product;
            if distances[at] < limit.max(limits[at]) {
                within.push(at as u32);
            }
            at += 1;
        }
    }
}

struct Distances<'a> {
    row: Lengths<f32>,
    others: Lengths<&'a [f32]>,
    products: &'a mut [f32],
    minima: &'a mut [f32],
}

impl Kernel for Distances<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { row, others, products, minima } = self;
        let count = products.len();
        assert!(others.square.len() == count, "a length for every product");
        assert!(others.lift.len() == count && others.scale.len() == count);
        assert_eq!(minima.len(), count.div_ceil(DISTANCES_PER_MINIMUM));
        let zero = simd.f32_splat(0.0);
        let own = simd.f32_splat(row.square);
        let lift = simd.f32_splat(-2.0 * row.lift);
        let scale = simd.f32_splat(-2.0 * row.scale);
        for (block, minimum) in minima.iter_mut().enumerate() {
            let end = count.min((block + 1) * DISTANCES_PER_MINIMUM);
            let mut at = block * DISTANCES_PER_MINIMUM;
            // There is no least lane, but a greatest one.
            let mut most = simd.f32_splat(f32::NEG_INFINITY);
            while at + S::F32_LANES <= end {
                // SAFETY: at + F32_LANES <= the number of products, and of each of the lengths.
                unsafe {
                    let product = products.as_mut_ptr().add(at);
                    let square = simd.f32_load(others.square.as_ptr().add(at));
                    let other_lift = simd.f32_load(others.lift.as_ptr().add(at));
                    let other_scale = simd.f32_load(others.scale.as_ptr().add(at));
                    let sum = simd.f32_mul_add(lift, other_lift, simd.f32_add(own, square));
                    let scaled = simd.f32_mul(simd.f32_load(product), other_scale);
                    let distance = simd.f32_max(simd.f32_mul_add(scale, scaled, sum), zero);
                    simd.f32_store(product, distance);
                    most = simd.f32_max(most, simd.f32_sub(zero, distance));
                }
                at += S::F32_LANES;
            }
            *minimum = -simd.f32_maximum(most);
            while at < end {
                let sum = row.square + others.square[at] - 2.0 * row.lift * others.lift[at];
                let product = row.scale * others.scale[at] * products[at];
                products[at] = (sum - 2.0 * product).max(0.0);
                *minimum = minimum.min(products[at]);
                at += 1;
            }
        }
    }
}
