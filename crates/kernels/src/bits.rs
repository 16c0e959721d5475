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
    let mut total = simd.total(count);
    while at + WORD <= length {
        // SAFETY: at + WORD <= length, the length of both.
        total += unsafe { u64::from((word(a.add(at)) ^ word(b.add(at))).count_ones()) };
        at += WORD;
    }
    while at < length {
        // SAFETY: at < length, the length of both.
        total += unsafe { u64::from((*a.add(at) ^ *b.add(at)).count_ones()) };
        at += 1;
    }
    total
}

/// Bytes of what is left that are counted at a time.
const WORD: usize = 8;

/// # Safety
/// Eight bytes from `at` on are readable.
#[inline(always)]
unsafe fn word(at: *const u8) -> u64 {
    // SAFETY: this function's contract.
    unsafe { at.cast::<u64>().read_unaligned() }
}
