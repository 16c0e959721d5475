//! Rows in the order of a key, from its dictionaries: no more is read than the rows asked for.

use std::ops::Range;

use roaring::RoaringBitmap;
use serde_json::Value;

use super::dictionary::{Dictionary, Kind, LongStrings, Numbers, Strings};
use super::directory::{Part, Parts};
use super::select::Place;
use super::{FieldSource, MetadataIndex};
use crate::error::Result;
use crate::filter::datetime::sort_text;
use crate::format::{
    LONG_STRING_PREFIX_BYTES, PART_ARRAYS, PART_FALSES, PART_LONG_STRINGS, PART_NULLS,
    PART_NUMBERS, PART_OBJECTS, PART_PRESENT, PART_STRINGS, PART_TRUES,
};
use crate::order_by::{Direction, OrderBy};

/// Going through a dictionary costs about as much for so many entries as looking at a row.
const ENTRIES_A_ROW: u64 = 16;

/// The kinds of values in ascending order.
const KINDS: [u8; 7] =
    [PART_NULLS, PART_FALSES, PART_TRUES, PART_NUMBERS, PART_STRINGS, PART_ARRAYS, PART_OBJECTS];

/// Rows in order as they are found, with their values.
struct Sorted<'a, B> {
    index: &'a MetadataIndex<B>,
    order: &'a OrderBy,
    among: RoaringBitmap,
    source: &'a dyn FieldSource,
    limit: usize,
    rows: Vec<(Option<Value>, u32)>,
}

impl<B: AsRef<[u8]>> MetadataIndex<B> {
    /// The first `limit` rows, of `among` or of all, in an order, with their values. Rows with
    /// equal values are in the order of their numbers, whatever the direction.
    ///
    /// `source` is asked for rows with arrays, objects or strings that are too long to be indexed,
    /// and where `among` is so small that looking at its rows is less work than sorting them out.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged, and what `source` returns.
    pub fn sorted_rows(
        &self,
        order: &OrderBy,
        among: Option<&RoaringBitmap>,
        limit: usize,
        source: &dyn FieldSource,
    ) -> Result<Vec<(Option<Value>, u32)>> {
        let among = among.map_or_else(|| self.all_rows(), |among| among & self.all_rows());
        let mut sorted = Sorted { index: self, order, among, source, limit, rows: Vec::new() };
        let with_key = match self.parts(&order.key)? {
            Some(parts) => {
                let entries: u64 = [PART_NUMBERS, PART_STRINGS, PART_LONG_STRINGS]
                    .iter()
                    .filter_map(|kind| parts.get(*kind))
                    .fold(0, |sum, part| sum.saturating_add(part.entries));
                let with_key = self.rows_with(&parts, &[PART_PRESENT])?;
                if sorted.among.len().saturating_mul(ENTRIES_A_ROW) < entries {
                    sorted.add_looked_at(&with_key)?;
                } else {
                    sorted.add_parts(&parts)?;
                }
                with_key
            }
            None => sorted.add_looked_at(&self.unindexed()?)?,
        };
        let missing = &sorted.among - with_key;
        sorted.add_rows(None, &missing);
        Ok(sorted.rows)
    }
}

impl<B: AsRef<[u8]>> Sorted<'_, B> {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit
    }

    fn add_parts(&mut self, parts: &Parts) -> Result<()> {
        for step in 0..KINDS.len() {
            if self.is_full() {
                break;
            }
            let kind = match self.order.direction {
                Direction::Ascending => KINDS[step],
                Direction::Descending => KINDS[KINDS.len() - 1 - step],
            };
            match kind {
                PART_NULLS => self.add_set(parts, kind, Value::Null)?,
                PART_FALSES => self.add_set(parts, kind, Value::Bool(false))?,
                PART_TRUES => self.add_set(parts, kind, Value::Bool(true))?,
                PART_NUMBERS => {
                    if let Some(part) = parts.get(kind) {
                        let numbers = self.index.dictionary::<Numbers>(part);
                        self.add_entries(&numbers, 0..part.entries, |number| number.to_json())?;
                    }
                }
                PART_STRINGS => self.add_texts(parts)?,
                _ => {
                    self.add_looked_at(&self.index.rows_with(parts, &[kind])?)?;
                }
            }
        }
        Ok(())
    }

    fn add_set(&mut self, parts: &Parts, kind: u8, value: Value) -> Result<()> {
        let rows = self.index.rows_with(parts, &[kind])? & &self.among;
        self.add_rows(Some(value), &rows);
        Ok(())
    }

    fn add_rows(&mut self, value: Option<Value>, rows: &RoaringBitmap) {
        let room = self.limit.saturating_sub(self.rows.len());
        self.rows.extend(rows.iter().take(room).map(|row| (value.clone(), row)));
    }

    fn add_entries<K: Kind>(
        &mut self,
        dictionary: &Dictionary<'_, B, K>,
        range: Range<u64>,
        to_json: impl Fn(K::Value<'_>) -> Value,
    ) -> Result<()> {
        let entries = range.end - range.start;
        let postings = self.index.postings();
        for step in 0..entries {
            if self.is_full() {
                break;
            }
            let entry = match self.order.direction {
                Direction::Ascending => range.start + step,
                Direction::Descending => range.end - 1 - step,
            };
            let rows = postings.bitmap_in(dictionary.reference(entry)?, &self.among)?;
            if !rows.is_empty() {
                self.add_rows(Some(to_json(dictionary.value(entry)?)), &rows);
            }
        }
        Ok(())
    }

    /// Looks at rows, adds the first in order of those that have the key, and gives these back.
    fn add_looked_at(&mut self, rows: &RoaringBitmap) -> Result<RoaringBitmap> {
        let mut found = Vec::new();
        for row in rows & &self.among {
            self.source.with_fields(row, &mut |fields| {
                if let Some(value) = self.order.key.value(fields) {
                    found.push((Some(value.into_owned()), row));
                }
            })?;
        }
        let with_key = found.iter().map(|(_, row)| *row).collect();
        let room = self.limit.saturating_sub(self.rows.len());
        self.rows.extend(self.order.first(found, room));
        Ok(with_key)
    }

    /// Strings, with long ones among them. Those that begin with the prefix of a long one can only
    /// be told apart from it by looking; the others are in order as they stand.
    fn add_texts(&mut self, parts: &Parts) -> Result<()> {
        let none = Part { entries: 0, at: 0 };
        let strings_part = parts.get(PART_STRINGS).unwrap_or(none);
        let long_part = parts.get(PART_LONG_STRINGS).unwrap_or(none);
        let strings = self.index.dictionary::<Strings>(strings_part);
        let (mut left, mut long_left) = (0..strings_part.entries, 0..long_part.entries);
        let ascending = self.order.direction == Direction::Ascending;
        while !self.is_full() && !long_left.is_empty() {
            let long = self.index.dictionary::<LongStrings>(long_part);
            let next = if ascending { long_left.start } else { long_left.end - 1 };
            let prefix = long.value(next)?.prefix;
            let alike = long.equal_range(|text| text.prefix.cmp(&prefix))?;
            let beside = strings.equal_range(|text| {
                let text = sort_text(text);
                let text = text.as_bytes();
                text[..text.len().min(LONG_STRING_PREFIX_BYTES)].cmp(&prefix)
            })?;
            let before = if ascending { left.start..beside.start } else { beside.end..left.end };
            self.add_strings(&strings, before)?;
            let places = [
                Place::Entries(strings_part, beside.clone()),
                Place::Entries(long_part, alike.clone()),
            ];
            self.add_looked_at(&self.index.rows_in(&places)?)?;
            if ascending {
                (left.start, long_left.start) = (beside.end, alike.end.max(next + 1));
            } else {
                (left.end, long_left.end) = (beside.start, alike.start.min(next));
            }
        }
        self.add_strings(&strings, left)
    }

    fn add_strings(
        &mut self,
        strings: &Dictionary<'_, B, Strings>,
        range: Range<u64>,
    ) -> Result<()> {
        // In damaged bytes the ranges may cross.
        let range = range.start..range.end.max(range.start);
        self.add_entries(strings, range, |text| Value::from(text))
    }
}
