//! Edges as bytes: neighbours' numbers, codes and factors.

use kernels::{Backend, NEIGHBOURS_PER_BLOCK, block_code_bytes, bytes_of};

use super::layout::BLOCK_FIXED_BYTES;
use super::space::Points;

/// Neighbours whose points are fetched from memory before they are coded.
const AHEAD: usize = 3;

/// Encodes blocks of neighbours of one node; its buffers are reused.
pub(crate) struct EdgeEncoder {
    backend: Backend,
    coded: usize,
    offsets: Vec<f32>,
    slopes: Vec<f32>,
}

/// The units of a record's factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scales {
    pub(crate) offset: f32,
    pub(crate) slope: f32,
}

impl EdgeEncoder {
    pub(crate) fn new(coded: usize) -> Self {
        Self { backend: Backend::active(), coded, offsets: Vec::new(), slopes: Vec::new() }
    }

    /// Writes the blocks of a node, given by its point and lift, into `blocks`. Where there are
    /// fewer neighbours than places, `filler` takes the others, with a similarity that is too low
    /// to be looked at. `name` gives the number by which a record speaks of a point.
    pub(crate) fn encode(
        &mut self,
        points: &Points,
        (node, lift): (&[f32], f32),
        neighbours: &[u32],
        filler: u32,
        name: impl Fn(u32) -> u32,
        blocks: &mut [u8],
    ) -> Scales {
        let block_bytes = BLOCK_FIXED_BYTES + block_code_bytes(self.coded);
        let places = blocks.len() / block_bytes * NEIGHBOURS_PER_BLOCK;
        debug_assert!(neighbours.len() <= places);
        blocks.fill(0);
        self.offsets.clear();
        self.slopes.clear();
        let fetch = |neighbour| self.backend.prefetch(bytes_of(points.get(neighbour)));
        neighbours.iter().take(AHEAD).for_each(|&neighbour| fetch(neighbour));
        for (index, &neighbour) in neighbours.iter().enumerate() {
            neighbours.get(index + AHEAD).copied().map(fetch);
            let block = &mut blocks[index / NEIGHBOURS_PER_BLOCK * block_bytes..][..block_bytes];
            let sums = self.backend.encode_neighbour(
                node,
                points.get(neighbour),
                self.coded,
                index % NEIGHBOURS_PER_BLOCK,
                &mut block[BLOCK_FIXED_BYTES..],
            );
            // <q - c, r> is about ratio * (<q, s> - <c, s>).
            let ratio = sums.squared_norm / sums.absolute;
            let ratio = if ratio.is_finite() { ratio } else { 0.0 };
            let rise = points.lift(neighbour) - lift;
            self.offsets.push(
                -sums.squared_norm
                    - rise * rise
                    - 2.0 * lift * rise
                    - 2.0 * ratio * sums.node_and_signs,
            );
            self.slopes.push(2.0 * ratio);
        }
        let scales = Scales { offset: unit_of(&self.offsets), slope: unit_of(&self.slopes) };
        for index in 0..places {
            let block = &mut blocks[index / NEIGHBOURS_PER_BLOCK * block_bytes..][..block_bytes];
            let at = index % NEIGHBOURS_PER_BLOCK;
            let (id, offset, slope) = match neighbours.get(index) {
                Some(&id) => (
                    id,
                    (self.offsets[index] / scales.offset).round() as i16,
                    (self.slopes[index] / scales.slope).round() as i16,
                ),
                None => (filler, i16::MIN, 0),
            };
            block[4 * at..][..4].copy_from_slice(&name(id).to_le_bytes());
            block[4 * NEIGHBOURS_PER_BLOCK + 2 * at..][..2].copy_from_slice(&offset.to_le_bytes());
            block[6 * NEIGHBOURS_PER_BLOCK + 2 * at..][..2].copy_from_slice(&slope.to_le_bytes());
        }
        scales
    }
}

/// The unit in which the greatest of `values` is the greatest 16-bit integer.
fn unit_of(values: &[f32]) -> f32 {
    let most = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    (most / f32::from(i16::MAX)).max(f32::MIN_POSITIVE)
}
