//! A collection now: segments on disk, heads in memory, and where each record is.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::containment::{contain, damage_version, readable};
use crate::error::Result;
use crate::graph::CodedRows;
use crate::head::{Head, HeadSnapshot};
use crate::log::LogFile;
use crate::record::{Document, Id, Written};
use crate::records::StoredRecord;
use crate::schema::Schema;
use crate::segment::Segment;
use crate::set_aside::SetAside;
use crate::snapshot::Snapshot;
use crate::transaction::Changes;

/// A segment and which of its rows are no longer there.
#[derive(Clone)]
pub(crate) struct LiveSegment {
    pub(crate) segment: Arc<Segment>,
    pub(crate) dead: Arc<RoaringBitmap>,
}

impl LiveSegment {
    /// Live rows that can be read, as far as is known.
    pub(crate) fn live_rows(&self) -> u64 {
        u64::from(self.segment.rows()) - self.dead.len() - self.lost().len()
    }

    pub(crate) fn is_live(&self, row: u32) -> bool {
        !self.dead.contains(row)
    }

    /// The row of a live record.
    pub(crate) fn find(&self, id: &Id) -> Result<Option<u32>> {
        self.find_hashed(id, self.segment.expect(id)?)
    }

    /// [`LiveSegment::find`] for an id whose hash is known.
    fn find_hashed(&self, id: &Id, hash: u64) -> Result<Option<u32>> {
        Ok(self.segment.find_hashed(id, hash)?.filter(|row| self.is_live(*row)))
    }
}

/// Ids that are looked for in a segment together: about as many as a processor fetches at a time.
const IDS_AT_ONCE: usize = 16;

/// A row of one of the segments.
#[derive(Clone, Copy)]
struct SegmentRow {
    segment: usize,
    row: u32,
}

/// Which rows of segments a transaction replaces or deletes. Found before the transaction is
/// written, because a damaged segment may refuse; good as long as no other writer comes between.
pub(crate) struct Replaced {
    deletes: Vec<Option<SegmentRow>>,
    records: Vec<Option<SegmentRow>>,
}

/// Where a live record is.
#[derive(Clone, Copy)]
enum Location {
    Segment(SegmentRow),
    Head { head: usize, slot: u32 },
}

/// A collection now. A live id is in exactly one place.
pub(crate) struct State {
    /// Oldest first.
    segments: Arc<Vec<LiveSegment>>,
    /// Those that cannot be read.
    set_aside: Arc<Vec<SetAside>>,
    /// Oldest first; the last one takes the writes, the others are frozen. Never empty.
    heads: Vec<Head>,
    documents: Arc<BTreeMap<String, Document>>,
    /// One copy of each source name in memory, however many records come from it.
    sources: HashSet<Arc<str>>,
}

impl State {
    pub(crate) fn new(
        segments: Vec<LiveSegment>,
        documents: BTreeMap<String, Document>,
        head: Head,
    ) -> Self {
        Self {
            segments: Arc::new(segments),
            set_aside: Arc::default(),
            heads: vec![head],
            documents: Arc::new(documents),
            sources: HashSet::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let heads: Vec<HeadSnapshot> = self.heads.iter().map(Head::snapshot).collect();
        let damage_version = damage_version(&self.segments);
        Snapshot { segments: readable(&self.segments), heads, damage_version }
    }

    /// A copy that is only read. Costs some reference counts; what a later write changes of it is
    /// copied by that write.
    pub(crate) fn frozen(&self) -> Self {
        Self {
            segments: self.segments.clone(),
            set_aside: self.set_aside.clone(),
            heads: self.heads.iter().map(Head::frozen).collect(),
            documents: self.documents.clone(),
            sources: HashSet::new(),
        }
    }

    pub(crate) fn segments(&self) -> &Arc<Vec<LiveSegment>> {
        &self.segments
    }

    /// Segments that cannot be read.
    pub(crate) fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// From now on these are the ones that cannot be read.
    pub(crate) fn set_aside_segments(&mut self, set_aside: Vec<SetAside>) {
        self.set_aside = Arc::new(set_aside);
    }

    pub(crate) fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The head that takes the writes.
    pub(crate) fn active_head(&self) -> &Head {
        &self.heads[self.heads.len() - 1]
    }

    fn active_head_mut(&mut self) -> &mut Head {
        let last = self.heads.len() - 1;
        &mut self.heads[last]
    }

    /// Live records.
    pub(crate) fn len(&self) -> usize {
        let in_segments: u64 = self.segments.iter().map(LiveSegment::live_rows).sum();
        in_segments as usize + self.heads.iter().map(Head::len).sum::<usize>()
    }

    pub(crate) fn documents(&self) -> &Arc<BTreeMap<String, Document>> {
        &self.documents
    }

    fn locate(&self, id: &Id) -> Result<Option<Location>> {
        for (head, records) in self.heads.iter().enumerate() {
            if let Some(slot) = records.slot(id) {
                return Ok(Some(Location::Head { head, slot }));
            }
        }
        Ok(self.locate_in_segments(id)?.map(Location::Segment))
    }

    fn locate_in_segments(&self, id: &Id) -> Result<Option<SegmentRow>> {
        contain(&self.segments, || self.look_in_segments(id))
    }

    /// Recent segments first: what is changed at all is mostly changed again.
    fn look_in_segments(&self, id: &Id) -> Result<Option<SegmentRow>> {
        for (segment, live) in self.segments.iter().enumerate().rev() {
            if let Some(row) = live.find(id)? {
                return Ok(Some(SegmentRow { segment, row }));
            }
        }
        Ok(None)
    }

    pub(crate) fn contains(&self, id: &Id) -> Result<bool> {
        Ok(self.locate(id)?.is_some())
    }

    /// Where a snapshot taken now has the record.
    pub(crate) fn address(&self, id: &Id) -> Result<Option<Address>> {
        let segments = self.segments.len();
        Ok(self.locate(id)?.map(|location| match location {
            Location::Segment(SegmentRow { segment, row }) => Address::new(segment, row),
            Location::Head { head, slot } => Address::new(segments + head, slot),
        }))
    }

    /// The source that a live record came from; `None` also where the record cannot be read.
    pub(crate) fn source(&self, id: &Id) -> Result<Option<Arc<str>>> {
        let place = match self.locate(id)? {
            None => return Ok(None),
            Some(Location::Head { head, slot }) => {
                self.heads[head].record(slot).and_then(|record| record.place.clone())
            }
            Some(Location::Segment(SegmentRow { segment, row })) => {
                let segment = &self.segments[segment].segment;
                contain(&self.segments, || match segment.is_lost(row) {
                    true => Ok(None),
                    false => Ok(segment.stored(row)?.place),
                })?
            }
        };
        Ok(place.map(|place| place.source))
    }

    /// # Errors
    /// `Corrupt` where a segment cannot tell whether it holds an id.
    pub(crate) fn replaced_by(&self, changes: &Changes) -> Result<Replaced> {
        let deletes: Vec<&Id> = changes.deletes.iter().collect();
        let records: Vec<&Id> = changes.records.iter().map(|record| &record.id).collect();
        contain(&self.segments, || {
            Ok(Replaced {
                deletes: self.look_for_all(&deletes)?,
                records: self.look_for_all(&records)?,
            })
        })
    }

    /// Where each id is in the segments; `None` too for those in a head. Goes from segment to segment,
    /// not from id to id: the table of one stays in a cache.
    fn look_for_all(&self, ids: &[&Id]) -> Result<Vec<Option<SegmentRow>>> {
        let mut found = vec![None; ids.len()];
        let in_head =
            |place: &usize| self.heads.iter().any(|head| head.slot(ids[*place]).is_some());
        let mut sought: Vec<usize> = (0..ids.len()).filter(|place| !in_head(place)).collect();
        for (segment, live) in self.segments.iter().enumerate().rev() {
            let mut left = Vec::with_capacity(sought.len());
            for places in sought.chunks(IDS_AT_ONCE) {
                let hash = |place: &usize| live.segment.expect(ids[*place]);
                let hashes: Vec<u64> = places.iter().map(hash).collect::<Result<_>>()?;
                for (&place, hash) in places.iter().zip(hashes) {
                    match live.find_hashed(ids[place], hash)? {
                        Some(row) => found[place] = Some(SegmentRow { segment, row }),
                        None => left.push(place),
                    }
                }
            }
            sought = left;
        }
        Ok(found)
    }

    /// Applies a transaction that is in the log of the active head, its payload at
    /// `payload_offset`.
    pub(crate) fn apply(
        &mut self,
        changes: Changes,
        replaced: Replaced,
        payload_offset: u64,
    ) -> Written {
        let mut deleted = 0;
        for (id, row) in changes.deletes.iter().zip(replaced.deletes) {
            let in_head = self.heads.iter_mut().any(|head| head.delete(id));
            deleted += usize::from(in_head || self.bury(row));
        }
        let upserted = changes.records.len();
        let dimension = changes.vectors.len() / upserted.max(1);
        let vectors = changes.vectors.chunks_exact(dimension.max(1));
        for ((record, row), vector) in
            changes.records.into_iter().zip(replaced.records).zip(vectors)
        {
            let frozen = self.heads.len() - 1;
            self.heads[..frozen].iter_mut().any(|head| head.delete(&record.id));
            self.bury(row);
            let record = self.with_shared_source(record.in_payload_at(payload_offset));
            self.active_head_mut().upsert(record, vector);
        }
        if !changes.documents.is_empty() {
            let documents = Arc::make_mut(&mut self.documents);
            for (source, document) in changes.documents {
                match document {
                    Some(document) => documents.insert(source, document),
                    None => documents.remove(&source),
                };
            }
        }
        Written { upserted, deleted }
    }

    /// Takes a row out of its segment; returns whether it was there.
    fn bury(&mut self, row: Option<SegmentRow>) -> bool {
        row.is_some_and(|SegmentRow { segment, row }| {
            Arc::make_mut(&mut Arc::make_mut(&mut self.segments)[segment].dead).insert(row)
        })
    }

    fn with_shared_source(&mut self, mut record: StoredRecord) -> StoredRecord {
        if let Some(place) = &mut record.place {
            match self.sources.get(&place.source) {
                Some(source) => place.source = source.clone(),
                None => {
                    self.sources.insert(place.source.clone());
                }
            }
        }
        record
    }

    /// Freezes the active head; an empty one for this log takes the writes from now on.
    pub(crate) fn freeze(&mut self, schema: &Schema, log: Arc<LogFile>) {
        self.heads.push(Head::new(schema, log));
    }

    /// Puts a segment in the place of the oldest head, which it was written from; `None` where
    /// the head had become empty.
    pub(crate) fn replace_oldest_head(&mut self, segment: Option<LiveSegment>) {
        self.heads.remove(0);
        Arc::make_mut(&mut self.segments).extend(segment);
        self.sources.retain(|source| Arc::strong_count(source) > 1);
    }

    /// Lets go of the segments that hold nothing live any more; returns their numbers.
    pub(crate) fn remove_empty_segments(&mut self) -> Vec<u64> {
        // What cannot be read is there all the same.
        let is_empty = |live: &LiveSegment| live.dead.len() == u64::from(live.segment.rows());
        let empty = self.segments.iter().filter(|live| is_empty(live));
        let numbers: Vec<u64> = empty.map(|live| live.segment.number()).collect();
        if !numbers.is_empty() {
            Arc::make_mut(&mut self.segments).retain(|live| !is_empty(live));
        }
        numbers
    }

    /// Puts a segment in the place of the ones that it was merged from.
    pub(crate) fn replace_segments(&mut self, merged: &[u64], segment: Option<LiveSegment>) {
        let segments = Arc::make_mut(&mut self.segments);
        let is_merged = |live: &LiveSegment| merged.contains(&live.segment.number());
        let place = segments.iter().position(is_merged).unwrap_or(segments.len());
        segments.retain(|live| !is_merged(live));
        if let Some(segment) = segment {
            segments.insert(place, segment);
        }
    }

    /// An estimate of the memory in use, mapped segments apart.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let documents: usize = self
            .documents
            .keys()
            .map(|source| source.len() + size_of::<(String, Document)>())
            .sum();
        let sources: usize = self.sources.iter().map(|source| source.len() + 32).sum();
        let heads: u64 = self.heads.iter().map(Head::memory_bytes).sum();
        let dead: usize = self.segments.iter().map(|live| live.dead.serialized_size()).sum();
        let texts: u64 = self.segments.iter().map(|live| live.segment.texts().memory_bytes()).sum();
        let fields = self.segments.iter().map(|live| live.segment.field_indexes().memory_bytes());
        let fields: u64 = fields.sum();
        let codes = self.segments.iter().filter_map(|live| live.segment.codes());
        let codes: u64 = codes.map(CodedRows::memory_bytes).sum();
        let filters: u64 = self.segments.iter().map(|live| live.segment.accepted_bytes()).sum();
        let fine: u64 = self.segments.iter().map(|live| live.segment.fine_memory_bytes()).sum();
        heads + texts + fields + codes + filters + fine + (documents + sources + dead) as u64
    }
}

/// Where a record is in one snapshot: orders as records were written, replaced ones at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(u64);

impl Address {
    pub(crate) fn new(part: usize, row: u32) -> Self {
        Self((part as u64) << 32 | u64::from(row))
    }

    /// Segments first, then heads.
    pub(crate) fn part(self) -> usize {
        (self.0 >> 32) as usize
    }

    pub(crate) fn row(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_beyond_32_bits_of_records() {
        let mut before = None;
        for part in [0, 1, 5, 1 << 20] {
            for row in [0, 1, u32::MAX / 2, u32::MAX] {
                let address = Address::new(part, row);
                assert_eq!((address.part(), address.row()), (part, row));
                assert!(before.is_none_or(|before| before < address), "{address:?}");
                before = Some(address);
            }
        }
    }
}
