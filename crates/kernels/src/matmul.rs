//! Matrix products with a packed right-hand side.
//!
//! `out = activation(x * w + bias)` for x of m rows. The right-hand side is packed once into
//! panels of two vectors' width, cut into blocks of the depth, so that the innermost loop reads it
//! front to back from the first-level cache; x is read as it lies. The innermost loop is a tile of
//! `TILE_ROWS` x 2 vectors whose sums stay in registers.
//!
//! Every element of the product is one chain of multiply-adds in the order of the depth, whatever
//! tile it falls into. So a row of the product depends on its own row of x alone, to the last bit:
//! an encoder built on this gives a text the same vector in any batch.

use crate::activation::Activation;
use crate::aligned::AlignedBuffer;
use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::simd::Simd;

/// Depth of a block: a panel of it (256 x 16 floats on AVX2) and the tile's rows of x share a
/// first-level cache of 32 KiB.
const DEPTH_BLOCK: usize = 256;
/// Rows of x that are multiplied with all panels before the next: they stay in the second-level
/// cache (192 x 256 floats are 192 KiB).
const ROW_BLOCK: usize = 192;

/// A read-only matrix inside a larger buffer.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    count: usize,
    columns: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// `count` rows of `columns` elements, `stride` elements apart, from the start of `data`.
    ///
    /// # Panics
    /// `data` ends before the last row does, or rows overlap.
    pub fn new(data: &'a [f32], count: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride, "rows must not overlap");
        assert!(count == 0 || data.len() >= (count - 1) * stride + columns, "data is too short");
        Rows { data, count, columns, stride }
    }
}

/// Where a product goes: rows inside a larger buffer.
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    count: usize,
    columns: usize,
    stride: usize,
}

impl<'a> RowsMut<'a> {
    /// As [`Rows::new`].
    ///
    /// # Panics
    /// As [`Rows::new`].
    pub fn new(data: &'a mut [f32], count: usize, columns: usize, stride: usize) -> Self {
        Rows::new(data, count, columns, stride);
        RowsMut { data, count, columns, stride }
    }
}

/// A right-hand side, packed for one backend; reusable as a buffer for the next.
pub struct PackedMatrix {
    backend: Backend,
    depth: usize,
    columns: usize,
    panel_width: usize,
    panels: AlignedBuffer,
}

impl PackedMatrix {
    /// An empty matrix (0 x 0) to pack into.
    pub fn new(backend: Backend) -> Self {
        let panel_width = backend.dispatch(PanelWidth);
        PackedMatrix {
            backend,
            depth: 0,
            columns: 0,
            panel_width,
            panels: AlignedBuffer::default(),
        }
    }

    /// Packs the transpose of `w`: each row of `w` becomes a column. Linear layers store their
    /// weights this way (outputs x inputs), and the keys of an attention head are used this way.
    pub fn pack_transposed(&mut self, w: Rows<'_>) {
        self.resize(w.columns, w.count);
        let (width, depth) = (self.panel_width, self.depth);
        for panel in 0..self.panel_count() {
            let first = panel * width;
            for column in 0..width.min(self.columns - first) {
                let row = &w.data[(first + column) * w.stride..][..depth];
                for (block, values) in row.chunks(DEPTH_BLOCK).enumerate() {
                    let offset = self.offset(block * DEPTH_BLOCK, values.len(), panel);
                    let packed = &mut self.panels.as_mut_slice()[offset..][..values.len() * width];
                    for (line, &value) in packed.chunks_exact_mut(width).zip(values) {
                        line[column] = value;
                    }
                }
            }
        }
    }

    /// Packs `w` as it is: as many rows as the product is deep. The values of an attention head
    /// are used this way.
    pub fn pack(&mut self, w: Rows<'_>) {
        self.resize(w.count, w.columns);
        let width = self.panel_width;
        for k in 0..self.depth {
            let block_start = k / DEPTH_BLOCK * DEPTH_BLOCK;
            let block_depth = DEPTH_BLOCK.min(self.depth - block_start);
            let row = &w.data[k * w.stride..][..w.columns];
            for (panel, values) in row.chunks(width).enumerate() {
                let offset =
                    self.offset(block_start, block_depth, panel) + (k - block_start) * width;
                self.panels.as_mut_slice()[offset..][..values.len()].copy_from_slice(values);
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

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(self.panels.as_slice())
    }

    fn panel_count(&self) -> usize {
        self.columns.div_ceil(self.panel_width)
    }

    /// Panels of a depth block lie next to each other, blocks follow each other.
    fn offset(&self, block_start: usize, block_depth: usize, panel: usize) -> usize {
        (block_start * self.panel_count() + panel * block_depth) * self.panel_width
    }

    fn resize(&mut self, depth: usize, columns: usize) {
        (self.depth, self.columns) = (depth, columns);
        // Zeroes the columns that fill up the last panel, too.
        self.panels.reset(depth * self.panel_count() * self.panel_width);
    }
}

struct PanelWidth;

impl Kernel for PanelWidth {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> usize {
        2 * S::F32_LANES
    }
}

/// `out = activation(x * w + bias)`, on the backend that packed `w`; no bias means zeros.
///
/// # Panics
/// The shapes do not fit each other.
pub fn matmul(
    x: Rows<'_>,
    w: &PackedMatrix,
    bias: Option<&[f32]>,
    activation: Activation,
    out: RowsMut<'_>,
) {
    assert_eq!(x.columns, w.depth, "x must have as many columns as w is deep");
    assert_eq!(
        (out.count, out.columns),
        (x.count, w.columns),
        "out must be of the product's shape"
    );
    assert!(bias.is_none_or(|bias| bias.len() == w.columns), "bias must have a value a column");
    if x.count == 0 || w.columns == 0 {
        return;
    }
    w.backend.dispatch(Matmul { x, w, bias, activation, out });
}

struct Matmul<'a> {
    x: Rows<'a>,
    w: &'a PackedMatrix,
    bias: Option<&'a [f32]>,
    activation: Activation,
    out: RowsMut<'a>,
}

impl Kernel for Matmul<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Matmul { x, w, bias, activation, out } = self;
        let width = 2 * S::F32_LANES;
        assert_eq!(width, w.panel_width);
        let mut row_start = 0;
        while row_start < x.count {
            let row_end = (row_start + ROW_BLOCK).min(x.count);
            let mut depth_start = 0;
            loop {
                let depth = DEPTH_BLOCK.min(w.depth - depth_start);
                let last = depth_start + depth == w.depth;
                let mut panel = 0;
                while panel < w.panel_count() {
                    let column = panel * width;
                    let columns = width.min(w.columns - column);
                    let offset = w.offset(depth_start, depth, panel);
                    let weights = &w.panels.as_slice()[offset..][..depth * width];
                    let start = match (depth_start, bias) {
                        (0, Some(bias)) => TileStart::Bias(&bias[column..][..columns]),
                        (0, None) => TileStart::Zero,
                        _ => TileStart::Out,
                    };
                    let finish = if last { activation } else { Activation::Identity };
                    let mut row = row_start;
                    while row < row_end {
                        let rows = S::TILE_ROWS.min(row_end - row);
                        let tile = Tile {
                            x: &x.data[row * x.stride + depth_start..],
                            x_stride: x.stride,
                            weights,
                            depth,
                            out: &mut out.data[row * out.stride + column..],
                            out_stride: out.stride,
                            columns,
                            start,
                            finish,
                        };
                        tile.multiply(simd, rows);
                        row += rows;
                    }
                    panel += 1;
                }
                depth_start += depth;
                if last {
                    break;
                }
            }
            row_start = row_end;
        }
    }
}

/// What the sums of a tile start from.
#[derive(Clone, Copy)]
enum TileStart<'a> {
    Zero,
    Bias(&'a [f32]),
    Out,
}

/// Up to `TILE_ROWS` rows times one block of one panel.
struct Tile<'a> {
    x: &'a [f32],
    x_stride: usize,
    weights: &'a [f32],
    depth: usize,
    out: &'a mut [f32],
    out_stride: usize,
    columns: usize,
    start: TileStart<'a>,
    finish: Activation,
}

impl Tile<'_> {
    #[inline(always)]
    fn multiply<S: Simd>(self, simd: S, rows: usize) {
        macro_rules! with_constant_rows {
            ($($count:literal)*) => {
                match rows {
                    $($count => if $count <= S::TILE_ROWS { self.multiply_rows::<S, $count>(simd) },)*
                    _ => unreachable!("no backend has taller tiles"),
                }
            };
        }
        with_constant_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    #[inline(always)]
    fn multiply_rows<S: Simd, const ROWS: usize>(self, simd: S) {
        let lanes = S::F32_LANES;
        let width = 2 * lanes;
        assert!(self.x.len() >= (ROWS - 1) * self.x_stride + self.depth);
        assert!(self.out.len() >= (ROWS - 1) * self.out_stride + self.columns);
        assert!(self.weights.len() >= self.depth * width && self.columns <= width);

        let mut sums = [[simd.f32_splat(0.0); 2]; ROWS];
        match self.start {
            TileStart::Zero => {}
            TileStart::Bias(bias) => {
                let loaded = load_columns(simd, bias);
                let mut row = 0;
                while row < ROWS {
                    sums[row] = loaded;
                    row += 1;
                }
            }
            TileStart::Out => {
                let mut row = 0;
                while row < ROWS {
                    let from = row * self.out_stride;
                    sums[row] = load_columns(simd, &self.out[from..from + self.columns]);
                    row += 1;
                }
            }
        }

        let mut weights = self.weights.as_ptr();
        let x = self.x.as_ptr();
        let mut k = 0;
        while k < self.depth {
            // SAFETY: k < depth, and the assertions above: the panel holds depth lines of two
            // vectors, and x holds depth elements from every row's start on.
            unsafe {
                let left = simd.f32_load(weights);
                let right = simd.f32_load(weights.add(lanes));
                let mut row = 0;
                while row < ROWS {
                    let factor = simd.f32_splat(*x.add(row * self.x_stride + k));
                    sums[row][0] = simd.f32_mul_add(factor, left, sums[row][0]);
                    sums[row][1] = simd.f32_mul_add(factor, right, sums[row][1]);
                    row += 1;
                }
                weights = weights.add(width);
            }
            k += 1;
        }

        let mut row = 0;
        while row < ROWS {
            let finished =
                [self.finish.apply(simd, sums[row][0]), self.finish.apply(simd, sums[row][1])];
            let to = row * self.out_stride;
            store_columns(simd, &mut self.out[to..to + self.columns], finished);
            row += 1;
        }
    }
}

/// Widest panel of any backend.
const MOST_COLUMNS: usize = 32;

/// Two vectors from up to two vectors' worth of columns, zeros behind.
#[inline(always)]
fn load_columns<S: Simd>(simd: S, from: &[f32]) -> [S::F32; 2] {
    let lanes = S::F32_LANES;
    let mut buffer = [0.0; MOST_COLUMNS];
    let start = if from.len() == 2 * lanes {
        from.as_ptr()
    } else {
        buffer[..from.len()].copy_from_slice(from);
        buffer.as_ptr()
    };
    // SAFETY: `start` has two vectors: the slice was that long, or it is the buffer of
    // MOST_COLUMNS >= 2 * F32_LANES.
    unsafe { [simd.f32_load(start), simd.f32_load(start.add(lanes))] }
}

/// The first `to.len()` columns of two vectors.
#[inline(always)]
fn store_columns<S: Simd>(simd: S, to: &mut [f32], values: [S::F32; 2]) {
    let lanes = S::F32_LANES;
    let mut buffer = [0.0; MOST_COLUMNS];
    let whole = to.len() == 2 * lanes;
    let start = if whole { to.as_mut_ptr() } else { buffer.as_mut_ptr() };
    // SAFETY: as in `load_columns`.
    unsafe {
        simd.f32_store(start, values[0]);
        simd.f32_store(start.add(lanes), values[1]);
    }
    if !whole {
        let length = to.len();
        to.copy_from_slice(&buffer[..length]);
    }
}
