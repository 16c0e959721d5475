//! A growable buffer of floats that starts on a cache line.

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Floats at a 64-byte boundary, so that no vector load of a packed panel crosses a cache line.
#[derive(Default)]
pub(crate) struct AlignedBuffer {
    lines: Vec<Line>,
    length: usize,
}

impl AlignedBuffer {
    /// Makes it `length` zeros; allocates only to grow.
    pub(crate) fn reset(&mut self, length: usize) {
        self.lines.clear();
        self.lines.resize(length.div_ceil(16), Line([0.0; 16]));
        self.length = length;
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        // SAFETY: a Line is 16 floats without padding and `length` floats fit the lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}
