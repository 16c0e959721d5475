//! Estimates of a query's similarity to 32 neighbours of a node at a time, from one-bit codes.
//!
//! The code of a neighbour x of node c is the signs s of its rotated residual r = P(x - c) (J. Gao
//! and C. Long, "RaBitQ", SIGMOD 2024; relative to the node as in Y. Gou et al., "SymphonyQG",
//! SIGMOD 2025). All that an estimate needs of the query y = Pq is the sum of `s_i y_i`; the rest
//! depends on the edge alone and is stored as two numbers, an offset and a slope:
//!
//! ```text
//! <y, r> is about |r|^2 <y, s> / <r, s>          similarity = node's + offset + slope * <y, s>
//! ```
//!
//! The sum is looked up: four signs make a code of 4 bits, and a table of 16 bytes holds what each
//! of them contributes, for a query rounded to integers of 6 bits and a sign (F. Andre et al., "Cache
//! locality is not enough: high-performance nearest neighbor search with product quantization fast
//! scan", VLDB 2015). The looked-up sums are integers and exact, so all backends agree on them.

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::row_codec::largest_magnitude;
use crate::simd::{Simd, prefetch, prefetch_second_level};

/// Neighbours in a block: their codes are interleaved for one scan.
pub const NEIGHBOURS_PER_BLOCK: usize = 32;

/// Bytes of a table, and of a block's codes for one table.
const TABLE_BYTES: usize = 16;

/// Coordinates of a vector that one table stands for.
const COORDINATES_PER_TABLE: usize = 4;

/// Coordinates must be a multiple of this, so that no backend has a remainder to handle.
const COORDINATES_UNIT: usize = 64;

/// The greatest absolute value of a rounded query's coordinate: four of them fit a byte.
const QUERY_LIMIT: f32 = 63.0;

/// Steps of a scan whose sums fit 16 bits.
const STEPS: usize = 256;

/// Bytes of the one-bit codes of a block of neighbours.
pub const fn block_code_bytes(coordinates: usize) -> usize {
    coordinates / COORDINATES_PER_TABLE * TABLE_BYTES
}

/// A rotated query as look-up tables.
#[derive(Clone, Debug, Default)]
pub struct ScanTables {
    tables: Vec<u8>,
    /// `<y, s>` is about `scale * sum + shift`, for the sum of what the tables hold.
    scale: f32,
    shift: f32,
}

impl ScanTables {
    /// Makes the tables of a rotated query; the buffer is reused.
    ///
    /// # Panics
    /// The coordinates are not a multiple of 64.
    pub fn prepare(&mut self, backend: Backend, query: &[f32]) {
        assert!(query.len().is_multiple_of(COORDINATES_UNIT));
        backend.dispatch(Prepare { tables: self, query });
    }
}

struct Prepare<'a> {
    tables: &'a mut ScanTables,
    query: &'a [f32],
}

impl Kernel for Prepare<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tables: out, query } = self;
        // Where a number is not finite, neither is any estimate.
        let most = largest_magnitude(simd, query).unwrap_or(f32::NAN);
        let inverse = QUERY_LIMIT / most;
        out.tables.clear();
        // Too small a query is coded as zeros.
        if !(most >= f32::MIN_POSITIVE && inverse.is_finite()) {
            out.tables.resize(query.len() / COORDINATES_PER_TABLE * TABLE_BYTES, 0);
            (out.scale, out.shift) = (2.0 * most / QUERY_LIMIT, 0.0);
            return;
        }
        out.tables.reserve(query.len() / COORDINATES_PER_TABLE * TABLE_BYTES);
        let inverse = simd.f32_splat(inverse);
        let mut total = 0;
        for part in query.as_chunks::<COORDINATES_UNIT>().0 {
            let mut rounded = [0i8; COORDINATES_UNIT];
            let mut at = 0;
            while at < COORDINATES_UNIT {
                // SAFETY: at + F32_LANES <= 64, the elements of both; the product is at most 63.
                unsafe {
                    let y = simd.f32_mul(simd.f32_load(part.as_ptr().add(at)), inverse);
                    simd.f32_store_i8(rounded.as_mut_ptr().add(at).cast(), simd.f32_round(y));
                }
                at += S::F32_LANES;
            }
            for group in rounded.as_chunks::<COORDINATES_PER_TABLE>().0 {
                // An entry is the sum over the set bits, less the sum of all negative coordinates:
                // so a positive coordinate counts where its bit is set, a negative one where it is
                // not.
                let (mut low, mut high) = (0u64, 0u64);
                for (bit, &code) in group.iter().enumerate() {
                    let magnitude = u64::from(code.unsigned_abs());
                    let (set_low, set_high) = BIT_IS_SET[bit];
                    // All ones for a negative coordinate: exchanges what is set and what is not.
                    let exchange = ALL_BYTES * u64::from(code < 0);
                    low += magnitude * (set_low ^ exchange);
                    high += magnitude * (set_high ^ exchange);
                    total += u32::from(code.unsigned_abs());
                }
                out.tables.extend_from_slice(&low.to_le_bytes());
                out.tables.extend_from_slice(&high.to_le_bytes());
            }
        }
        let step = most / QUERY_LIMIT;
        out.scale = 2.0 * step;
        out.shift = -step * total as f32;
    }
}

const ALL_BYTES: u64 = 0x0101_0101_0101_0101;

/// For each of four bits, a 1 in each of the 16 bytes whose number has that bit.
const BIT_IS_SET: [(u64, u64); 4] = [
    (0x0100_0100_0100_0100, 0x0100_0100_0100_0100),
    (0x0101_0000_0101_0000, 0x0101_0000_0101_0000),
    (0x0101_0101_0000_0000, 0x0101_0101_0000_0000),
    (0, ALL_BYTES),
];

/// The codes and factors of 32 neighbours, as they lie in a node's record.
#[derive(Clone, Copy, Debug)]
pub struct NeighbourBlock<'a> {
    /// [`block_code_bytes`] of codes.
    pub codes: &'a [u8],
    /// The neighbours' offsets, as multiples of `offset_scale`: 32 little-endian 16-bit integers.
    pub offsets: &'a [u8; 2 * NEIGHBOURS_PER_BLOCK],
    /// The neighbours' slopes, as multiples of `slope_scale`: 32 little-endian 16-bit integers.
    pub slopes: &'a [u8; 2 * NEIGHBOURS_PER_BLOCK],
    /// The unit of the offsets.
    pub offset_scale: f32,
    /// The unit of the slopes.
    pub slope_scale: f32,
}

/// What a residual contributes to an edge's factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResidualSums {
    /// `|r|^2`
    pub squared_norm: f32,
    /// `<r, s>`, the sum of absolute values.
    pub absolute: f32,
    /// `<c, s>` for the node c.
    pub node_and_signs: f32,
}

impl Backend {
    /// Estimates the similarities of a block's neighbours into `out` and returns the set of those
    /// above `threshold`, neighbour i in bit i. `base` is the node's own similarity.
    ///
    /// # Panics
    /// The codes are not of the tables' size.
    #[inline]
    pub fn estimate_neighbours(
        self,
        tables: &ScanTables,
        block: &NeighbourBlock<'_>,
        base: f32,
        threshold: f32,
        out: &mut [f32; NEIGHBOURS_PER_BLOCK],
    ) -> u32 {
        self.dispatch(Estimate { tables, block, base, threshold, out })
    }

    /// Codes the signs of `neighbour - node` as neighbour number `index` of a block, whose codes
    /// must be zero where nothing was coded yet. Both vectors are rotated. The sums over the first
    /// `coded` coordinates are `absolute` and `node_and_signs`, that over all is `squared_norm`.
    ///
    /// # Panics
    /// The vectors differ in length or are shorter than `coded`, which is not a multiple of 64 or
    /// does not fit the codes; or the index is not below 32.
    pub fn encode_neighbour(
        self,
        node: &[f32],
        neighbour: &[f32],
        coded: usize,
        index: usize,
        codes: &mut [u8],
    ) -> ResidualSums {
        self.dispatch(Encode { node, neighbour, coded, index, codes })
    }
}

impl Backend {
    /// Hints that `bytes`, a few hundred, will be read next.
    #[inline]
    pub fn prefetch_near(self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            prefetch(bytes.as_ptr().wrapping_add(at));
            at += LINE;
        }
        // Where the first byte is not the first of a line, the last one is in one more.
        if let Some(last) = bytes.last() {
            prefetch(last);
        }
    }

    /// Hints that `bytes`, a few kilobytes, will be read soon. They come as far as the second-level
    /// cache: the first one takes so few requests at a time that the hints would wait for memory.
    #[inline]
    pub fn prefetch(self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            prefetch_second_level(bytes.as_ptr().wrapping_add(at));
            at += LINE;
        }
    }
}

/// Bytes of a line of a cache.
const LINE: usize = 64;

struct Estimate<'a> {
    tables: &'a ScanTables,
    block: &'a NeighbourBlock<'a>,
    base: f32,
    threshold: f32,
    out: &'a mut [f32; NEIGHBOURS_PER_BLOCK],
}

impl Kernel for Estimate<'_> {
    type Output = u32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u32 {
        let length = self.tables.tables.len();
        let block = self.block;
        assert_eq!(block.codes.len(), length, "codes of another size");
        let (codes, tables) = (block.codes.as_ptr(), self.tables.tables.as_ptr());
        self.out.fill(0.0);
        let mut at = 0;
        while at < length {
            let end = length.min(at + STEPS * S::SCAN_STEP);
            let mut sums = simd.scan_zero();
            while at < end {
                // SAFETY: the length is a multiple of 256 bytes (of 64 coordinates), hence of the
                // step, so at + SCAN_STEP <= length, the length of codes and tables.
                sums = unsafe { simd.scan_step(codes.add(at), tables.add(at), sums) };
                at += S::SCAN_STEP;
            }
            // SAFETY: `out` has 32 elements.
            unsafe { simd.scan_add_to(sums, self.out.as_mut_ptr()) };
        }
        let base = simd.f32_splat(self.base);
        let threshold = simd.f32_splat(self.threshold);
        let offset_scale = simd.f32_splat(block.offset_scale);
        // slope_scale * slope * (scale * sum + shift), with what is common multiplied once.
        let scale = simd.f32_splat(block.slope_scale * self.tables.scale);
        let shift = simd.f32_splat(block.slope_scale * self.tables.shift);
        let mut above = 0;
        let mut lane = 0;
        while lane < NEIGHBOURS_PER_BLOCK {
            // SAFETY: lane + F32_LANES <= 32, the elements of `out`, of the offsets and the slopes.
            unsafe {
                let out = self.out.as_mut_ptr().add(lane);
                let offset = simd.f32_load_i16(block.offsets.as_ptr().add(2 * lane));
                let slope = simd.f32_load_i16(block.slopes.as_ptr().add(2 * lane));
                let signed = simd.f32_mul_add(simd.f32_load(out), scale, shift);
                let estimate = simd.f32_mul_add(offset, offset_scale, base);
                let estimate = simd.f32_mul_add(slope, signed, estimate);
                simd.f32_store(out, estimate);
                above |= simd.f32_greater(estimate, threshold) << lane;
            }
            lane += S::F32_LANES;
        }
        above
    }
}

struct Encode<'a> {
    node: &'a [f32],
    neighbour: &'a [f32],
    coded: usize,
    index: usize,
    codes: &'a mut [u8],
}

impl Kernel for Encode<'_> {
    type Output = ResidualSums;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> ResidualSums {
        let length = self.node.len();
        assert_eq!(self.neighbour.len(), length);
        assert!(self.coded <= length && length.is_multiple_of(COORDINATES_UNIT));
        assert!(self.coded.is_multiple_of(COORDINATES_UNIT));
        assert_eq!(self.codes.len(), block_code_bytes(self.coded));
        assert!(self.index < NEIGHBOURS_PER_BLOCK);
        let shift = self.index / TABLE_BYTES * COORDINATES_PER_TABLE;
        let column = self.index % TABLE_BYTES;
        let one = simd.f32_splat(1.0);
        let mut squares = simd.f32_splat(0.0);
        let mut absolutes = simd.f32_splat(0.0);
        let mut products = simd.f32_splat(0.0);
        let mut at = 0;
        while at < length {
            // SAFETY: the length is a multiple of 64, hence of the lanes, of both vectors.
            let (c, x) = unsafe {
                (
                    simd.f32_load(self.node.as_ptr().add(at)),
                    simd.f32_load(self.neighbour.as_ptr().add(at)),
                )
            };
            let r = simd.f32_sub(x, c);
            squares = simd.f32_mul_add(r, r, squares);
            if at < self.coded {
                let sign = simd.f32_copysign(one, r);
                absolutes = simd.f32_mul_add(r, sign, absolutes);
                products = simd.f32_mul_add(c, sign, products);
                let mut positive = !simd.f32_sign_bits(r);
                let mut table = at / COORDINATES_PER_TABLE;
                while table < (at + S::F32_LANES) / COORDINATES_PER_TABLE {
                    self.codes[table * TABLE_BYTES + column] |= ((positive & 15) as u8) << shift;
                    positive >>= COORDINATES_PER_TABLE;
                    table += 1;
                }
            }
            at += S::F32_LANES;
        }
        ResidualSums {
            squared_norm: simd.f32_sum(squares),
            absolute: simd.f32_sum(absolutes),
            node_and_signs: simd.f32_sum(products),
        }
    }
}
