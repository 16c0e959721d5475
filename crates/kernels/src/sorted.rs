//! Pairs of a key and a value in the order of their keys.

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::simd::Simd;

/// Places behind the last pair that are read and written with it: two of the longest vectors.
const PADDING: usize = 32;

/// Keys, greatest first, and values of 32 bits beside them. For some tens to hundreds of pairs.
#[derive(Debug, Default)]
pub struct SortedPairs {
    keys: Vec<f32>,
    values: Vec<u32>,
    length: usize,
}

impl SortedPairs {
    /// Forgets all pairs; the memory is kept.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// The keys, greatest first.
    #[inline]
    pub fn keys(&self) -> &[f32] {
        &self.keys[..self.length]
    }

    /// Their values.
    #[inline]
    pub fn values(&self) -> &[u32] {
        &self.values[..self.length]
    }

    /// Their values, which may be changed where they are.
    #[inline]
    pub fn values_mut(&mut self) -> &mut [u32] {
        &mut self.values[..self.length]
    }

    /// Puts a pair behind all whose keys are not less, and says at which place that is. Looks at all
    /// keys, which is faster than a binary search: a step of that waits for the one before.
    #[inline]
    pub fn insert(&mut self, backend: Backend, key: f32, value: u32) -> usize {
        if self.keys.len() < self.length + PADDING + 1 {
            let places = 2 * self.length + 4 * PADDING;
            self.keys.resize(places, 0.0);
            self.values.resize(places, 0);
        }
        backend.dispatch(Insert { pairs: self, key, value })
    }

    /// Takes away the pair with the least key and gives its value.
    #[inline]
    pub fn pop(&mut self) -> Option<u32> {
        self.length = self.length.checked_sub(1)?;
        Some(self.values[self.length])
    }
}

struct Insert<'a> {
    pairs: &'a mut SortedPairs,
    key: f32,
    value: u32,
}

impl Kernel for Insert<'_> {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let Self { pairs: SortedPairs { keys, values, length }, key, value } = self;
        assert!(keys.len() > *length + PADDING && values.len() == keys.len());
        const { assert!(2 * S::F32_LANES <= PADDING) };
        let limit = simd.f32_splat(key);
        let mut less = 0;
        let mut at = 0;
        while at < *length {
            // SAFETY: at + F32_LANES < length + PADDING < the number of keys.
            let part = unsafe { simd.f32_load(keys.as_ptr().add(at)) };
            let left = *length - at;
            let whole = if left < S::F32_LANES { (1u32 << left) - 1 } else { u32::MAX };
            less += (simd.f32_greater(limit, part) & whole).count_ones() as usize;
            at += S::F32_LANES;
        }
        let place = *length - less;
        let (to_key, to_value) = (keys.as_mut_ptr(), values.as_mut_ptr().cast::<f32>());
        let mut from = place;
        // Each vector is read before the one in front of it is written, one place further on. Values
        // are moved as if they were floats, which changes no bit.
        // SAFETY: from < length in the loop, and from + 2 * F32_LANES <= length + PADDING, which is
        // less than the number of keys and of values. Elements of both have four bytes.
        unsafe {
            let mut moved = (simd.f32_load(to_key.add(from)), simd.f32_load(to_value.add(from)));
            while from < *length {
                let next = from + S::F32_LANES;
                let then = (simd.f32_load(to_key.add(next)), simd.f32_load(to_value.add(next)));
                simd.f32_store(to_key.add(from + 1), moved.0);
                simd.f32_store(to_value.add(from + 1), moved.1);
                (moved, from) = (then, next);
            }
        }
        keys[place] = key;
        values[place] = value;
        *length += 1;
        place
    }
}
