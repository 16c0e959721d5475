//! The weights of a linear layer, packed for one backend and one precision.

use super::format::Precision;
use super::rows::Rows;
use super::tile::MOST_WIDTH;
use crate::aligned::AlignedBuffer;
use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::element::{ElementType, SCALE_BYTES};
use crate::narrow::Bf16;
use crate::row_codec::scale_behind;
use crate::simd::Simd;
use crate::stored_rows::StoredRows;

/// The largest magnitude of a weight's code.
const LARGEST_CODE: f32 = 127.0;

/// A linear layer's weights and bias, or any rows to multiply others with.
///
/// The columns of the product are cut into panels of two vectors' width. A panel holds, word after
/// word of the depth, a line with that word of each of its columns, so that the innermost loop
/// reads it front to back. Columns that fill up the last panel are zeros.
pub struct PackedMatrix {
    pub(crate) backend: Backend,
    pub(crate) precision: Precision,
    pub(crate) width: usize,
    /// Words of the depth.
    pub(crate) words: usize,
    depth: usize,
    columns: usize,
    panels: AlignedBuffer<i32>,
    bias: AlignedBuffer<f32>,
    /// In [`Precision::Int8`] alone: what a column's codes are multiples of, and their sum.
    scales: AlignedBuffer<f32>,
    code_sums: AlignedBuffer<i32>,
}

impl PackedMatrix {
    /// Packs weights as linear layers store them, outputs x inputs, and a value of `bias` for each
    /// output; no bias means zeros.
    ///
    /// # Panics
    /// The bias is not of the weights' outputs, or the inputs do not fill whole words: two in
    /// [`Precision::Bf16`], four in [`Precision::Int8`].
    pub fn new(backend: Backend, precision: Precision, w: Rows<'_>, bias: Option<&[f32]>) -> Self {
        assert!(bias.is_none_or(|bias| bias.len() == w.count), "bias must have a value an output");
        let mut packed = Self::zeroed(backend, precision, w.count, w.columns);
        if let Some(bias) = bias {
            packed.bias.as_mut_slice()[..bias.len()].copy_from_slice(bias);
        }
        for column in 0..w.count {
            packed.pack_column(column, &w.data[column * w.stride..][..w.columns]);
        }
        packed
    }

    /// Packs stored rows of `Int8`, those that are listed, for products in [`Precision::Int8`]: the
    /// same numbers, without rounding.
    ///
    /// # Panics
    /// The rows are of another type, or one that is listed is not there, or their elements do not fill
    /// whole words of four.
    pub fn of_stored(backend: Backend, rows: StoredRows<'_>, listed: &[u32]) -> Self {
        assert_eq!(rows.element(), ElementType::Int8, "stored bytes");
        let depth = rows.row_bytes() - SCALE_BYTES;
        let mut packed = Self::zeroed(backend, Precision::Int8, listed.len(), depth);
        for (column, &row) in listed.iter().enumerate() {
            let stored = rows.row(row as usize);
            let codes = &stored[..depth];
            packed.scales.as_mut_slice()[column] = scale_behind(stored);
            packed.code_sums.as_mut_slice()[column] =
                codes.iter().map(|&code| i32::from(code as i8)).sum();
            let start = column / packed.width * packed.width * packed.words + column % packed.width;
            let lines = packed.panels.as_mut_slice().iter_mut().skip(start).step_by(packed.width);
            for (word, quad) in lines.zip(codes.as_chunks::<4>().0) {
                *word = i32::from_le_bytes(*quad);
            }
        }
        packed
    }

    fn zeroed(backend: Backend, precision: Precision, columns: usize, depth: usize) -> Self {
        let per_word = precision.per_word();
        assert!(depth.is_multiple_of(per_word), "inputs must come in groups of {per_word}");
        let width = backend.dispatch(PanelWidth);
        let padded = columns.next_multiple_of(width);
        let of_codes = if precision == Precision::Int8 { padded } else { 0 };
        PackedMatrix {
            backend,
            precision,
            width,
            words: depth / per_word,
            depth,
            columns,
            panels: zeros(padded * depth / per_word),
            bias: zeros(padded),
            scales: zeros(of_codes),
            code_sums: zeros(of_codes),
        }
    }

    fn pack_column(&mut self, column: usize, weights: &[f32]) {
        let width = self.width;
        if self.words == 0 {
            return;
        }
        let start = column / width * width * self.words + column % width;
        let lines = self.panels.as_mut_slice()[start..].iter_mut().step_by(width);
        match self.precision {
            Precision::F32 => {
                for (word, &weight) in lines.zip(weights) {
                    *word = weight.to_bits() as i32;
                }
            }
            Precision::Bf16 => {
                for (word, &[low, high]) in lines.zip(weights.as_chunks::<2>().0) {
                    let bits = |weight| u32::from(Bf16::from_f32(weight).to_bits());
                    *word = (bits(low) | bits(high) << 16) as i32;
                }
            }
            Precision::Int8 => {
                let greatest = weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs()));
                let scale = greatest / LARGEST_CODE;
                let factor = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                let code = |weight: f32| nearest(weight * factor) as i8;
                for (word, quad) in lines.zip(weights.as_chunks::<4>().0) {
                    *word = i32::from_le_bytes(quad.map(|weight| code(weight) as u8));
                }
                self.scales.as_mut_slice()[column] = scale;
                self.code_sums.as_mut_slice()[column] =
                    weights.iter().map(|&weight| i32::from(code(weight))).sum();
            }
        }
    }

    /// Columns of the product.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Columns of x.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// In what it is packed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Columns of a panel: a product may begin at multiples of this.
    pub fn panel_width(&self) -> usize {
        self.width
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(self.panels.as_slice()) + size_of_val(self.bias.as_slice())
    }

    /// The words of a panel.
    #[inline(always)]
    pub(crate) fn panel(&self, panel: usize) -> &[i32] {
        &self.panels.as_slice()[panel * self.words * self.width..][..self.words * self.width]
    }

    /// What a panel's sums need besides: bias, scales and sums of codes of its columns.
    #[inline(always)]
    pub(crate) fn columns_of(&self, panel: usize) -> PanelColumns<'_> {
        let range = panel * self.width..(panel + 1) * self.width;
        PanelColumns {
            bias: &self.bias.as_slice()[range.clone()],
            scales: self.scales.as_slice().get(range.clone()).unwrap_or(&[]),
            code_sums: self.code_sums.as_slice().get(range).unwrap_or(&[]),
        }
    }
}

/// The nearest whole number, ties to even, of one up to 2^22 in magnitude: numbers beyond 2^23 have no
/// fraction, so that the addition rounds. The library's function is a call where the baseline has no
/// instruction for it.
fn nearest(x: f32) -> f32 {
    const SHIFT: f32 = 1.5 * (1u32 << 23) as f32;
    (x + SHIFT) - SHIFT
}

/// A panel's width of each.
pub(crate) struct PanelColumns<'a> {
    pub(crate) bias: &'a [f32],
    pub(crate) scales: &'a [f32],
    pub(crate) code_sums: &'a [i32],
}

fn zeros<T: crate::aligned::Number>(length: usize) -> AlignedBuffer<T> {
    let mut buffer = AlignedBuffer::default();
    buffer.resize(length);
    buffer
}

struct PanelWidth;

impl Kernel for PanelWidth {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> usize {
        const { assert!(2 * S::F32_LANES <= MOST_WIDTH) };
        2 * S::F32_LANES
    }
}
