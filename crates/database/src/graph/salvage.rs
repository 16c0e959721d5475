//! The vectors of a graph whose first page, or whose entry points, are damaged.

use kernels::{ElementType, NEIGHBOURS_PER_BLOCK};

use super::header::Header;
use super::layout::{CODE_UNIT, Layout, MAX_BLOCKS, MAX_ENTRIES};
use super::open::{Graph, Region};
use super::write::record_is_whole;
use crate::schema::Metric;

/// Records that are looked at to know whether a layout is the right one.
const SAMPLES: u32 = 16;

impl<R: Region> Graph<R> {
    /// Opens a region that [`Graph::open`] refuses, and of which it is known what it holds and that
    /// its last record ends it: for the vectors of its rows, not to be searched. `None` where no
    /// record is left that says how records are laid out.
    pub fn salvage(
        region: R,
        metric: Metric,
        element: ElementType,
        count: u32,
        dimension: usize,
    ) -> Option<Self> {
        let layout = possible_layouts(metric, element, count, dimension)
            .filter(|layout| layout.region_bytes() == region.bytes().len() as u64)
            .find(|layout| has_whole_record(layout, region.bytes()))?;
        Some(Self::with_header(region, Header::of_records(layout)))
    }
}

fn possible_layouts(
    metric: Metric,
    element: ElementType,
    count: u32,
    dimension: usize,
) -> impl Iterator<Item = Layout> {
    let layout = move |blocks: usize, coded: usize, entry_blocks: usize| {
        let (degree, entries) =
            (blocks * NEIGHBOURS_PER_BLOCK, entry_blocks * NEIGHBOURS_PER_BLOCK);
        Layout::new(metric, element, count, dimension, degree, coded, entries)
    };
    let padded = layout(1, CODE_UNIT, 0).padded;
    (1..=MAX_BLOCKS).flat_map(move |blocks| {
        (CODE_UNIT..=padded).step_by(CODE_UNIT).flat_map(move |coded| {
            (0..=MAX_ENTRIES.div_ceil(NEIGHBOURS_PER_BLOCK))
                .map(move |entry_blocks| layout(blocks, coded, entry_blocks))
        })
    })
}

fn has_whole_record(layout: &Layout, region: &[u8]) -> bool {
    let step = (layout.count / SAMPLES).max(1) as usize;
    (0..layout.count).step_by(step).any(|row| {
        let start = layout.records_offset() + row as usize * layout.record_bytes();
        region.get(start..start + layout.record_bytes()).is_some_and(record_is_whole)
    })
}
