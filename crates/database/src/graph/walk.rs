//! Best-first walk over a graph, led by estimates.
//!
//! The pool holds the rows with the best estimates so far. The best one that was not visited yet is
//! visited: its exact similarity is computed and its neighbours' are estimated from it. The walk
//! ends when every row in the pool was visited. Reading a record from memory takes longer than
//! using it, so a row is chosen and its record requested some visits before its turn.

use std::collections::VecDeque;

use kernels::{Backend, NEIGHBOURS_PER_BLOCK, ScanTables, SortedPairs};

use super::edges::Scales;
use super::fine_walk::FineScratch;
use super::layout::{Block, MAX_GRAPH_ROWS};

/// A graph as a walk sees it.
pub(crate) trait Nodes {
    /// Hints that the node will be visited soon.
    fn request(&self, node: u32);
    /// Gives each block of the node's record.
    fn blocks(&self, node: u32) -> impl Iterator<Item = Block<'_>>;
    /// Rows in the graph: numbers beyond are damage.
    fn count(&self) -> u32;
}

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkOptions {
    /// Rows in the pool that may be returned.
    pub(crate) effort: usize,
    /// Rows in the pool altogether: a walk that sees more before it has enough gives up.
    pub(crate) most: usize,
    /// Visits that a record is requested ahead.
    pub(crate) ahead: usize,
}

const VISITED: u32 = MAX_GRAPH_ROWS;
const ACCEPTED: u32 = MAX_GRAPH_ROWS << 1;
const NUMBER: u32 = MAX_GRAPH_ROWS - 1;

/// Memory that walks share one after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Estimates of the rows in the pool, and those rows, each with two flags.
    pool: SortedPairs,
    /// Everything before it was visited.
    cursor: usize,
    accepted: usize,
    seen: Vec<u64>,
    touched: Vec<u32>,
    pub(super) requested: VecDeque<(f32, u32)>,
    pub(super) fine: FineScratch,
}

impl Scratch {
    pub(crate) fn begin(&mut self, count: u32) {
        for &word in &self.touched {
            self.seen[word as usize] = 0;
        }
        self.touched.clear();
        let words = count.div_ceil(64) as usize;
        if self.seen.len() < words {
            self.seen.resize(words, 0);
        }
        self.pool.clear();
        self.requested.clear();
        self.cursor = 0;
        self.accepted = 0;
    }

    /// Whether it is the first time.
    #[inline]
    pub(super) fn mark(&mut self, node: u32) -> bool {
        let word = &mut self.seen[node as usize / 64];
        let bit = 1u64 << (node % 64);
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.touched.push(node / 64);
        }
        *word |= bit;
        true
    }

    /// Lets a row that was not visited be seen again: nodes that are nearer to it estimate it better
    /// than the one did from which it was seen first.
    #[inline]
    fn forget(&mut self, node: u32) {
        self.seen[node as usize / 64] &= !(1u64 << (node % 64));
    }

    #[inline]
    pub(super) fn threshold(&self, effort: usize) -> f32 {
        if self.accepted >= effort {
            self.pool.keys().last().copied().unwrap_or(f32::NEG_INFINITY)
        } else {
            f32::NEG_INFINITY
        }
    }

    /// Puts a row into the pool. Where keys are estimates from one node of several, a row that falls
    /// out without a visit `may_return`.
    #[inline]
    pub(super) fn insert(
        &mut self,
        backend: Backend,
        key: f32,
        node: u32,
        accepted: bool,
        effort: usize,
        may_return: bool,
    ) {
        let flag = if accepted { ACCEPTED } else { 0 };
        let at = self.pool.insert(backend, key, node | flag);
        self.cursor = self.cursor.min(at);
        self.accepted += usize::from(accepted);
        while self.accepted > effort {
            let last = self.pool.pop().expect("it holds more than the limit");
            self.accepted -= usize::from(last & ACCEPTED != 0);
            if may_return && last & VISITED == 0 {
                self.forget(last & NUMBER);
            }
        }
        self.cursor = self.cursor.min(self.pool.values().len());
    }

    /// The best row that was not visited, with its key: now it counts as visited.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(f32, u32)> {
        while let Some(row) = self.pool.values_mut().get_mut(self.cursor) {
            self.cursor += 1;
            if *row & VISITED == 0 {
                *row |= VISITED;
                let row = *row & NUMBER;
                return Some((self.pool.keys()[self.cursor - 1], row));
            }
        }
        None
    }
}

impl Scratch {
    /// Rows in the pool.
    #[inline]
    pub(super) fn in_sight(&self) -> usize {
        self.pool.keys().len()
    }

    /// The rows in the pool that may be returned, the best ones first, with their keys.
    pub(super) fn accepted_rows(&self) -> impl Iterator<Item = (f32, u32)> + Clone {
        let pairs = self.pool.keys().iter().zip(self.pool.values());
        pairs.filter(|(_, row)| *row & ACCEPTED != 0).map(|(&key, &row)| (key, row & NUMBER))
    }
}

/// Where a walk starts: blocks of entry points, and what their estimates stand on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) blocks: &'a [u8],
    pub(crate) block_bytes: usize,
    pub(crate) scales: Scales,
    pub(crate) base: f32,
}

/// Walks from the entry points. `visit` gives a node's exact similarity, once a node. Says whether
/// the walk came to its end; it gives up where hardly any row is accepted.
#[allow(clippy::too_many_arguments)]
#[inline]
pub(crate) fn walk<N: Nodes>(
    nodes: &N,
    backend: Backend,
    tables: &ScanTables,
    start: &Start<'_>,
    options: &WalkOptions,
    scratch: &mut Scratch,
    accept: impl Fn(u32) -> bool,
    mut visit: impl FnMut(u32) -> f32,
) -> bool {
    let count = nodes.count();
    scratch.begin(count);
    let look = |scratch: &mut Scratch, block: Block<'_>, base: f32| {
        let mut estimates = [0.0f32; NEIGHBOURS_PER_BLOCK];
        let threshold = scratch.threshold(options.effort);
        let mut above =
            backend.estimate_neighbours(tables, &block.neighbours, base, threshold, &mut estimates);
        while above != 0 {
            let index = above.trailing_zeros() as usize;
            above &= above - 1;
            let node = block.id(index);
            // The threshold rises while a block is looked at; a number beyond the end is damage.
            if node < count
                && estimates[index] > scratch.threshold(options.effort)
                && scratch.mark(node)
            {
                scratch.insert(backend, estimates[index], node, accept(node), options.effort, true);
            }
        }
    };
    for block in start.blocks.chunks_exact(start.block_bytes) {
        look(scratch, Block::new(block, start.scales), start.base);
    }
    loop {
        while scratch.requested.len() < options.ahead.max(1) {
            let Some(next) = scratch.next() else { break };
            nodes.request(next.1);
            scratch.requested.push_back(next);
        }
        let Some((_, node)) = scratch.requested.pop_front() else { return true };
        if scratch.in_sight() > options.most {
            return false;
        }
        let key = visit(node);
        for block in nodes.blocks(node) {
            look(scratch, block, key);
        }
    }
}
