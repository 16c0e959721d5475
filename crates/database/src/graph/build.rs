//! Building a graph: near rows by partitions, neighbours from near rows, one round of walks.
//!
//! How much memory it takes a row does not depend on the data: [`BuildOptions::memory_bytes_a_row`].

use std::io::Write;
use std::ops::ControlFlow;

use kernels::{ElementType, Rotation};
use rayon::prelude::*;

use super::Rows;
use super::adjacency::{Adjacency, INCOMING_OF_A_PLACE};
use super::compare::{Near, compare_parts};
use super::entries::choose_entries;
use super::error::GraphError;
use super::layout::{CODE_UNIT, Layout, MAX_BLOCKS, MAX_GRAPH_DIMENSION, MAX_GRAPH_ROWS};
use super::neighbour_lists::{Candidate, NeighbourLists};
use super::partition::{PartitionOptions, STRONGEST, partition};
use super::point_codes::{CODE_BYTES_BESIDES, PointCodes};
use super::progress::Progress;
use super::refine::refine;
use super::space::Space;
use super::write::{Built, write};
use crate::schema::Metric;

/// Seed of every choice: a graph is as good as its rows allow, not as luck has
/// it.
const SEED: u64 = 0x5eed;

/// Bytes of a point besides its vector: a lift, an inverse length, an original, and places in the order.
const POINT_BYTES: usize = 20;

/// Bytes of a list besides its candidates: where they are, who may change it, and what the allocator
/// keeps; once more while lists of tasks are put together.
const LIST_BYTES: usize = 72;

/// What a graph is built for and how.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Numbers in a vector: 1 to 65,536.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// How a record keeps its vector.
    pub element: ElementType,
    /// Neighbours of a node: a multiple of 32, at most 256.
    pub degree: usize,
    /// Bits of a neighbour's code: a multiple of 64. Fewer than the default, which is the dimension
    /// rounded up (at least 128), make records smaller and estimates worse.
    pub code_bits: usize,
    /// Visits of each row's walk that looks for more near rows; 0 for none. More takes longer and
    /// makes walks shorter.
    pub effort: usize,
}

impl BuildOptions {
    /// The defaults: `Float32`, 32 neighbours, a bit a coordinate.
    pub fn new(dimension: usize, metric: Metric) -> Self {
        Self {
            dimension,
            metric,
            element: ElementType::Float32,
            degree: 32,
            code_bits: Rotation::padded(dimension),
            effort: 48,
        }
    }

    /// Bytes of the region of a graph of so many rows, if all can be reached from the usual number
    /// of entry points.
    pub fn region_bytes(&self, rows: u32) -> u64 {
        self.layout(rows, 0).region_bytes()
    }

    /// Bytes of memory that building takes at most for each row, besides the rows themselves and some
    /// MiB for a thread.
    pub fn memory_bytes_a_row(&self) -> u64 {
        let list = |candidates: usize| LIST_BYTES + candidates * size_of::<Candidate>();
        let PartitionOptions { keep, .. } = PartitionOptions::default();
        let strongest = if self.metric == Metric::Dot { STRONGEST } else { 0 };
        let padded = Rotation::padded(self.dimension);
        let points = 4 * padded + POINT_BYTES;
        let codes = padded + CODE_BYTES_BESIDES;
        let near = list(keep) + list(strongest);
        let (chosen, adjacency) = (list(self.degree), 4 * self.degree + 2);
        let linking = list(INCOMING_OF_A_PLACE * self.degree);
        let writing = self.layout(0, 0).vector_offset();
        let walking = if self.effort > 0 { writing } else { 0 };
        let choosing = codes + near + chosen + linking.max(walking);
        (points + adjacency + choosing.max(writing)) as u64
    }

    pub(super) fn layout(&self, count: u32, entries: usize) -> Layout {
        Layout::new(
            self.metric,
            self.element,
            count,
            self.dimension,
            self.degree,
            self.code_bits,
            entries,
        )
    }

    pub(super) fn validate(&self, rows: u32) -> Result<(), GraphError> {
        let refuse = |reason: String| Err(GraphError::Unbuildable(reason));
        if !(1..=MAX_GRAPH_DIMENSION).contains(&self.dimension) {
            return refuse(format!("a graph's dimension is 1 to {MAX_GRAPH_DIMENSION}"));
        }
        if !self.degree.is_multiple_of(32) || !(1..=MAX_BLOCKS).contains(&(self.degree / 32)) {
            return refuse(format!(
                "a graph's degree is 32 to {}, in steps of 32",
                32 * MAX_BLOCKS
            ));
        }
        let most = Rotation::padded(self.dimension);
        if !self.code_bits.is_multiple_of(CODE_UNIT) || !(1..=most).contains(&self.code_bits) {
            return refuse(format!(
                "a code has {CODE_UNIT} to {most} bits, in steps of {CODE_UNIT}"
            ));
        }
        if self.metric == Metric::Hamming || self.element == ElementType::Bits {
            return refuse("packed bits are compared all, without a graph".to_owned());
        }
        if rows > MAX_GRAPH_ROWS {
            return refuse(format!("a graph has at most {MAX_GRAPH_ROWS} rows, not {rows}"));
        }
        Ok(())
    }
}

/// Builds a graph of `rows` on the ambient thread pool and writes its region to `out`, front to
/// back. `progress` is called from worker threads with what is done and the whole; when it breaks,
/// the build ends within about a tenth of a second.
///
/// # Errors
/// The options make no sense, the writer fails, or `progress` breaks.
pub fn build(
    rows: &dyn Rows,
    options: &BuildOptions,
    progress: &(dyn Fn(u64, u64) -> ControlFlow<()> + Sync),
    out: &mut dyn Write,
) -> Result<(), GraphError> {
    let count = rows.count();
    options.validate(count)?;
    let mut progress = Progress::new(progress);
    let steps = u64::from(count);
    let phase = progress.phase(10, steps);
    let (space, mut points) = Space::measure(rows, options.dimension, options.metric, &phase)?;

    let partitions = PartitionOptions::default();
    let phase = progress.phase(45, steps);
    let (mut parts, order) = partition(&points, &partitions, SEED, &phase)?;
    points.reorder(&order);
    parts.iter_mut().flatten().for_each(|row| *row = order.place(*row));

    let codes = PointCodes::new(&points);
    let found = Near {
        nearest: NeighbourLists::new(points.len(), partitions.keep),
        strongest: NeighbourLists::new(points.len(), STRONGEST),
    };
    let phase = progress.phase(300, parts.iter().map(|part| part.len() as u64).sum());
    compare_parts(&points, &codes, &parts, partitions.nearest, &found, &phase)?;
    drop(parts);
    let (mut near, mut strongest) = (found.nearest.into_lists(), found.strongest.into_lists());
    near.par_iter_mut().enumerate().for_each(|(row, list)| codes.sharpen(row as u32, list));

    let phase = progress.phase(125, 2 * steps);
    let degree = options.degree;
    let mut adjacency = Adjacency::choose(&points, &codes, &near, &strongest, degree, &phase)?;
    if options.effort > 0 {
        let layout = options.layout(count, 0);
        let phase = progress.phase(315, 2 * steps);
        let chosen = refine(
            &points,
            &codes,
            &layout,
            &adjacency,
            &mut near,
            &mut strongest,
            (options.effort, degree),
            SEED,
            &phase,
        )?;
        let phase = progress.phase(105, steps);
        drop(adjacency);
        adjacency =
            Adjacency::link(&points, &codes, &near, &chosen, &strongest, degree, true, &phase)?;
    }
    drop((near, strongest, codes));
    let entries = choose_entries(&points, &adjacency, SEED);
    let layout = options.layout(count, entries.len());
    let phase = progress.phase(100, 2 * steps);
    let built = Built { points: &points, order: &order, adjacency: &adjacency };
    write(rows, &built, &space, &layout, &entries, &phase, out)
}
