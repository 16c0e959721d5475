//! More near rows of every row: those that a walk to it meets.

use kernels::{Backend, ScanTables};
use rayon::prelude::*;

use super::adjacency::{Adjacency, sort_and_deduplicate};
use super::edges::EdgeEncoder;
use super::entries::choose_entries;
use super::error::GraphError;
use super::layout::{Block, Layout, RECORD_FIXED_BYTES};
use super::neighbour_lists::Candidate;
use super::partition::{PartitionOptions, STRONGEST};
use super::point_codes::PointCodes;
use super::progress::Phase;
use super::prune::Pruner;
use super::space::{Nearness, Points};
use super::walk::{Nodes, Scratch, Start, WalkOptions, walk};
use super::write::{encode_edges, scales_of};

/// Rows that one task handles.
const ROWS_PER_TASK: usize = 64;

/// Walks to every row through the graph so far. What was visited joins what was near before, of which
/// the nearest stay; gives those that are diverse among all of them, at most `degree` a row.
#[allow(clippy::too_many_arguments)]
pub(crate) fn refine(
    points: &Points,
    codes: &PointCodes<'_>,
    layout: &Layout,
    adjacency: &Adjacency,
    near: &mut [Vec<Candidate>],
    strongest: &mut [Vec<Candidate>],
    (effort, degree): (usize, usize),
    seed: u64,
    phase: &Phase<'_>,
) -> Result<Vec<Vec<Candidate>>, GraphError> {
    let backend = Backend::active();
    let nodes = Encoded::new(points, codes, layout, adjacency, phase)?;
    let entries = choose_entries(points, adjacency, seed);
    let layout = layout.with_entries(entries.len());
    let mut entry_blocks = vec![0u8; layout.entry_blocks * layout.block_bytes()];
    let centre = vec![0.0; points.width];
    let entry_scales = EdgeEncoder::new(layout.coded).encode(
        points,
        (&centre, 0.0),
        &entries,
        entries.first().copied().unwrap_or(0),
        |row| row,
        &mut entry_blocks,
    );
    let options = WalkOptions { effort, most: usize::MAX, ahead: 2 };
    let tasks = near.par_chunks_mut(ROWS_PER_TASK).zip(strongest.par_chunks_mut(ROWS_PER_TASK));
    let PartitionOptions { keep, .. } = PartitionOptions::default();
    let tasks = tasks.enumerate().map_init(
        || {
            (
                Scratch::default(),
                ScanTables::default(),
                Pruner::new(points, codes),
                Vec::new(),
                Vec::new(),
            )
        },
        |(scratch, tables, pruner, all, strong), (task, (near, strongest))| {
            let mut chosen = Vec::with_capacity(near.len());
            for (index, (near, strongest)) in near.iter_mut().zip(strongest.iter_mut()).enumerate()
            {
                let row = (task * ROWS_PER_TASK + index) as u32;
                if !points.is_original(row) {
                    chosen.push(Vec::new());
                    continue;
                }
                all.clear();
                all.extend_from_slice(near);
                strong.clear();
                strong.extend_from_slice(strongest);
                let point = points.get(row);
                let scorer = codes.scorer(row);
                tables.prepare(backend, &point[..layout.coded]);
                let start = Start {
                    blocks: &entry_blocks,
                    block_bytes: layout.block_bytes(),
                    scales: entry_scales,
                    // What Query::new says, for a row as it lies.
                    base: match points.kind {
                        Nearness::Distance => -backend.dot(point, point),
                        Nearness::Angle => 1.0,
                    },
                };
                walk(
                    &nodes,
                    backend,
                    tables,
                    &start,
                    &options,
                    scratch,
                    |_| true,
                    |node| {
                        let other = points.original(node);
                        let product = scorer.score(codes.of(node));
                        let distance = codes.distance(row, node, product);
                        if other != row {
                            all.push(Candidate { distance, row: other });
                        }
                        match points.kind {
                            Nearness::Distance => -distance,
                            Nearness::Angle => {
                                if other != row {
                                    strong.push(Candidate { distance: -product, row: other });
                                }
                                2.0 * product
                            }
                        }
                    },
                );
                sort_and_deduplicate(all);
                codes.sharpen(row, all);
                // Their codes are in a cache still.
                chosen.push(pruner.diverse(all, degree));
                keep_first(near, all, keep);
                sort_and_deduplicate(strong);
                keep_first(strongest, strong, STRONGEST);
            }
            phase.advance(near.len())?;
            Ok(chosen)
        },
    );
    Ok(tasks.collect::<Result<Vec<_>, GraphError>>()?.into_iter().flatten().collect())
}

/// Makes a list hold the first few candidates of `all`, in memory for no more than these.
fn keep_first(list: &mut Vec<Candidate>, all: &[Candidate], most: usize) {
    let first = &all[..most.min(all.len())];
    list.clear();
    list.reserve_exact(first.len());
    list.extend_from_slice(first);
}

/// The graph so far, as a walk reads it, beside the codes of all points.
struct Encoded<'a> {
    codes: &'a PointCodes<'a>,
    layout: &'a Layout,
    backend: Backend,
    record_bytes: usize,
    records: Vec<u8>,
}

impl<'a> Encoded<'a> {
    fn new(
        points: &Points,
        codes: &'a PointCodes<'a>,
        layout: &'a Layout,
        adjacency: &Adjacency,
        phase: &Phase<'_>,
    ) -> Result<Self, GraphError> {
        let record_bytes = layout.vector_offset();
        let records = encode_edges(points, adjacency, layout, |row| row, phase)?;
        let backend = Backend::active();
        Ok(Self { codes, layout, backend, record_bytes, records })
    }

    #[inline]
    fn record(&self, node: u32) -> &[u8] {
        &self.records[node as usize * self.record_bytes..][..self.record_bytes]
    }
}

impl Nodes for Encoded<'_> {
    fn count(&self) -> u32 {
        self.layout.count
    }

    #[inline]
    fn request(&self, node: u32) {
        self.backend.prefetch(self.record(node));
        self.backend.prefetch(self.codes.of(node));
    }

    #[inline]
    fn blocks(&self, node: u32) -> impl Iterator<Item = Block<'_>> {
        let record = self.record(node);
        let scales = scales_of(record);
        let blocks = record[RECORD_FIXED_BYTES..].chunks_exact(self.layout.block_bytes());
        blocks.map(move |block| Block::new(block, scales))
    }
}
