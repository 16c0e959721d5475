//! Hamming distance: in how many bits packed vectors differ.

use crate::backend::Backend;
use crate::dispatch::BitKernel;
use crate::simd::BitCounts;

impl Backend {
    /// The number of bits in which `a` and `b` differ.
    ///
    /// # Panics
    /// The lengths differ.
    #[inline]
    pub fn hamming(self, a: &[u8], b: &[u8]) -> u64 {
        self.dispatch_bits(Hamming { a, b })
    }

    /// `out[i] = hamming(query, rows[i])` for row-major `rows` of `query.len()` bytes.
    ///
    /// # Panics
    /// `rows` does not hold `out.len()` rows.
    pub fn hamming_many(self, query: &[u8], rows: &[u8], out: &mut [u32]) {
        self.dispatch_bits(HammingMany { query, rows, out });
    }
}

struct Hamming<'a> {
    a: &'a [u8],
    b: &'a [u8],
}

impl BitKernel for Hamming<'_> {
    type Output = u64;
    #[inline(always)]
    fn run<S: BitCounts>(self, simd: S) -> u64 {
        differing(simd, self.a, self.b)
    }
}

struct HammingMany<'a> {
    query: &'a [u8],
    rows: &'a [u8],
    out: &'a mut [u32],
}

impl BitKernel for HammingMany<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: BitCounts>(self, simd: S) {
        let width = self.query.len();
        assert_eq!(self.rows.len(), width * self.out.len(), "rows must be out.len() x query.len()");
        let mut index = 0;
        while index < self.out.len() {
            let row = &self.rows[index * width..(index + 1) * width];
            self.out[index] = differing(simd, self.query, row) as u32;
            index += 1;
        }
    }
}

#[inline(always)]
fn differing<S: BitCounts>(simd: S, a: &[u8], b: &[u8]) -> u64 {
    let length = a.len();
    assert_eq!(length, b.len(), "vectors must be of the same length");
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let mut count = simd.zero();
    let mut at = 0;
    while at + S::STEP <= length {
        // SAFETY: at + STEP <= length, the length of both.
        count = unsafe { simd.add_differing(a.add(at), b.add(at), count) };
        at += S::STEP;
    }
    if at < length {
        let (mut a_part, mut b_part) = ([0u8; 64], [0u8; 64]);
        // SAFETY: length - at bytes are left of both, less than a step, which is at most 64.
        count = unsafe {
            a.add(at).copy_to_nonoverlapping(a_part.as_mut_ptr(), length - at);
            b.add(at).copy_to_nonoverlapping(b_part.as_mut_ptr(), length - at);
            simd.add_differing(a_part.as_ptr(), b_part.as_ptr(), count)
        };
    }
    simd.total(count)
}
