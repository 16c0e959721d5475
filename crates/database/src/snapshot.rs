//! A collection at one moment: what every read works on.

use std::sync::Arc;

use rayon::prelude::*;
use roaring::RoaringBitmap;

use crate::containment::{damage_version, learn, readable};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::head::HeadSnapshot;
use crate::record::{Hit, Id, Record};
use crate::schema::Metric;
use crate::score::visible;
use crate::segment::{Accepted, SegmentRecord};
use crate::state::{Address, LiveSegment};

/// A collection at one moment. Cheap to take; later writes and merges leave it alone, and the
/// files that it needs stay readable though they may be deleted meanwhile.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) segments: Arc<Vec<LiveSegment>>,
    pub(crate) heads: Vec<HeadSnapshot>,
    /// How often damage had been learned of in the segments: the rows that it had made unreadable
    /// are dead here.
    pub(crate) damage_version: u64,
}

/// The rows of a segment that a read is about.
pub(crate) enum Selection {
    /// All but the dead ones.
    Live,
    /// These, none of them dead.
    Rows(RoaringBitmap),
}

impl LiveSegment {
    /// The live rows that match.
    ///
    /// # Errors
    /// `Corrupt` where the segment is damaged.
    pub(crate) fn select(&self, filter: Option<&Filter>) -> Result<Selection> {
        match filter {
            None => Ok(Selection::Live),
            Some(filter) => {
                Ok(Selection::Rows(self.segment.accepted(filter)?.rows() - &*self.dead))
            }
        }
    }

    /// How many of the rows that a filter accepts are live.
    pub(crate) fn live_among(&self, accepted: &Accepted) -> u64 {
        accepted.rows().len() - accepted.rows().intersection_len(&self.dead)
    }
}

impl Snapshot {
    /// Whether there is less damage to meet in [`Snapshot::renewed`] than here, where a read ended in
    /// this error.
    pub(crate) fn learn_from(&self, error: &Error) -> bool {
        learn(&self.segments, self.damage_version, error)
    }

    /// Whether damage was learned of since the snapshot was taken.
    pub(crate) fn is_outdated(&self) -> bool {
        damage_version(&self.segments) != self.damage_version
    }

    /// The same, without the rows that are known to be unreadable now.
    pub(crate) fn renewed(&self) -> Self {
        let damage_version = damage_version(&self.segments);
        let heads = self.heads.clone();
        Self { segments: readable(&self.segments), heads, damage_version }
    }

    fn segment(&self, address: Address) -> Option<&LiveSegment> {
        self.segments.get(address.part())
    }

    fn head(&self, address: Address) -> Option<&HeadSnapshot> {
        self.heads.get(address.part().checked_sub(self.segments.len())?)
    }

    /// The record without its vector; `None` where there is none.
    ///
    /// # Errors
    /// `Corrupt` where it is no longer what was written, `Io` where it cannot be read.
    pub(crate) fn content(&self, address: Address) -> Result<Option<SegmentRecord>> {
        if let Some(live) = self.segment(address) {
            return match live.is_live(address.row()) {
                true => live.segment.record(address.row()).map(Some),
                // It was found by its id: whoever asks for it is told.
                false => live.segment.check_not_lost(address.row()).map(|()| None),
            };
        }
        self.head(address).map_or(Ok(None), |head| head.record(address.row()))
    }

    /// # Errors
    /// As [`Snapshot::content`].
    pub(crate) fn record(&self, address: Address) -> Result<Option<Record>> {
        let Some(SegmentRecord { id, text, metadata, place, vectors }) = self.content(address)?
        else {
            return Ok(None);
        };
        let vector = match (self.segment(address), self.head(address)) {
            (Some(live), _) => {
                let mut vector = vec![0.0; live.segment.dimension()];
                live.segment.vector(address.row(), &mut vector)?;
                vector
            }
            (None, Some(head)) => head.vectors.row(address.row()).into_owned(),
            (None, None) => return Ok(None),
        };
        Ok(Some(Record { id, vector, text, metadata, place, vectors }))
    }

    /// # Errors
    /// As [`Snapshot::content`].
    pub(crate) fn hit(&self, address: Address, score: f32) -> Result<Option<Hit>> {
        let content = self.content(address)?;
        Ok(content.map(|SegmentRecord { id, text, metadata, place, .. }| Hit {
            id,
            score,
            text,
            metadata,
            place,
        }))
    }

    /// The hits of a ranking, with their texts.
    ///
    /// # Errors
    /// As [`Snapshot::content`].
    pub(crate) fn hits(&self, ranking: &[(f32, Address)], metric: Metric) -> Result<Vec<Hit>> {
        let hit = |&(score, address): &(f32, Address)| {
            self.hit(address, visible(score, metric)).transpose()
        };
        ranking.iter().filter_map(hit).collect()
    }

    /// Hints that these records will be read soon, so that they come from memory side by side.
    pub(crate) fn expect(&self, addresses: impl Iterator<Item = Address> + Clone) {
        let rows = addresses.filter_map(|address| Some((self.segment(address)?, address.row())));
        rows.clone().for_each(|(live, row)| live.segment.expect_offset(row));
        rows.for_each(|(live, row)| live.segment.expect_record(row));
    }

    /// The id of a live record.
    ///
    /// # Errors
    /// As [`Snapshot::content`].
    pub(crate) fn id(&self, address: Address) -> Result<Option<Id>> {
        if let Some(live) = self.segment(address) {
            return live.segment.id(address.row()).map(Some);
        }
        let head = self.head(address);
        Ok(head.and_then(|head| head.records.get(address.row())).map(|record| record.id.clone()))
    }

    /// How many records match.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub(crate) fn count(&self, filter: &Filter) -> Result<usize> {
        let mut count = 0;
        for live in self.segments.iter() {
            count += live.live_among(&*live.segment.accepted(filter)?) as usize;
        }
        let matching = |head: &HeadSnapshot| {
            head.records.par_iter().filter(|record| filter.matches(record)).count()
        };
        Ok(count + self.heads.iter().map(matching).sum::<usize>())
    }

    /// The rows of each part that match.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub(crate) fn select(&self, filter: Option<&Filter>) -> Result<Vec<RoaringBitmap>> {
        let mut parts = Vec::with_capacity(self.segments.len() + self.heads.len());
        for live in self.segments.iter() {
            parts.push(match live.select(filter)? {
                Selection::Rows(rows) => rows,
                Selection::Live => {
                    let mut rows = RoaringBitmap::new();
                    rows.insert_range(0..live.segment.rows());
                    rows - &*live.dead
                }
            });
        }
        for head in &self.heads {
            let matching = head.records.iter_from(0);
            let matching =
                matching.filter(|(_, record)| filter.is_none_or(|filter| filter.matches(record)));
            parts.push(matching.map(|(slot, _)| slot).collect());
        }
        Ok(parts)
    }
}
