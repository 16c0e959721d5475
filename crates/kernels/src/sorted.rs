//! Where a number belongs among sorted ones.

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::simd::Simd;

impl Backend {
    /// How many of `keys` are not less than `key`: its place among keys that are sorted, greatest
    /// first. Looks at all of them, which is faster than a binary search for up to some hundreds:
    /// a step of that waits for the one before. NaN is not less than anything.
    #[inline]
    pub fn count_not_less(self, keys: &[f32], key: f32) -> usize {
        self.dispatch(CountNotLess { keys, key })
    }
}

struct CountNotLess<'a> {
    keys: &'a [f32],
    key: f32,
}

impl Kernel for CountNotLess<'_> {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let Self { keys, key } = self;
        let limit = simd.f32_splat(key);
        let mut less = 0;
        let mut at = 0;
        while at + S::F32_LANES <= keys.len() {
            // SAFETY: at + F32_LANES <= the number of keys.
            let part = unsafe { simd.f32_load(keys.as_ptr().add(at)) };
            less += simd.f32_greater(limit, part).count_ones() as usize;
            at += S::F32_LANES;
        }
        less += keys[at..].iter().filter(|&&other| key > other).count();
        keys.len() - less
    }
}
