//! Writing a graph's region, front to back.

use std::io::Write;

use kernels::{Backend, bytes_of};
use rayon::prelude::*;

use super::Rows;
use super::adjacency::Adjacency;
use super::edges::{EdgeEncoder, Scales};
use super::error::GraphError;
use super::header::Header;
use super::layout::{
    Layout, PAGE_BYTES, RECORD_CHECKSUM_OFFSET, RECORD_FIXED_BYTES, f32_at, u32_at,
};
use super::order::Order;
use super::progress::Phase;
use super::space::{Points, Space};
use crate::score::inverse_norm;

/// Rows that one task encodes, and tasks whose records are in memory at a time.
const ROWS_PER_TASK: usize = 64;
const TASKS: usize = 32;

/// A graph in memory, whose nodes are known by their places.
pub(crate) struct Built<'a> {
    pub(crate) points: &'a Points,
    pub(crate) order: &'a Order,
    pub(crate) adjacency: &'a Adjacency,
}

/// Writes everything: header, entry section, records.
pub(crate) fn write(
    rows: &dyn Rows,
    built: &Built<'_>,
    space: &Space,
    layout: &Layout,
    entries: &[u32],
    phase: &Phase<'_>,
    out: &mut dyn Write,
) -> Result<(), GraphError> {
    let Built { points, order, adjacency } = *built;
    let section = entry_section(built, space, layout, entries);
    out.write_all(&Header::of(space, layout, crc32fast::hash(&section)).to_page())?;
    out.write_all(&section)?;
    let edges = encode_edges(points, adjacency, layout, |place| order.row(place), phase)?;
    let backend = Backend::active();
    let (bytes, edge_bytes) = (layout.record_bytes(), layout.vector_offset());
    let mut records =
        vec![0u8; bytes * ROWS_PER_TASK * TASKS.min(points.len().div_ceil(ROWS_PER_TASK))];
    for first in (0..points.len()).step_by(ROWS_PER_TASK * TASKS) {
        let here = (ROWS_PER_TASK * TASKS).min(points.len() - first);
        let records = &mut records[..here * bytes];
        records.par_chunks_mut(bytes * ROWS_PER_TASK).enumerate().try_for_each_init(
            || vec![0.0f32; layout.dimension],
            |vector, (task, records)| {
                for (index, record) in records.chunks_mut(bytes).enumerate() {
                    let row = (first + task * ROWS_PER_TASK + index) as u32;
                    let (head, own) = record.split_at_mut(edge_bytes);
                    head.copy_from_slice(
                        &edges[order.place(row) as usize * edge_bytes..][..edge_bytes],
                    );
                    own.fill(0);
                    rows.copy(row, vector);
                    let stored = &mut own[..layout.element.row_bytes(layout.dimension)];
                    backend.encode_row(layout.element, vector, stored).map_err(|error| {
                        GraphError::Unbuildable(format!("row {row} cannot be stored: {error}"))
                    })?;
                    backend.decode_row(layout.element, stored, vector);
                    head[..4].copy_from_slice(&inverse_norm(vector).to_le_bytes());
                    let checksum = record_checksum(record);
                    record[RECORD_CHECKSUM_OFFSET..][..4].copy_from_slice(&checksum.to_le_bytes());
                }
                Ok::<_, GraphError>(())
            },
        )?;
        out.write_all(records)?;
        phase.advance(here)?;
    }
    Ok(())
}

/// The part of every record that tells its neighbours, by the `name` of each, in the order of places: points
/// of neighbours are then in a cache, where rows in their own order would wait for each of them.
pub(crate) fn encode_edges(
    points: &Points,
    adjacency: &Adjacency,
    layout: &Layout,
    name: impl Fn(u32) -> u32 + Sync,
    phase: &Phase<'_>,
) -> Result<Vec<u8>, GraphError> {
    let bytes = layout.vector_offset();
    let mut edges = vec![0u8; bytes * points.len()];
    edges.par_chunks_mut(bytes * ROWS_PER_TASK).enumerate().try_for_each_init(
        || EdgeEncoder::new(layout.coded),
        |encoder, (task, edges)| {
            let places = (task * ROWS_PER_TASK) as u32..;
            for (place, edges) in places.zip(edges.chunks_mut(bytes)) {
                let scales = encoder.encode(
                    points,
                    (points.get(place), points.lift(place)),
                    adjacency.of(place),
                    place,
                    &name,
                    &mut edges[RECORD_FIXED_BYTES..],
                );
                put_scales(edges, scales);
            }
            phase.advance(edges.len() / bytes)
        },
    )?;
    Ok(edges)
}

/// The checksum of a record, without the field that keeps it.
pub(crate) fn record_checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..RECORD_CHECKSUM_OFFSET]);
    hasher.update(&record[RECORD_CHECKSUM_OFFSET + 4..]);
    hasher.finalize()
}

/// Whether a record's checksum is right.
pub(crate) fn record_is_whole(record: &[u8]) -> bool {
    u32_at(record, RECORD_CHECKSUM_OFFSET) == record_checksum(record)
}

fn put_scales(record: &mut [u8], scales: Scales) {
    record[4..8].copy_from_slice(&scales.offset.to_le_bytes());
    record[8..12].copy_from_slice(&scales.slope.to_le_bytes());
}

#[inline]
pub(crate) fn scales_of(record: &[u8]) -> Scales {
    Scales { offset: f32_at(record, 4), slope: f32_at(record, 8) }
}

fn entry_section(built: &Built<'_>, space: &Space, layout: &Layout, entries: &[u32]) -> Vec<u8> {
    let points = built.points;
    let mut section = vec![0u8; layout.records_offset() - PAGE_BYTES];
    let (head, blocks) = section.split_at_mut(layout.entry_blocks_offset());
    let blocks = &mut blocks[..layout.entry_blocks * layout.block_bytes()];
    let centre = vec![0.0; points.width];
    let filler = entries.first().copied().unwrap_or(0);
    let name = |place| built.order.row(place);
    let scales = EdgeEncoder::new(layout.coded).encode(
        points,
        (&centre, 0.0),
        entries,
        filler,
        name,
        blocks,
    );
    put_scales(head, scales);
    head[RECORD_FIXED_BYTES..].copy_from_slice(bytes_of(&space.centre));
    section
}
