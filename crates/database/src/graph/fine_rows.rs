//! What a walk knows of the rows of a graph beside the graph, in memory: a code of four bits a
//! coordinate for every row, and places to start from in all parts of the space.
//!
//! The estimates that lie in a node are off by some hundredths, which is as much as the scores of a
//! query's neighbours differ: a walk that goes by them visits twice the nodes that it would with
//! the true distances. Four bits a coordinate are six times as near, and a code of 192 bytes comes
//! from the processor's caches where a node of 3 KB does not. What is here follows from the graph,
//! and is made from it while it is searched.

use kernels::{NEIGHBOURS_PER_BLOCK, SortedPairs, block_code_bytes};

use super::best_estimates::{BestEstimates, CentredBlocks};
use super::fine_codes::FineCodes;
use super::layout::BLOCK_FIXED_BYTES;
use super::open::{Graph, Region};
use super::query::Query;
use super::random::Random;
use super::space::Points;

/// One row in so many is a place to start from, at most [`MOST_STARTS`].
const ROWS_A_START: usize = 8;

/// More would be scanned for longer than they save.
const MOST_STARTS: usize = 1 << 14;

/// Groups of places that are scanned: the ones whose centres are nearest.
const GROUPS_SCANNED: usize = 24;

/// Places of these, with the best estimates, that a walk starts from.
const STARTS: usize = 48;

/// Rows that are coded at a time: bounds the memory.
const ROWS_AT_ONCE: usize = 256;

/// Four-bit codes of all rows of a graph, and where walks start.
pub struct FineRows {
    pub(super) codes: FineCodes,
    groups: CentredBlocks,
    starts: CentredBlocks,
}

impl FineRows {
    /// Bytes of memory for so many rows.
    pub fn bytes_of<R: Region>(graph: &Graph<R>) -> u64 {
        let count = graph.count() as usize;
        let block = BLOCK_FIXED_BYTES + block_code_bytes(graph.header.layout.coded);
        let starts = starts(count).div_ceil(NEIGHBOURS_PER_BLOCK);
        let blocks = starts + starts.div_ceil(NEIGHBOURS_PER_BLOCK);
        (count * FineCodes::row_bytes(graph.header.layout.padded) + blocks * block) as u64
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> u64 {
        self.codes.memory_bytes() + self.groups.memory_bytes() + self.starts.memory_bytes()
    }

    /// Looks up where to start, and gives these rows to `see`.
    pub(super) fn start<R: Region>(
        &self,
        graph: &Graph<R>,
        query: &Query<'_>,
        memory: &mut StartScratch,
        mut see: impl FnMut(u32),
    ) {
        let backend = graph.backend;
        let mut groups = BestEstimates::new(backend, GROUPS_SCANNED, &mut memory.groups);
        groups.scan(query, &self.groups, self.groups.all(), |_| true);
        let blocks = || groups.numbers().iter().map(|&group| self.starts.block(group));
        blocks().for_each(|block| backend.prefetch(block));
        let mut starts = BestEstimates::new(backend, STARTS, &mut memory.starts);
        blocks().for_each(|block| starts.scan(query, &self.starts, block, |_| true));
        starts.numbers().iter().for_each(|&row| see(row));
    }
}

/// Memory for looking up where to start, used again by the next walk.
#[derive(Debug, Default)]
pub(super) struct StartScratch {
    groups: SortedPairs,
    starts: SortedPairs,
}

/// How many places a graph of so many rows has, entry points apart.
fn starts(count: usize) -> usize {
    (count / ROWS_A_START).clamp(NEIGHBOURS_PER_BLOCK, MOST_STARTS)
}

impl<R: Region> Graph<R> {
    /// Codes all rows, on the calling thread: about two microseconds a row, and the reading of all
    /// vectors. `None` where `proceed`, which is asked every so often, says that it is not wanted any
    /// more.
    pub fn fine_rows(&self, proceed: &dyn Fn() -> bool) -> Option<FineRows> {
        let all: Vec<u32> = (0..self.count()).collect();
        let mut codes = FineCodes::new(all.len(), self.header.layout.padded);
        for rows in all.chunks(ROWS_AT_ONCE) {
            if !proceed() {
                return None;
            }
            codes.extend(self.backend, &self.points_of(rows));
        }
        let (groups, starts) = self.choose_starts(proceed)?;
        Some(FineRows { codes, groups, starts })
    }

    /// Some rows as points of the space that the graph was built in.
    pub(super) fn points_of(&self, rows: &[u32]) -> Points {
        let copy = |index: usize, vector: &mut [f32]| self.vector(rows[index], vector);
        Points::of_space(&self.header, &self.rotation, &self.centre, rows.len(), copy)
    }

    /// The entry points, from which all rows can be reached, and others at random; a multiple of what
    /// a block holds, or all rows.
    fn sample_starts(&self) -> Vec<u32> {
        let mut sample = self.entry_rows();
        let all: Vec<u32> = (0..self.count()).collect();
        let most = starts(all.len()).max(sample.len()).next_multiple_of(NEIGHBOURS_PER_BLOCK);
        let mut taken = vec![false; all.len()];
        sample.retain(|&row| !std::mem::replace(&mut taken[row as usize], true));
        let mut others = Random::new(SEED).sample(&all, (2 * most).min(all.len()));
        others.extend(all);
        let free = |&row: &u32| !std::mem::replace(&mut taken[row as usize], true);
        sample.extend(others.into_iter().filter(free).take(most - sample.len()));
        if sample.len() > NEIGHBOURS_PER_BLOCK {
            sample.truncate(sample.len() / NEIGHBOURS_PER_BLOCK * NEIGHBOURS_PER_BLOCK);
        }
        sample
    }

    /// A sample of the rows in groups of a block each, and the groups' centres.
    fn choose_starts(&self, proceed: &dyn Fn() -> bool) -> Option<(CentredBlocks, CentredBlocks)> {
        let sample = self.sample_starts();
        let points = self.points_of(&sample);
        let width = points.width;
        let groups = sample.len().div_ceil(NEIGHBOURS_PER_BLOCK);
        // Each point goes to the group of the nearest leader that has a place left.
        let mut members = vec![Vec::with_capacity(NEIGHBOURS_PER_BLOCK); groups];
        let mut nearest: Vec<(f32, u32)> = Vec::with_capacity(groups);
        for point in 0..sample.len() as u32 {
            if point % ROWS_AT_ONCE as u32 == 0 && !proceed() {
                return None;
            }
            nearest.clear();
            // The first points lead the groups.
            let free = (0..groups as u32)
                .filter(|&group| members[group as usize].len() < NEIGHBOURS_PER_BLOCK);
            nearest.extend(free.map(|group| {
                (self.backend.squared_l2(points.get(point), points.get(group)), group)
            }));
            let best = nearest.iter().min_by(|a, b| a.0.total_cmp(&b.0));
            let (_, group) = *best.expect("there are as many places as points");
            members[group as usize].push(point);
        }
        let mut centres = vec![0.0f32; groups * width];
        for (centre, members) in centres.chunks_mut(width).zip(&members) {
            for &point in members {
                centre.iter_mut().zip(points.get(point)).for_each(|(sum, x)| *sum += x);
            }
            let part = 1.0 / members.len().max(1) as f32;
            centre.iter_mut().for_each(|sum| *sum *= part);
        }
        // A block each: all are full, or there is one alone.
        let order = members.concat();
        let starts = self.centred_blocks(&points, &order, |point| sample[point as usize]);
        let centres = Points::from_values(centres, width);
        let order: Vec<u32> = (0..groups as u32).collect();
        Some((self.centred_blocks(&centres, &order, |group| group), starts))
    }
}

/// Of the sample: a graph gives the same places each time.
const SEED: u64 = 0x57a7;
