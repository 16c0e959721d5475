//! What segments are written from: a frozen head, or other segments.

use crate::error::Result;
use crate::head::HeadSnapshot;
use crate::segment::{SegmentRecord, SegmentSource};
use crate::state::LiveSegment;
use crate::text_search::{IndexKey, Origins};

/// The live records of a head, in slot order.
pub(crate) struct HeadSource {
    head: HeadSnapshot,
    slots: Vec<u32>,
}

impl HeadSource {
    pub(crate) fn new(head: HeadSnapshot) -> Self {
        let slots = head.records.iter_from(0).map(|(slot, _)| slot).collect();
        Self { head, slots }
    }

    /// What its words were searched in.
    pub(crate) fn text_keys(&self) -> Vec<IndexKey> {
        self.head.texts().keys()
    }

    /// The slot that each row was written from.
    pub(crate) fn slots(&self) -> &[u32] {
        &self.slots
    }
}

impl SegmentSource for HeadSource {
    fn rows(&self) -> u32 {
        self.slots.len() as u32
    }

    fn copy_vector(&self, row: u32, out: &mut [f32]) -> Result<()> {
        out.copy_from_slice(&self.head.vectors.row(self.slots[row as usize]));
        Ok(())
    }

    fn record(&self, row: u32) -> Result<SegmentRecord> {
        let slot = self.slots[row as usize];
        let record = self.head.record(slot)?;
        // A snapshot does not change, and the slots were read from it.
        Ok(record.unwrap_or_else(|| panic!("slot {slot} of a snapshot has become empty")))
    }
}

/// Rows that are read from the medium together while a merge goes over them in order. Segments are
/// mapped for walks, so that nothing is read around what is touched.
const ROWS_AHEAD: u32 = 1024;

/// The live rows of several segments, one segment after the other. Takes 8 bytes a row.
pub(crate) struct MergeSource {
    segments: Vec<LiveSegment>,
    /// Which row of which segment each row is.
    origins: Vec<(u32, u32)>,
}

impl MergeSource {
    pub(crate) fn new(segments: Vec<LiveSegment>) -> Self {
        let mut origins = Vec::new();
        for (number, live) in segments.iter().enumerate() {
            let rows = (0..live.segment.rows()).filter(|row| live.is_live(*row));
            origins.extend(rows.map(|row| (number as u32, row)));
        }
        Self { segments, origins }
    }

    pub(crate) fn segments(&self) -> &[LiveSegment] {
        &self.segments
    }

    /// What an index of the words is merged from.
    pub(crate) fn text_origins(&self) -> Origins<'_> {
        let segments = self.segments.iter().map(|live| &*live.segment).collect();
        Origins { segments, rows: &self.origins }
    }

    /// Which row of which segment each row is.
    pub(crate) fn origins(&self) -> &[(u32, u32)] {
        &self.origins
    }

    /// The segment that a row is from, and its number there. Those who come by in order find that
    /// the rows behind are being read already.
    fn origin(&self, row: u32) -> (&LiveSegment, u32) {
        let (segment, origin) = self.origins[row as usize];
        let live = &self.segments[segment as usize];
        if row.is_multiple_of(ROWS_AHEAD) {
            live.segment.prefetch(origin..origin.saturating_add(2 * ROWS_AHEAD));
        }
        (live, origin)
    }
}

impl SegmentSource for MergeSource {
    fn rows(&self) -> u32 {
        self.origins.len() as u32
    }

    fn copy_vector(&self, row: u32, out: &mut [f32]) -> Result<()> {
        let (live, row) = self.origin(row);
        live.segment.vector(row, out)
    }

    fn record(&self, row: u32) -> Result<SegmentRecord> {
        let (live, row) = self.origin(row);
        live.segment.record(row)
    }
}
