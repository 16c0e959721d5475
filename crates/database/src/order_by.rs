//! Records in the order of a key.

use std::cmp::Ordering;

use serde_json::Value;

use crate::filter::Key;
use crate::filter::compare::total_order;

/// Which values come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From small to large.
    Ascending,
    /// From large to small.
    Descending,
}

/// An order of records by what they have under a key.
///
/// Values of all kinds are in one order: null, false, true, numbers by value, strings as filters
/// order them (dates and times by the moment they name) and then by their texts, arrays by their
/// first elements that differ, objects by their entries in the order of their keys. Records
/// without the key come last in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    /// The key.
    pub key: Key,
    /// Which of its values come first.
    pub direction: Direction,
}

impl OrderBy {
    /// The order of two records by their values under the key, where they have one.
    pub fn compare(&self, a: Option<&Value>, b: Option<&Value>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => match self.direction {
                Direction::Ascending => total_order(a, b),
                Direction::Descending => total_order(b, a),
            },
            // Nothing is greater than something, whatever the direction.
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }

    /// The first `limit` of some records in order; of records with equal values, or without one,
    /// those with the smaller name `T` come first in both directions.
    ///
    /// This sorts rows by their values, and merges what several segments gave.
    pub fn first<T: Ord>(
        &self,
        mut records: Vec<(Option<Value>, T)>,
        limit: usize,
    ) -> Vec<(Option<Value>, T)> {
        let compare = |(a, a_name): &(Option<Value>, T), (b, b_name): &(Option<Value>, T)| {
            self.compare(a.as_ref(), b.as_ref()).then_with(|| a_name.cmp(b_name))
        };
        if limit == 0 {
            return Vec::new();
        }
        if limit < records.len() {
            records.select_nth_unstable_by(limit - 1, compare);
            records.truncate(limit);
        }
        records.sort_unstable_by(compare);
        records
    }
}
