//! Counts by value: how many records have which value under a key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::filter::sorted_value::SortedValue;
use crate::filter::{Fields, Key};

/// How many records have each value of a key.
///
/// A record with an array counts once for each distinct element, as `$contains` would find it, and
/// one with an empty array nowhere; a record without the key counts nowhere. Equal values are one:
/// 1 and 1.0 are counted together, and given as 1.
///
/// Counts of several segments, and of records in memory, add up in one of these.
#[derive(Clone, Debug, Default)]
pub struct FacetCounts(BTreeMap<SortedValue, u64>);

impl FacetCounts {
    /// Counts what a record has under a key.
    pub fn add_record(&mut self, key: &Key, fields: &Fields<'_>) {
        match key.value(fields).as_deref() {
            Some(Value::Array(items)) => {
                let distinct: BTreeSet<SortedValue> = items.iter().map(SortedValue::new).collect();
                distinct.into_iter().for_each(|value| self.add_sorted(value, 1));
            }
            Some(value) => self.add(value, 1),
            None => {}
        }
    }

    /// Counts so many records with a value.
    pub(crate) fn add(&mut self, value: &Value, records: u64) {
        self.add_sorted(SortedValue::new(value), records);
    }

    /// The values and their counts: the largest count first, equal counts in the order of their
    /// values. Null comes before booleans, numbers, strings, arrays and objects.
    pub fn into_sorted(self) -> Vec<(Value, u64)> {
        let mut counts: Vec<(Value, u64)> =
            self.0.into_iter().map(|(value, count)| (value.into_value(), count)).collect();
        // Stable: equal counts stay in the order of the map.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    fn add_sorted(&mut self, value: SortedValue, records: u64) {
        if records > 0 {
            *self.0.entry(value).or_default() += records;
        }
    }
}
