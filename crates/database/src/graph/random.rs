//! Reproducible random numbers for building: quality must not depend on luck that cannot be had
//! again.

/// The generator of G. Marsaglia, "Xorshift RNGs", 2003.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    pub(crate) fn shuffle(&mut self, rows: &mut [u32]) {
        for last in (1..rows.len()).rev() {
            rows.swap(last, self.below(last + 1));
        }
    }

    /// `count` of `rows`, each at most once, or all of them.
    pub(crate) fn sample(&mut self, rows: &[u32], count: usize) -> Vec<u32> {
        let mut rows = rows.to_vec();
        let count = count.min(rows.len());
        for at in 0..count {
            let other = at + self.below(rows.len() - at);
            rows.swap(at, other);
        }
        rows.truncate(count);
        rows
    }
}
