//! Records in an order, counts by value: what a collection holds, without a query.

use roaring::RoaringBitmap;
use serde_json::Value;

use crate::collection::Collection;
use crate::error::Result;
use crate::facet::FacetCounts;
use crate::filter::{Fields, Filter, Key};
use crate::head::HeadSnapshot;
use crate::metadata_index::FieldSource;
use crate::order_by::OrderBy;
use crate::record::Record;
use crate::snapshot::{Selection, Snapshot};
use crate::state::{Address, LiveSegment};

impl Collection {
    /// The records that match, in an order or as [`Collection::scan`] gives them, without the first
    /// `offset` of them, `limit` at most. Of records with equal values those come first that a scan
    /// gives first.
    ///
    /// Segments are sorted by their indexes, which takes time with the rows up to `offset + limit`;
    /// heads are sorted as a whole. Texts and vectors are read of the records that are returned.
    ///
    /// # Errors
    /// `Corrupt` or `Io` where a record cannot be read back from disk.
    pub fn find(
        &self,
        filter: Option<&Filter>,
        order: Option<&OrderBy>,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.contain(|| {
            let snapshot = self.snapshot()?;
            let found = snapshot.find(filter, order, offset, limit)?;
            found.into_iter().filter_map(|address| snapshot.record(address).transpose()).collect()
        })
    }

    /// How many of the records, or of those that match, have each value of a key.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub fn facet(&self, key: &Key, filter: Option<&Filter>) -> Result<FacetCounts> {
        self.contain(|| self.snapshot()?.facet(key, filter))
    }
}

impl Snapshot {
    fn find(
        &self,
        filter: Option<&Filter>,
        order: Option<&OrderBy>,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Address>> {
        let Some(order) = order else {
            let parts = self.select(filter)?;
            let addresses = parts
                .iter()
                .enumerate()
                .flat_map(|(part, rows)| rows.iter().map(move |row| Address::new(part, row)));
            return Ok(addresses.skip(offset).take(limit).collect());
        };
        let first = offset.saturating_add(limit);
        let mut found: Vec<(Option<Value>, Address)> = Vec::new();
        for (part, live) in self.segments.iter().enumerate() {
            let sorted = live.sorted_rows(order, filter, first)?;
            found.extend(sorted.into_iter().map(|(value, row)| (value, Address::new(part, row))));
        }
        for (head, records) in self.heads.iter().enumerate() {
            let part = self.segments.len() + head;
            records.for_each(filter, |slot, fields| {
                let value = order.key.value(fields).map(|value| value.into_owned());
                found.push((value, Address::new(part, slot)));
            });
        }
        let sorted = order.first(found, first);
        Ok(sorted.into_iter().skip(offset).map(|(_, address)| address).collect())
    }

    fn facet(&self, key: &Key, filter: Option<&Filter>) -> Result<FacetCounts> {
        let mut counts = FacetCounts::default();
        for live in self.segments.iter() {
            let among = live.among(filter)?;
            match live.segment.metadata_index()? {
                Some(index) => index.facet(key, among.as_ref(), &*live.segment, &mut counts)?,
                None if live.segment.has_only_ids() && *key != Key::Id => {}
                None => {
                    for row in live.rows_of(among) {
                        let count = &mut |fields: &Fields<'_>| counts.add_record(key, fields);
                        live.segment.with_fields(row, count)?;
                    }
                }
            }
        }
        for head in &self.heads {
            head.for_each(filter, |_, fields| counts.add_record(key, fields));
        }
        Ok(counts)
    }

    /// What the record has under a key; `None` also where there is no record.
    ///
    /// # Errors
    /// `Corrupt` where it is damaged.
    pub(crate) fn value(&self, address: Address, key: &Key) -> Result<Option<Value>> {
        let mut value = None;
        let mut see =
            |fields: &Fields<'_>| value = key.value(fields).map(|value| value.into_owned());
        match self.segments.get(address.part()) {
            Some(live) => live.segment.with_fields(address.row(), &mut see)?,
            None => {
                let head = self.heads.get(address.part() - self.segments.len());
                if let Some(record) = head.and_then(|head| head.records.get(address.row())) {
                    see(&record.into());
                }
            }
        }
        Ok(value)
    }
}

impl HeadSnapshot {
    /// Shows the slot and the fields of each record that matches, in the order of the slots.
    fn for_each(&self, filter: Option<&Filter>, mut see: impl FnMut(u32, &Fields<'_>)) {
        for (slot, record) in self.records.iter_from(0) {
            let fields = Fields::from(record);
            if filter.is_none_or(|filter| filter.accepts(&fields)) {
                see(slot, &fields);
            }
        }
    }
}

impl LiveSegment {
    /// The live rows that match; `None` where these are all rows.
    fn among(&self, filter: Option<&Filter>) -> Result<Option<RoaringBitmap>> {
        Ok(match self.select(filter)? {
            Selection::Rows(rows) => Some(rows),
            Selection::Live if self.dead.is_empty() => None,
            Selection::Live => Some(self.rows_of(None) - &*self.dead),
        })
    }

    fn rows_of(&self, among: Option<RoaringBitmap>) -> RoaringBitmap {
        among.unwrap_or_else(|| {
            let mut rows = RoaringBitmap::new();
            rows.insert_range(0..self.segment.rows());
            rows
        })
    }

    /// The first `limit` of the live rows that match, in order, with their values.
    fn sorted_rows(
        &self,
        order: &OrderBy,
        filter: Option<&Filter>,
        limit: usize,
    ) -> Result<Vec<(Option<Value>, u32)>> {
        let among = self.among(filter)?;
        if let Some(index) = self.segment.metadata_index()? {
            return index.sorted_rows(order, among.as_ref(), limit, &*self.segment);
        }
        let rows = self.rows_of(among);
        if self.segment.has_only_ids() && order.key != Key::Id {
            return Ok(rows.iter().take(limit).map(|row| (None, row)).collect());
        }
        let mut found = Vec::new();
        for row in rows {
            self.segment.with_fields(row, &mut |fields| {
                found.push((order.key.value(fields).map(|value| value.into_owned()), row));
            })?;
        }
        Ok(order.first(found, limit))
    }
}
