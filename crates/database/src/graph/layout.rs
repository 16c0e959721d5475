//! Where things are in a graph's region of a file. `docs/file-format.md` describes the same bytes.

use kernels::{ElementType, NEIGHBOURS_PER_BLOCK, NeighbourBlock, Rotation, block_code_bytes};

use super::edges::Scales;
use crate::schema::Metric;

/// First bytes of a graph's region.
pub const GRAPH_MAGIC: [u8; 8] = *b"RACGRPH\n";

/// The version of the region that this build writes, and the newest that it reads.
pub const GRAPH_VERSION: u32 = 1;

/// The region, and the records in it, start at multiples of this.
pub const PAGE_BYTES: usize = 4096;

/// Bytes of the header that have a meaning; zeros follow up to the end of the page.
pub const GRAPH_HEADER_BYTES: usize = 60;

/// Bytes of a record before its first block.
pub const RECORD_FIXED_BYTES: usize = 16;

/// Bytes of a block before its codes: neighbours, offsets, slopes.
pub const BLOCK_FIXED_BYTES: usize = NEIGHBOURS_PER_BLOCK * (4 + 2 + 2);

/// Where in a record its checksum is.
pub const RECORD_CHECKSUM_OFFSET: usize = 12;

/// Records start at multiples of this from the first.
pub const RECORD_ALIGNMENT: usize = 16;

/// Codes have a multiple of so many bits.
pub const CODE_UNIT: usize = 64;

/// The most rows of a graph: two bits of a row number are used while it is searched.
pub const MAX_GRAPH_ROWS: u32 = 1 << 30;

/// The longest vectors.
pub const MAX_GRAPH_DIMENSION: usize = 65_536;

/// The most blocks of neighbours of a record.
pub const MAX_BLOCKS: usize = 8;

/// The most entry points.
pub const MAX_ENTRIES: usize = 65_536;

/// The sizes that everything else follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) metric: Metric,
    pub(crate) element: ElementType,
    pub(crate) count: u32,
    pub(crate) dimension: usize,
    /// Elements of a rotated vector.
    pub(crate) padded: usize,
    /// Rotated coordinates that a code has a bit for.
    pub(crate) coded: usize,
    /// Blocks of neighbours in a record.
    pub(crate) blocks: usize,
    /// Blocks of entry points.
    pub(crate) entry_blocks: usize,
}

impl Layout {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        metric: Metric,
        element: ElementType,
        count: u32,
        dimension: usize,
        degree: usize,
        coded: usize,
        entries: usize,
    ) -> Self {
        let padded = Rotation::padded(dimension);
        let blocks = degree / NEIGHBOURS_PER_BLOCK;
        let entry_blocks = entries.div_ceil(NEIGHBOURS_PER_BLOCK);
        Self { metric, element, count, dimension, padded, coded, blocks, entry_blocks }
    }

    pub(crate) fn with_entries(self, entries: usize) -> Self {
        Self { entry_blocks: entries.div_ceil(NEIGHBOURS_PER_BLOCK), ..self }
    }

    pub(crate) fn block_bytes(&self) -> usize {
        BLOCK_FIXED_BYTES + block_code_bytes(self.coded)
    }

    pub(crate) fn vector_offset(&self) -> usize {
        RECORD_FIXED_BYTES + self.blocks * self.block_bytes()
    }

    /// Bytes from one record to the next.
    pub(crate) fn record_bytes(&self) -> usize {
        (self.vector_offset() + self.element.row_bytes(self.dimension))
            .next_multiple_of(RECORD_ALIGNMENT)
    }

    /// Bytes of the entry section: scales, centre, blocks.
    pub(crate) fn entry_bytes(&self) -> usize {
        self.entry_blocks_offset() + self.entry_blocks * self.block_bytes()
    }

    /// Where the blocks of the entry section are in it.
    pub(crate) fn entry_blocks_offset(&self) -> usize {
        RECORD_FIXED_BYTES + 4 * self.padded
    }

    pub(crate) fn records_offset(&self) -> usize {
        PAGE_BYTES + self.entry_bytes().next_multiple_of(PAGE_BYTES)
    }

    pub(crate) fn region_bytes(&self) -> u64 {
        self.records_offset() as u64 + u64::from(self.count) * self.record_bytes() as u64
    }
}

/// One block of a record or of the entry section.
pub(crate) struct Block<'a> {
    ids: &'a [u8],
    pub(crate) neighbours: NeighbourBlock<'a>,
}

impl<'a> Block<'a> {
    /// `bytes` are one block's.
    pub(crate) fn new(bytes: &'a [u8], scales: Scales) -> Self {
        let (ids, rest) = bytes.split_at(4 * NEIGHBOURS_PER_BLOCK);
        let (offsets, rest) = rest.split_first_chunk().expect("a block holds offsets");
        let (slopes, codes) = rest.split_first_chunk().expect("a block holds slopes");
        let neighbours = NeighbourBlock {
            codes,
            offsets,
            slopes,
            offset_scale: scales.offset,
            slope_scale: scales.slope,
        };
        Block { ids, neighbours }
    }

    #[inline]
    pub(crate) fn id(&self, index: usize) -> u32 {
        u32_at(self.ids, 4 * index)
    }
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[inline]
pub(crate) fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}
