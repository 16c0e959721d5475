//! Matrices inside larger buffers.

use std::marker::PhantomData;

/// A read-only matrix.
#[derive(Clone, Copy)]
pub struct Rows<'a, T = f32> {
    pub(crate) data: &'a [T],
    pub(crate) count: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
}

impl<'a, T> Rows<'a, T> {
    /// `count` rows of `columns` elements, `stride` elements apart, from the start of `data`.
    ///
    /// # Panics
    /// `data` ends before the last row does, or rows overlap.
    pub fn new(data: &'a [T], count: usize, columns: usize, stride: usize) -> Self {
        check(data.len(), count, columns, stride);
        Rows { data, count, columns, stride }
    }

    /// Rows.
    pub fn count(&self) -> usize {
        self.count
    }
}

fn check(length: usize, count: usize, columns: usize, stride: usize) {
    assert!(columns <= stride, "rows must not overlap");
    assert!(count == 0 || length >= (count - 1) * stride + columns, "data is too short");
}

/// A matrix to write to. It can be split by columns, for several threads.
pub struct RowsMut<'a, T = f32> {
    /// For `count` rows, `columns` elements from `start + row * stride` on are this value's alone.
    start: *mut T,
    count: usize,
    columns: usize,
    stride: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for exclusive borrows of its elements, which may go where those may go.
unsafe impl<T: Send> Send for RowsMut<'_, T> {}

impl<'a, T> RowsMut<'a, T> {
    /// As [`Rows::new`].
    ///
    /// # Panics
    /// As [`Rows::new`].
    pub fn new(data: &'a mut [T], count: usize, columns: usize, stride: usize) -> Self {
        check(data.len(), count, columns, stride);
        RowsMut { start: data.as_mut_ptr(), count, columns, stride, buffer: PhantomData }
    }

    /// Rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The columns before `column`, and those from it on.
    ///
    /// # Panics
    /// There are not so many.
    pub fn split_columns(self, column: usize) -> (Self, Self) {
        assert!(column <= self.columns, "there are only {} columns", self.columns);
        // The columns after the last one may begin behind the buffer: a pointer that nothing reads.
        let right = self.start.wrapping_add(column);
        (
            RowsMut { columns: column, ..self },
            RowsMut { start: right, columns: self.columns - column, ..self },
        )
    }

    /// Part of a row.
    ///
    /// # Panics
    /// It is outside.
    #[inline(always)]
    pub(crate) fn part(&mut self, row: usize, column: usize, length: usize) -> &mut [T] {
        assert!(row < self.count && column <= self.columns && length <= self.columns - column);
        // SAFETY: by the assertion these elements are inside a row, which is this value's alone.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(row * self.stride + column), length)
        }
    }
}
