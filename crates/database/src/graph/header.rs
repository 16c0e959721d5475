//! The first page of a graph's region.

use kernels::{ElementType, NEIGHBOURS_PER_BLOCK};

use super::error::GraphError;
use super::layout::{
    CODE_UNIT, GRAPH_HEADER_BYTES, GRAPH_MAGIC, GRAPH_VERSION, Layout, MAX_BLOCKS, MAX_ENTRIES,
    MAX_GRAPH_DIMENSION, MAX_GRAPH_ROWS, PAGE_BYTES, f32_at, u32_at,
};
use super::space::{SEED_OF_ROTATION, Space};
use crate::format::{METRIC_COSINE, METRIC_DOT, METRIC_L2};
use crate::schema::{Metric, element_code};

/// What the first page says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) layout: Layout,
    pub(crate) seed: u64,
    pub(crate) unit: f32,
    pub(crate) typical: f32,
    pub(crate) section_checksum: u32,
}

impl Header {
    pub(crate) fn of(space: &Space, layout: &Layout, section_checksum: u32) -> Self {
        Self {
            layout: *layout,
            seed: SEED_OF_ROTATION,
            unit: space.unit,
            typical: space.typical,
            section_checksum,
        }
    }

    /// That of a graph whose records are laid out like this, and of which nothing else is known.
    pub(crate) fn of_records(layout: Layout) -> Self {
        Self { layout, seed: SEED_OF_ROTATION, unit: 1.0, typical: 1.0, section_checksum: 0 }
    }

    pub(crate) fn to_page(&self) -> Vec<u8> {
        let layout = &self.layout;
        let mut page = Vec::with_capacity(PAGE_BYTES);
        page.extend_from_slice(&GRAPH_MAGIC);
        let kinds = u32::from_le_bytes([layout.metric.code(), element_code(layout.element), 0, 0]);
        for number in [
            GRAPH_VERSION,
            kinds,
            layout.count,
            layout.dimension as u32,
            layout.coded as u32,
            layout.blocks as u32,
            layout.entry_blocks as u32,
        ] {
            page.extend_from_slice(&number.to_le_bytes());
        }
        page.extend_from_slice(&self.unit.to_le_bytes());
        page.extend_from_slice(&self.typical.to_le_bytes());
        page.extend_from_slice(&self.section_checksum.to_le_bytes());
        page.extend_from_slice(&self.seed.to_le_bytes());
        let checksum = crc32fast::hash(&page);
        page.extend_from_slice(&checksum.to_le_bytes());
        debug_assert_eq!(page.len(), GRAPH_HEADER_BYTES);
        page.resize(PAGE_BYTES, 0);
        page
    }

    /// Reads the first page of a region and checks that the region is as long as it says.
    pub(crate) fn read(region: &[u8]) -> Result<Self, GraphError> {
        let damaged = |offset, reason| Err(GraphError::Damaged { offset, reason });
        let Some(page) = region.get(..PAGE_BYTES) else {
            return damaged(region.len() as u64, "it ends before its header does");
        };
        if page[..8] != GRAPH_MAGIC {
            return damaged(0, "it does not start as a graph");
        }
        let version = u32_at(page, 8);
        if version > GRAPH_VERSION {
            return Err(GraphError::Version { found: version, supported: GRAPH_VERSION });
        }
        let end = GRAPH_HEADER_BYTES - 4;
        if u32_at(page, end) != crc32fast::hash(&page[..end]) {
            return damaged(0, "the checksum of its header is wrong");
        }
        let metric = match page[12] {
            METRIC_COSINE => Metric::Cosine,
            METRIC_DOT => Metric::Dot,
            METRIC_L2 => Metric::L2,
            _ => return damaged(12, "there is no such metric"),
        };
        let types = ElementType::NUMBERS;
        let Some(element) = types.into_iter().find(|&element| element_code(element) == page[13])
        else {
            return damaged(13, "there is no such type of vectors");
        };
        let count = u32_at(page, 16);
        let dimension = u32_at(page, 20) as usize;
        let blocks = u32_at(page, 28) as usize;
        let entry_blocks = u32_at(page, 32) as usize;
        if count > MAX_GRAPH_ROWS
            || !(1..=MAX_GRAPH_DIMENSION).contains(&dimension)
            || !(1..=MAX_BLOCKS).contains(&blocks)
            || entry_blocks > MAX_ENTRIES.div_ceil(32)
        {
            return damaged(16, "its sizes are out of range");
        }
        let coded = u32_at(page, 24) as usize;
        let degree = blocks * NEIGHBOURS_PER_BLOCK;
        let entries = entry_blocks * NEIGHBOURS_PER_BLOCK;
        let layout = Layout::new(metric, element, count, dimension, degree, coded, entries);
        if coded == 0 || coded > layout.padded || !coded.is_multiple_of(CODE_UNIT) {
            return damaged(24, "its codes are of another size");
        }
        if layout.region_bytes() > region.len() as u64 {
            return damaged(region.len() as u64, "it ends before its last record does");
        }
        Ok(Self {
            layout,
            unit: f32_at(page, 36),
            typical: f32_at(page, 40),
            section_checksum: u32_at(page, 44),
            seed: u64::from_le_bytes(page[48..56].try_into().expect("eight bytes")),
        })
    }
}
