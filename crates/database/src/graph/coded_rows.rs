//! Rows that are in no graph yet, found by their codes: as the entry points of a graph are, all of
//! them.
//!
//! A row takes a bit a coordinate and some bytes, so that a scan reads a thirtieth of what the
//! vectors take, and making the codes costs a thousandth of what a graph does. What the codes
//! estimate is off by a known standard error, so only rows are scored that can be among the best.

use kernels::{Backend, NEIGHBOURS_PER_BLOCK, Rotation, SortedPairs};

use super::Rows;
use super::build::BuildOptions;
use super::edges::{EdgeEncoder, Scales};
use super::error::GraphError;
use super::header::Header;
use super::layout::{Block, Layout};
use super::progress::{Callback, Progress};
use super::query::Query;
use super::search::{SearchOptions, enter, may_enter};
use super::space::Space;

/// A row is passed over where its score would have to be further from its estimate than so many
/// standard errors: once in 30,000 rows that should have been found.
const STANDARD_ERRORS: f32 = 4.0;

/// Rows with the best estimates that are kept in sight, as a multiple of a search's effort. The
/// estimates of a walk are nearer to the truth, because they stand on nodes that are near.
const EFFORTS: usize = 4;

/// What `1 - <u, s>^2` is for a random direction u and the nearest corner s of the cube: the part of
/// a coded residual that its code says nothing of.
const UNTOLD: f32 = 1.0 - std::f32::consts::FRAC_2_PI;

/// Rows that are requested before they are scored.
const AHEAD: usize = 8;

/// Codes of rows, in memory.
pub struct CodedRows {
    header: Header,
    rotation: Rotation,
    centre: Vec<f32>,
    scales: Scales,
    blocks: Vec<u8>,
    backend: Backend,
}

impl CodedRows {
    /// Codes all rows, on the ambient thread pool; `options` are those of a graph of the same rows.
    /// Needs memory for a copy of the vectors meanwhile. `progress` as for [`super::build`].
    ///
    /// # Errors
    /// The options make no sense, or `progress` breaks.
    pub fn new(
        rows: &dyn Rows,
        options: &BuildOptions,
        progress: &Callback<'_>,
    ) -> Result<Self, GraphError> {
        let count = rows.count();
        options.validate(count)?;
        let all: Vec<u32> = (0..count).collect();
        let phase = Progress::new(progress).phase(1000, u64::from(count));
        let (space, points) = Space::measure(rows, options.dimension, options.metric, &phase)?;
        let layout: Layout = options.layout(count, all.len());
        let mut blocks = vec![0; layout.entry_blocks * layout.block_bytes()];
        let centre = vec![0.0; points.width];
        let scales = EdgeEncoder::new(layout.coded).encode(
            &points,
            (&centre, 0.0),
            &all,
            count,
            |row| row,
            &mut blocks,
        );
        let header = Header::of(&space, &layout, 0);
        Ok(Self {
            rotation: Rotation::new(layout.dimension, header.seed),
            centre: space.centre,
            backend: Backend::active(),
            header,
            scales,
            blocks,
        })
    }

    /// Prepares a finite vector to be compared with these rows.
    ///
    /// # Panics
    /// It is not of their dimension.
    pub fn prepare<'q>(&self, vector: &'q [f32]) -> Query<'q> {
        Query::new(vector, &self.header, &self.rotation, &self.centre, self.backend)
    }

    /// The rows with the best scores among those that `accept` takes, best first and the smaller row
    /// first where scores are equal: at most `options.limit`, and none that is worse than `floor`.
    /// `score` gives a row's score, and `request` hints that it will be asked for soon.
    ///
    /// # Errors
    /// Those of `score`.
    pub fn search<E>(
        &self,
        query: &Query<'_>,
        options: &SearchOptions,
        floor: f32,
        accept: impl Fn(u32) -> bool,
        request: impl Fn(u32),
        mut score: impl FnMut(u32) -> Result<f32, E>,
    ) -> Result<Vec<(f32, u32)>, E> {
        let count = self.header.layout.count;
        let limit = options.limit.min(count as usize);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let effort = options.effort.max(limit).saturating_mul(EFFORTS);
        let slack = STANDARD_ERRORS * self.standard_error(query);
        let mut found = Vec::with_capacity(limit + 1);
        let mut meet = |row: u32, found: &mut Vec<(f32, u32)>| {
            let score = score(row)?;
            if score >= floor && may_enter(found, limit, score, row) {
                enter(found, limit, score, row);
            }
            Ok(())
        };
        // Numbers so large that there are no estimates.
        if !slack.is_finite() {
            (0..count).filter(|&row| accept(row)).try_for_each(|row| meet(row, &mut found))?;
            return Ok(found);
        }
        let least = |score: f32| (f64::from(score) * query.key_scale) as f32 - slack;
        let least_key = least(floor);
        let mut pool = Pool { size: effort, pairs: SortedPairs::default() };
        let blocks = self.blocks.chunks_exact(self.header.layout.block_bytes());
        for block in blocks.map(|block| Block::new(block, self.scales)) {
            let mut estimates = [0.0f32; NEIGHBOURS_PER_BLOCK];
            let threshold = pool.threshold().max(least_key);
            let mut above = self.backend.estimate_neighbours(
                &query.tables,
                &block.neighbours,
                query.entry_base,
                threshold,
                &mut estimates,
            );
            while above != 0 {
                let index = above.trailing_zeros() as usize;
                above &= above - 1;
                let row = block.id(index);
                if row < count && estimates[index] > pool.threshold() && accept(row) {
                    pool.insert(self.backend, estimates[index], row);
                }
            }
        }
        let rows = pool.pairs.values();
        rows.iter().take(AHEAD).for_each(|&row| request(row));
        for (place, (&estimate, &row)) in pool.pairs.keys().iter().zip(rows).enumerate() {
            let worst = if found.len() == limit { found[limit - 1].0 } else { floor };
            if estimate < least(worst) {
                break;
            }
            if let Some(&row) = rows.get(place + AHEAD) {
                request(row);
            }
            meet(row, &mut found)?;
        }
        Ok(found)
    }

    /// Of a row's estimate, at most: see [`kernels::ResidualSums`] for what an estimate is. Seen from
    /// the query, the coded part of a residual that its code does not tell points anywhere.
    fn standard_error(&self, query: &Query<'_>) -> f32 {
        let layout = &self.header.layout;
        let part = layout.coded as f32 / layout.padded as f32;
        let untold = (1.0 - part * (1.0 - UNTOLD)) * part;
        let greatest_slope = self.scales.slope * f32::from(i16::MAX);
        greatest_slope * query.distance * untold.sqrt()
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> u64 {
        (self.blocks.len() + self.centre.len() * size_of::<f32>()) as u64
    }
}

/// The rows with the best estimates, greatest first.
struct Pool {
    size: usize,
    pairs: SortedPairs,
}

impl Pool {
    /// What an estimate must be above to enter.
    #[inline]
    fn threshold(&self) -> f32 {
        match self.pairs.keys().last() {
            Some(&last) if self.pairs.keys().len() == self.size => last,
            _ => f32::NEG_INFINITY,
        }
    }

    #[inline]
    fn insert(&mut self, backend: Backend, key: f32, row: u32) {
        if self.pairs.keys().len() == self.size {
            self.pairs.pop();
        }
        self.pairs.insert(backend, key, row);
    }
}
