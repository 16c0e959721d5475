//! Points in blocks, like the neighbours of a node that lies in the centre of the space, and the best
//! of them for a query.

use kernels::{Backend, NEIGHBOURS_PER_BLOCK, Rotation, SortedPairs};

use super::edges::{EdgeEncoder, Scales};
use super::layout::Block;
use super::open::{Graph, Region};
use super::query::Query;
use super::space::Points;

/// What fills up the last block in the place of a point's number.
const FILLER: u32 = u32::MAX;

/// Blocks of points whose one-bit codes are relative to the centre.
pub(super) struct CentredBlocks {
    scales: Scales,
    bytes: Vec<u8>,
    block_bytes: usize,
}

impl CentredBlocks {
    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The block of this number; nothing where there is none.
    pub(super) fn block(&self, number: u32) -> &[u8] {
        let start = number as usize * self.block_bytes;
        self.bytes.get(start..start + self.block_bytes).unwrap_or_default()
    }

    pub(super) fn all(&self) -> &[u8] {
        &self.bytes
    }
}

impl<R: Region> Graph<R> {
    /// Points as blocks, in this order; `name` gives the number by which a block speaks of a point.
    pub(super) fn centred_blocks(
        &self,
        points: &Points,
        order: &[u32],
        name: impl Fn(u32) -> u32,
    ) -> CentredBlocks {
        let block_bytes = self.header.layout.block_bytes();
        let mut bytes = vec![0; order.len().div_ceil(NEIGHBOURS_PER_BLOCK) * block_bytes];
        let centre = vec![0.0; Rotation::padded(self.dimension())];
        let scales = EdgeEncoder::new(self.header.layout.coded).encode(
            points,
            (&centre, 0.0),
            order,
            FILLER,
            |point| if point == FILLER { FILLER } else { name(point) },
            &mut bytes,
        );
        CentredBlocks { scales, bytes, block_bytes }
    }
}

/// The points with the best estimates, greatest first.
pub(super) struct BestEstimates<'a> {
    backend: Backend,
    most: usize,
    pairs: &'a mut SortedPairs,
}

impl<'a> BestEstimates<'a> {
    /// None yet, whatever `pairs` holds.
    pub(super) fn new(backend: Backend, most: usize, pairs: &'a mut SortedPairs) -> Self {
        pairs.clear();
        Self { backend, most, pairs }
    }

    /// Looks at the points of some blocks that `accept` takes.
    pub(super) fn scan(
        &mut self,
        query: &Query<'_>,
        blocks: &CentredBlocks,
        bytes: &[u8],
        accept: impl Fn(u32) -> bool,
    ) {
        for block in bytes.chunks_exact(blocks.block_bytes) {
            let block = Block::new(block, blocks.scales);
            let mut estimates = [0.0f32; NEIGHBOURS_PER_BLOCK];
            let mut above = self.backend.estimate_neighbours(
                &query.tables,
                &block.neighbours,
                query.entry_base,
                self.threshold(),
                &mut estimates,
            );
            while above != 0 {
                let index = above.trailing_zeros() as usize;
                above &= above - 1;
                let (estimate, number) = (estimates[index], block.id(index));
                if number == FILLER || estimate <= self.threshold() || !accept(number) {
                    continue;
                }
                if self.pairs.keys().len() == self.most {
                    self.pairs.pop();
                }
                self.pairs.insert(self.backend, estimate, number);
            }
        }
    }

    /// What an estimate must be above to count.
    #[inline]
    fn threshold(&self) -> f32 {
        match self.pairs.keys().last() {
            Some(&last) if self.pairs.keys().len() == self.most => last,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> &[u32] {
        self.pairs.values()
    }
}
