//! Stored rows in memory, and which of them are looked at.

use crate::element::ElementType;
use crate::simd::prefetch;

/// Rows of one type and dimension at equal distances in memory.
#[derive(Clone, Copy)]
pub struct StoredRows<'a> {
    element: ElementType,
    row_bytes: usize,
    stride: usize,
    bytes: &'a [u8],
}

impl<'a> StoredRows<'a> {
    /// Rows of `dimension` elements that start at `bytes[0]`, `bytes[stride]`, and so on; what lies
    /// between the end of a row and the start of the next is not looked at.
    ///
    /// # Panics
    /// `stride` is shorter than a row.
    pub fn new(element: ElementType, dimension: usize, stride: usize, bytes: &'a [u8]) -> Self {
        let row_bytes = element.row_bytes(dimension);
        assert!(stride >= row_bytes, "a stride of {stride} for rows of {row_bytes} bytes");
        StoredRows { element, row_bytes, stride, bytes }
    }

    /// Rows of two-byte elements without anything between them, as they lie in memory.
    ///
    /// # Panics
    /// Elements of this type are not two bytes.
    pub fn of_bits(element: ElementType, dimension: usize, bits: &'a [u16]) -> Self {
        assert_eq!(element.element_bytes(), 2, "elements of two bytes");
        // SAFETY: every u16 is two bytes without padding.
        let bytes = unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), size_of_val(bits)) };
        StoredRows::new(element, dimension, element.row_bytes(dimension), bytes)
    }

    pub(crate) fn element(self) -> ElementType {
        self.element
    }

    pub(crate) fn row_bytes(self) -> usize {
        self.row_bytes
    }

    /// The bytes of a row.
    ///
    /// # Panics
    /// The row does not lie within the bytes.
    #[inline(always)]
    pub fn row(self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.stride..][..self.row_bytes]
    }

    /// Hints that a row will be read soon, all of it; any number is allowed.
    #[inline(always)]
    pub fn prefetch(self, index: usize) {
        const LINE: usize = 64;
        let start = self.bytes.as_ptr().wrapping_add(index.wrapping_mul(self.stride));
        let mut at = 0;
        while at < self.row_bytes {
            prefetch(start.wrapping_add(at));
            at += LINE;
        }
        // Where the row starts within a line, it ends in one more.
        prefetch(start.wrapping_add(self.row_bytes.saturating_sub(1)));
    }
}

/// Which rows are scored.
#[derive(Clone, Copy)]
pub(crate) enum Selection<'a> {
    From(usize),
    Listed(&'a [u32]),
}

impl Selection<'_> {
    /// Listed rows can be anywhere, so memory is asked for those to come.
    const AHEAD: usize = 2;

    #[inline(always)]
    pub(crate) fn row<'a>(&self, rows: StoredRows<'a>, n: usize) -> &'a [u8] {
        match self {
            Selection::From(first) => rows.row(first + n),
            Selection::Listed(listed) => {
                if let Some(&ahead) = listed.get(n + Self::AHEAD) {
                    rows.prefetch(ahead as usize);
                }
                rows.row(listed[n] as usize)
            }
        }
    }
}
