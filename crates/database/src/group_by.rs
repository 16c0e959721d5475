//! Records in groups that share a value of a key.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use serde_json::Value;

use crate::filter::sorted_value::SortedValue;
use crate::filter::{Fields, Key};

/// All rows, in groups with equal values under a key. A row belongs to one group: its value counts
/// as a whole, also if it is an array. Rows without the key are a group of their own.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    groups: BTreeMap<SortedValue, RoaringBitmap>,
    missing: RoaringBitmap,
}

impl Groups {
    /// Puts a row into the group of what it has under a key.
    pub fn add_record(&mut self, key: &Key, fields: &Fields<'_>, row: u32) {
        match key.value(fields) {
            Some(value) => {
                self.groups.entry(SortedValue::new(&value)).or_default().insert(row);
            }
            None => {
                self.missing.insert(row);
            }
        }
    }

    /// Puts rows into the group of a value.
    pub(crate) fn add(&mut self, value: &Value, rows: RoaringBitmap) {
        if !rows.is_empty() {
            *self.groups.entry(SortedValue::new(value)).or_default() |= rows;
        }
    }

    pub(crate) fn add_missing(&mut self, rows: RoaringBitmap) {
        self.missing |= rows;
    }

    /// The groups in the order of their values, at last that of the rows without the key.
    pub fn into_sorted(self) -> Vec<(Option<Value>, RoaringBitmap)> {
        let groups = self.groups.into_iter();
        let mut groups: Vec<(Option<Value>, RoaringBitmap)> =
            groups.map(|(value, rows)| (Some(value.into_value()), rows)).collect();
        if !self.missing.is_empty() {
            groups.push((None, self.missing));
        }
        groups
    }
}

/// The best groups of a ranking: each group ranks as its best hit does.
#[derive(Clone, Debug)]
pub struct RankedGroups<H> {
    /// The place of each value's group. A missing value is one, too.
    places: BTreeMap<Option<SortedValue>, usize>,
    groups: Vec<(Option<Value>, Vec<H>)>,
    limit: usize,
    size: usize,
    /// Groups with as many hits as they take.
    full: usize,
}

impl<H> RankedGroups<H> {
    /// At most `limit` groups of at most `size` hits.
    pub fn new(limit: usize, size: usize) -> Self {
        Self { places: BTreeMap::new(), groups: Vec::new(), limit, size, full: 0 }
    }

    /// Takes the next hit of the ranking, best first, with its value under the key.
    pub fn push(&mut self, value: Option<&Value>, hit: H) {
        if self.is_full() {
            return;
        }
        let sorted = value.map(SortedValue::new);
        let place = match self.places.get(&sorted) {
            Some(place) => *place,
            None if self.groups.len() == self.limit => return,
            None => {
                self.groups.push((sorted.clone().map(SortedValue::into_value), Vec::new()));
                self.places.insert(sorted, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        let hits = &mut self.groups[place].1;
        if hits.len() < self.size {
            hits.push(hit);
            self.full += usize::from(hits.len() == self.size);
        }
    }

    /// Whether further hits change nothing.
    pub fn is_full(&self) -> bool {
        self.full == self.limit || self.size == 0
    }

    /// The groups, best first, each with its hits, best first.
    pub fn into_groups(self) -> Vec<(Option<Value>, Vec<H>)> {
        self.groups
    }
}
