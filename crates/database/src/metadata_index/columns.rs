//! What a key collects while an index is built.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use roaring::RoaringBitmap;
use serde_json::Value;

use super::checksum::value_checksum;
use super::dictionary::LongString;
use crate::filter::number::ExactNumber;
use crate::format::{MAX_INDEXED_ELEMENTS, MAX_INDEXED_STRING_BYTES};

/// The rows of each distinct value.
pub(super) struct Distinct<T> {
    numbers: HashMap<T, u64>,
    /// Number of the value, row.
    pairs: Vec<(u64, u32)>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), pairs: Vec::new() }
    }
}

impl<T: Eq + Hash> Distinct<T> {
    fn add<Q: Eq + Hash + ?Sized>(&mut self, value: &Q, row: u32, own: impl FnOnce() -> T)
    where
        T: Borrow<Q>,
    {
        let number = match self.numbers.get(value) {
            Some(number) => *number,
            None => {
                let number = self.numbers.len() as u64;
                self.numbers.insert(own(), number);
                number
            }
        };
        self.pairs.push((number, row));
    }

    /// The values in an order, each with its rows in ascending order.
    pub(super) fn into_sorted(
        self,
        order: impl Fn(&T, &T) -> std::cmp::Ordering,
    ) -> Vec<(T, Vec<u32>)> {
        let mut rows: Vec<Vec<u32>> = (0..self.numbers.len()).map(|_| Vec::new()).collect();
        for (number, row) in self.pairs {
            let rows = &mut rows[number as usize];
            // An array may hold a value twice.
            if rows.last() != Some(&row) {
                rows.push(row);
            }
        }
        let mut entries: Vec<(T, Vec<u32>)> = self
            .numbers
            .into_iter()
            .map(|(value, number)| (value, std::mem::take(&mut rows[number as usize])))
            .collect();
        entries.sort_unstable_by(|(a, _), (b, _)| order(a, b));
        entries
    }
}

/// Values that are neither arrays nor objects.
#[derive(Default)]
pub(super) struct Scalars {
    pub(super) nulls: RoaringBitmap,
    pub(super) falses: RoaringBitmap,
    pub(super) trues: RoaringBitmap,
    pub(super) numbers: Distinct<ExactNumber>,
    pub(super) strings: Distinct<Box<str>>,
    pub(super) long_strings: Distinct<LongString>,
}

impl Scalars {
    /// Takes a value, in the order of the rows. Gives back whether it is a scalar.
    fn add(&mut self, value: &Value, row: u32) -> bool {
        match value {
            Value::Null => {
                self.nulls.insert(row);
            }
            Value::Bool(false) => {
                self.falses.insert(row);
            }
            Value::Bool(true) => {
                self.trues.insert(row);
            }
            Value::Number(number) => {
                let number = ExactNumber::new(number);
                self.numbers.add(&number, row, || number);
            }
            Value::String(text) => self.add_text(text, row),
            Value::Array(_) | Value::Object(_) => return false,
        }
        true
    }

    fn add_text(&mut self, text: &str, row: u32) {
        if text.len() <= MAX_INDEXED_STRING_BYTES {
            self.strings.add(text, row, || text.into());
        } else {
            let text = LongString::new(text);
            self.long_strings.add(&text, row, || text);
        }
    }
}

/// Everything that is known of a key.
#[derive(Default)]
pub(super) struct Column {
    /// The rows that have the key.
    pub(super) present: RoaringBitmap,
    /// The last of them, for which the bitmap would search from its end.
    last_row: Option<u32>,
    pub(super) values: Scalars,
    pub(super) arrays: RoaringBitmap,
    pub(super) objects: RoaringBitmap,
    /// The checksums of arrays and objects.
    pub(super) checksums: Distinct<u32>,
    /// The scalars in arrays that have no more elements than are indexed.
    pub(super) elements: Option<Box<Scalars>>,
    /// Arrays with more.
    pub(super) long_arrays: RoaringBitmap,
    /// Arrays with arrays or objects in them.
    pub(super) nested_arrays: RoaringBitmap,
}

impl Column {
    /// Takes the value of a row; rows come in ascending order. A second value of the same row is
    /// one that no filter sees.
    pub(super) fn add(&mut self, value: &Value, row: u32) {
        if self.last_row.replace(row) == Some(row) {
            return;
        }
        self.present.insert(row);
        if self.values.add(value, row) {
            return;
        }
        let checksum = value_checksum(value);
        self.checksums.add(&checksum, row, || checksum);
        match value {
            Value::Array(items) if items.len() > MAX_INDEXED_ELEMENTS => {
                self.arrays.insert(row);
                self.long_arrays.insert(row);
            }
            Value::Array(items) => {
                self.arrays.insert(row);
                let elements = self.elements.get_or_insert_default();
                for item in items {
                    if !elements.add(item, row) {
                        self.nested_arrays.insert(row);
                    }
                }
            }
            _ => {
                self.objects.insert(row);
            }
        }
    }
}
