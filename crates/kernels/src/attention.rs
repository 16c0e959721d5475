//! Multi-head self-attention over the tokens of one text.
//!
//! For each head, keys and values are packed once as the right-hand sides of two products. Then a
//! tile's worth of queries at a time has its scores computed, turned into weights, and multiplied
//! with the values, all within the first-level cache: the matrix of all scores never exists.

use crate::aligned::AlignedBuffer;
use crate::backend::Backend;
use crate::elementary::exp;
use crate::matmul::{
    Format, MOST_ROWS, Precision, Rows, RowsMut, Sums, WordKernel, multiply_tile, store_bf16,
    store_f32, tile_rows,
};
use crate::narrow::Bf16;
use crate::simd::words::Words;

/// Queries, keys and values of a text, and where the heads' results go.
pub enum Projections<'a> {
    /// `f32` throughout.
    F32(Rows<'a, f32>, RowsMut<'a, f32>),
    /// Products of bf16; scores and sums are `f32`. Where a CPU has no instruction for that, the weights
    /// of the values are not rounded.
    Bf16(Rows<'a, Bf16>, RowsMut<'a, Bf16>),
}

/// Numbers added to the scores that depend on how far a key is from its query.
#[derive(Clone, Copy)]
pub struct RelativeBias<'a> {
    /// A row a head of `2 * longest - 1` numbers: that of key j for query i is at
    /// `j + longest - 1 - i`.
    pub table: &'a [f32],
    /// The most tokens of a text that the table has numbers for.
    pub longest: usize,
}

/// Buffers of an attention, reused by the next.
#[derive(Default)]
pub struct AttentionWorkspace {
    keys: AlignedBuffer<i32>,
    values: AlignedBuffer<i32>,
    scores: AlignedBuffer<f32>,
    weights: AlignedBuffer<Bf16>,
    /// A head's queries, keys and values, where bf16 is multiplied as `f32`.
    widened: AlignedBuffer<f32>,
}

impl Backend {
    /// `softmax(Q K^T / sqrt(size) + bias) V` for the heads from `first_head` on that the output has
    /// room for. The projections have `3 * heads * size` columns: all queries, all keys, all values,
    /// head after head. The output has `size` columns a head.
    ///
    /// # Panics
    /// The shapes do not fit each other; in bf16, `size` is odd.
    pub fn attend(
        self,
        projections: Projections<'_>,
        heads: usize,
        first_head: usize,
        bias: Option<RelativeBias<'_>>,
        workspace: &mut AttentionWorkspace,
    ) {
        let (precision, columns, tokens, (out_count, out_columns)) = match &projections {
            Projections::F32(x, out) => {
                (Precision::F32, x.columns, x.count, (out.count(), out.columns()))
            }
            Projections::Bf16(x, out) => {
                (Precision::Bf16, x.columns, x.count, (out.count(), out.columns()))
            }
        };
        assert!(columns.is_multiple_of(3 * heads), "queries, keys and values of {heads} heads");
        let size = columns / (3 * heads);
        assert!(
            size > 0 && size.is_multiple_of(precision.per_word()),
            "heads must be of whole words"
        );
        assert!(out_columns.is_multiple_of(size) && out_count == tokens, "out must fit the heads");
        let count = out_columns / size;
        assert!(first_head + count <= heads, "there are only {heads} heads");
        if let Some(bias) = bias {
            assert!(tokens <= bias.longest, "the bias is for texts of {} tokens", bias.longest);
            assert_eq!(bias.table.len(), heads * (2 * bias.longest - 1), "a row of bias a head");
        }
        if tokens > 0 {
            let range = first_head..first_head + count;
            let attend = Attend { projections, heads, size, range, bias, workspace };
            self.dispatch_words(precision, attend);
        }
    }
}

struct Attend<'a> {
    projections: Projections<'a>,
    heads: usize,
    size: usize,
    range: std::ops::Range<usize>,
    bias: Option<RelativeBias<'a>>,
    workspace: &'a mut AttentionWorkspace,
}

impl WordKernel for Attend<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Words, F: Format<S>>(self, simd: S, format: F) {
        let Attend { projections, heads, size, range, bias, workspace } = self;
        match projections {
            Projections::F32(x, mut out) => {
                for (place, head) in range.enumerate() {
                    let head = Head::of(x, heads, head, size, bias);
                    head.pack_keys::<S>(workspace);
                    head.pack_single_values::<S>(workspace);
                    head.attend(simd, format, workspace, |row, at, length, value, _| {
                        let to = out.part(row, place * size + at, length);
                        store_f32(simd, to, value);
                    });
                }
            }
            Projections::Bf16(x, mut out) => {
                if F::WORDS > 1 {
                    let mut widened = std::mem::take(&mut workspace.widened);
                    for (place, head) in range.enumerate() {
                        let head = Head::of(x, heads, head, size, bias).widen(&mut widened);
                        head.pack_keys::<S>(workspace);
                        head.pack_single_values::<S>(workspace);
                        let wide = format.wide();
                        head.attend(simd, wide, workspace, |row, at, length, value, format| {
                            let to = out.part(row, place * size + at, length);
                            store_bf16(simd, format, to, value);
                        });
                    }
                    workspace.widened = widened;
                    return;
                }
                for (place, head) in range.enumerate() {
                    let head = Head::of(x, heads, head, size, bias);
                    head.pack_keys::<S>(workspace);
                    head.pack_paired_values::<S>(workspace);
                    head.attend(simd, format, workspace, |row, at, length, value, format| {
                        let to = out.part(row, place * size + at, length);
                        store_bf16(simd, format, to, value);
                    });
                }
            }
        }
    }
}

/// One head of a text.
struct Head<'a, T> {
    queries: Rows<'a, T>,
    keys: Rows<'a, T>,
    values: Rows<'a, T>,
    tokens: usize,
    size: usize,
    /// The head's row of the bias, from the entry of the last query and the first key on.
    bias: Option<(&'a [f32], usize)>,
}

impl<'a, T: Copy> Head<'a, T> {
    #[inline(always)]
    fn of(
        x: Rows<'a, T>,
        heads: usize,
        head: usize,
        size: usize,
        bias: Option<RelativeBias<'a>>,
    ) -> Self {
        let part = |which: usize| {
            let from = (which * heads + head) * size;
            Rows { data: &x.data[from..], columns: size, ..x }
        };
        let bias = bias.map(|bias| {
            let row = 2 * bias.longest - 1;
            (&bias.table[head * row..][..row], bias.longest)
        });
        Head { queries: part(0), keys: part(1), values: part(2), tokens: x.count, size, bias }
    }

    /// Words of a query.
    #[inline(always)]
    fn words(&self) -> usize {
        self.size * size_of::<T>() / 4
    }

    /// Keys become the columns of panels: word after word, a line with that word of each key.
    #[inline(always)]
    fn pack_keys<S: Words>(&self, workspace: &mut AttentionWorkspace) {
        let (width, words) = (2 * S::F32_LANES, self.words());
        let panels = self.tokens.div_ceil(width);
        workspace.keys.resize(panels * width * words);
        let packed = workspace.keys.as_mut_slice();
        for (panel, packed) in packed.chunks_exact_mut(width * words).enumerate() {
            let keys = width.min(self.tokens - panel * width);
            for key in 0..keys {
                let row = &self.keys.data[(panel * width + key) * self.keys.stride..][..self.size];
                for word in 0..words {
                    // SAFETY: a row has `words` words.
                    let value = unsafe { row.as_ptr().cast::<i32>().add(word).read_unaligned() };
                    packed[word * width + key] = value;
                }
            }
            // What an earlier text left there could be NaN; its scores are not used, but slow.
            for line in packed.chunks_exact_mut(width) {
                line[keys..].fill(0);
            }
        }
    }

    /// Scores, weights and the weighted sums of values, a tile of queries at a time; `store` is
    /// given the row, the first column, how many columns, and the numbers.
    #[inline(always)]
    fn attend<S: Words, F: Format<S>>(
        &self,
        simd: S,
        format: F,
        workspace: &mut AttentionWorkspace,
        mut store: impl FnMut(usize, usize, usize, S::F32, F),
    ) {
        let (lanes, width, words) = (S::F32_LANES, 2 * S::F32_LANES, self.words());
        let padded = self.tokens.next_multiple_of(width);
        let value_words = self.tokens.div_ceil(4 / size_of::<T>());
        let AttentionWorkspace { keys, values, scores, weights, .. } = workspace;
        scores.resize(MOST_ROWS * padded);
        weights.resize(MOST_ROWS * padded);
        let (scores, weights) = (scores.as_mut_slice(), weights.as_mut_slice());
        let narrow = size_of::<T>() == 2;
        let scale = simd.f32_splat(1.0 / (self.size as f32).sqrt());
        let mut sums = Sums::new();
        let mut factors = [0.0f32; MOST_ROWS];
        let mut query = 0;
        while query < self.tokens {
            let rows = tile_rows::<S>(self.tokens - query);
            let queries = &self.queries.data[query * self.queries.stride..];
            assert!(queries.len() >= (rows - 1) * self.queries.stride + self.size);
            let stride = self.queries.stride * size_of::<T>();
            for (panel, packed) in keys.as_slice().chunks_exact(width * words).enumerate() {
                // SAFETY: the assertion above, and the panel's length.
                unsafe {
                    let from = queries.as_ptr().cast();
                    multiply_tile(
                        simd,
                        format,
                        rows,
                        from,
                        stride,
                        packed.as_ptr(),
                        words,
                        None,
                        &mut sums,
                    );
                }
                for (row, sums) in sums.0.chunks_exact(width).take(rows).enumerate() {
                    let to = &mut scores[row * padded + panel * width..][..width];
                    for half in [0, lanes] {
                        // SAFETY: both slices have two vectors.
                        unsafe {
                            let score = simd.as_f32(simd.load(sums.as_ptr().add(half)));
                            let scaled = simd.f32_mul(score, scale);
                            simd.f32_store(to.as_mut_ptr().add(half), scaled);
                        }
                    }
                }
            }
            for row in 0..rows {
                let scores = &mut scores[row * padded..][..padded];
                if let Some((bias, longest)) = self.bias {
                    let first = longest - 1 - (query + row);
                    for (score, bias) in scores[..self.tokens].iter_mut().zip(&bias[first..]) {
                        *score += bias;
                    }
                }
                scores[self.tokens..].fill(f32::NEG_INFINITY);
                let weights = narrow.then_some(&mut weights[row * padded..][..padded]);
                factors[row] = 1.0 / exponentials(simd, format, scores, weights);
            }
            let (from, stride) = if narrow {
                (weights.as_ptr().cast::<u8>(), padded * 2)
            } else {
                (scores.as_ptr().cast::<u8>(), padded * 4)
            };
            let panels = values.as_slice().chunks_exact(width * value_words);
            for (panel, packed) in panels.enumerate() {
                // SAFETY: each of the rows has `padded` weights, no fewer than the values; the
                // panel has value_words lines.
                unsafe {
                    let packed = packed.as_ptr();
                    multiply_tile(
                        simd,
                        format,
                        rows,
                        from,
                        stride,
                        packed,
                        value_words,
                        None,
                        &mut sums,
                    );
                }
                for (row, sums) in sums.0.chunks_exact(width).take(rows).enumerate() {
                    let factor = simd.f32_splat(factors[row]);
                    for half in [0, lanes] {
                        let column = panel * width + half;
                        if column < self.size {
                            // SAFETY: the slice has two vectors.
                            let sum = unsafe { simd.load(sums.as_ptr().add(half)) };
                            let value = simd.f32_mul(simd.as_f32(sum), factor);
                            let length = lanes.min(self.size - column);
                            store(query + row, column, length, value, format);
                        }
                    }
                }
            }
            query += rows;
        }
    }
}

impl Head<'_, f32> {
    /// Values are the rows of panels as they are.
    #[inline(always)]
    fn pack_single_values<S: Words>(&self, workspace: &mut AttentionWorkspace) {
        let width = 2 * S::F32_LANES;
        let panels = self.size.div_ceil(width);
        workspace.values.resize(panels * width * self.tokens);
        let packed = workspace.values.as_mut_slice();
        for (panel, packed) in packed.chunks_exact_mut(width * self.tokens).enumerate() {
            let columns = width.min(self.size - panel * width);
            for (token, line) in packed.chunks_exact_mut(width).enumerate() {
                let row = &self.values.data[token * self.values.stride + panel * width..];
                for (word, value) in line.iter_mut().zip(&row[..columns]) {
                    *word = value.to_bits() as i32;
                }
                line[columns..].fill(0);
            }
        }
    }
}

impl<'a> Head<'a, Bf16> {
    /// The same numbers as `f32`.
    #[inline(always)]
    fn widen<'b>(&self, buffer: &'b mut AlignedBuffer<f32>) -> Head<'b, f32>
    where
        'a: 'b,
    {
        let Head { queries, keys, values, tokens, size, bias } = *self;
        buffer.resize(3 * tokens * size);
        let mut rows = buffer.as_mut_slice().chunks_exact_mut(size);
        for part in [queries, keys, values] {
            for (token, to) in (0..tokens).zip(&mut rows) {
                let from = &part.data[token * part.stride..][..size];
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32());
            }
        }
        let part = |which: usize| {
            let data = &buffer.as_slice()[which * tokens * size..];
            Rows { data, count: tokens, columns: size, stride: size }
        };
        Head { queries: part(0), keys: part(1), values: part(2), tokens, size, bias }
    }

    /// A line of words holds the values of two tokens.
    #[inline(always)]
    fn pack_paired_values<S: Words>(&self, workspace: &mut AttentionWorkspace) {
        let width = 2 * S::F32_LANES;
        let panels = self.size.div_ceil(width);
        let pairs = self.tokens.div_ceil(2);
        workspace.values.resize(panels * width * pairs);
        let packed = workspace.values.as_mut_slice();
        for (panel, packed) in packed.chunks_exact_mut(width * pairs).enumerate() {
            let columns = width.min(self.size - panel * width);
            let row = |token: usize| {
                &self.values.data[token * self.values.stride + panel * width..][..columns]
            };
            let bits = |value: &Bf16| u32::from(value.to_bits());
            for (pair, line) in packed.chunks_exact_mut(width).enumerate() {
                let low = row(2 * pair);
                if 2 * pair + 1 < self.tokens {
                    let high = row(2 * pair + 1);
                    for ((word, low), high) in line.iter_mut().zip(low).zip(high) {
                        *word = (bits(low) | bits(high) << 16) as i32;
                    }
                } else {
                    for (word, low) in line.iter_mut().zip(low) {
                        *word = bits(low) as i32;
                    }
                }
                line[columns..].fill(0);
            }
        }
    }
}

/// Replaces scores, whole vectors of them, by `e^(score - greatest)`, rounded to bf16 in `narrow` if
/// there is one; their sum.
#[inline(always)]
fn exponentials<S: Words, F: Format<S>>(
    simd: S,
    format: F,
    scores: &mut [f32],
    mut narrow: Option<&mut [Bf16]>,
) -> f32 {
    let lanes = S::F32_LANES;
    let mut greatest = simd.f32_splat(f32::NEG_INFINITY);
    for vector in scores.chunks_exact(lanes) {
        // SAFETY: the slice has a vector's length.
        greatest = simd.f32_max(greatest, unsafe { simd.f32_load(vector.as_ptr()) });
    }
    let shift = simd.f32_splat(simd.f32_maximum(greatest));
    let mut sum = simd.f32_splat(0.0);
    for (index, vector) in scores.chunks_exact_mut(lanes).enumerate() {
        // SAFETY: the slice has a vector's length.
        let score = unsafe { simd.f32_load(vector.as_ptr()) };
        // Minus infinity in the filling gives e^-87, about 1e-38: nothing in the sum.
        let power = exp(simd, simd.f32_sub(score, shift));
        sum = simd.f32_add(sum, power);
        match &mut narrow {
            Some(narrow) => {
                store_bf16(simd, format, &mut narrow[index * lanes..][..lanes], power);
            }
            // SAFETY: the slice has a vector's length.
            None => unsafe { simd.f32_store(vector.as_mut_ptr(), power) },
        }
    }
    simd.f32_sum(sum)
}
