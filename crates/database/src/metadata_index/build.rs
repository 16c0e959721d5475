//! Writing an index.

use std::collections::HashMap;

use roaring::RoaringBitmap;
use serde_json::Value;

use super::columns::{Column, Scalars};
use super::dictionary::{
    put_checksums, put_dictionary, put_long_strings, put_numbers, put_strings,
};
use super::directory::{Part, put_key};
use super::paths::for_each_path;
use super::postings::put_bitmap;
use super::section::{Contents, assemble};
use crate::error::{Error, Result};
use crate::filter::compare::order_texts;
use crate::filter::{Fields, Key};
use crate::format::{
    MAX_INDEXED_KEYS, MAX_INDEXED_ROWS, PART_ARRAYS, PART_CHECKSUMS, PART_ELEMENTS, PART_FALSES,
    PART_LONG_ARRAYS, PART_LONG_STRINGS, PART_NESTED_ARRAYS, PART_NULLS, PART_NUMBERS,
    PART_OBJECTS, PART_PRESENT, PART_STRINGS, PART_TRUES,
};

/// Collects the fields of a segment's rows, row 0 first, and writes their index.
///
/// Until then it holds every distinct value once and 16 bytes for each entry of each row.
#[derive(Default)]
pub struct MetadataIndexBuilder {
    columns: HashMap<Box<str>, Column>,
    /// Rows with keys that are too long to be indexed.
    unindexed: RoaringBitmap,
    rows: u32,
}

impl MetadataIndexBuilder {
    /// Takes the fields of the next row.
    ///
    /// # Errors
    /// `InvalidArgument` beyond [`MAX_INDEXED_ROWS`] rows.
    pub fn push(&mut self, fields: &Fields<'_>) -> Result<()> {
        if self.rows == MAX_INDEXED_ROWS {
            return Err(Error::InvalidArgument(format!(
                "a segment has at most {MAX_INDEXED_ROWS} rows"
            )));
        }
        let row = self.rows;
        self.rows += 1;
        for key in [Key::Id, Key::Source, Key::Line] {
            if let Some(value) = key.value(fields) {
                self.add(key.name(), &value, row);
            }
        }
        if let Some(metadata) = fields.metadata
            && for_each_path(metadata, |path, value| self.add(path, value, row))
        {
            self.unindexed.insert(row);
        }
        Ok(())
    }

    /// The bytes of the index.
    pub fn finish(mut self) -> Vec<u8> {
        let mut columns: Vec<(Box<str>, Column)> = self.columns.into_iter().collect();
        if columns.len() > MAX_INDEXED_KEYS {
            // The most used keys stay; of equally used ones, the first by name.
            columns.sort_unstable_by(|(a_name, a), (b_name, b)| {
                b.present.len().cmp(&a.present.len()).then_with(|| a_name.cmp(b_name))
            });
            for (_, column) in columns.drain(MAX_INDEXED_KEYS..) {
                self.unindexed |= column.present;
            }
        }
        columns.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut body = Vec::new();
        let keys: Vec<_> = columns
            .into_iter()
            .map(|(name, column)| (name, put_column(&mut body, column)))
            .collect();
        let unindexed = put_bitmap(&mut body, &self.unindexed);
        // Records and directory stand together: looking for a key reads few pages.
        let records: Vec<u64> =
            keys.iter().map(|(name, parts)| put_key(&mut body, name, parts)).collect();
        let directory = body.len() as u64;
        body.extend(records.iter().flat_map(|offset| offset.to_le_bytes()));
        let contents =
            Contents { rows: self.rows, keys: records.len() as u32, directory, unindexed };
        assemble(contents, &body)
    }

    fn add(&mut self, name: &str, value: &Value, row: u32) {
        match self.columns.get_mut(name) {
            Some(column) => column.add(value, row),
            None => self.columns.entry(name.into()).or_default().add(value, row),
        }
    }
}

fn put_column(body: &mut Vec<u8>, column: Column) -> Vec<(u8, Part)> {
    let mut parts = Vec::new();
    put_rows(body, &mut parts, PART_PRESENT, &column.present);
    put_scalars(body, &mut parts, 0, column.values);
    put_rows(body, &mut parts, PART_ARRAYS, &column.arrays);
    put_rows(body, &mut parts, PART_OBJECTS, &column.objects);
    put_rows(body, &mut parts, PART_LONG_ARRAYS, &column.long_arrays);
    put_rows(body, &mut parts, PART_NESTED_ARRAYS, &column.nested_arrays);
    let checksums = column.checksums.into_sorted(Ord::cmp);
    put_values(body, &mut parts, PART_CHECKSUMS, &checksums, put_checksums);
    if let Some(elements) = column.elements {
        put_scalars(body, &mut parts, PART_ELEMENTS, *elements);
    }
    parts
}

/// The parts of scalars, their kinds shifted: by 0 for values, by `PART_ELEMENTS` for elements.
fn put_scalars(body: &mut Vec<u8>, parts: &mut Vec<(u8, Part)>, shift: u8, scalars: Scalars) {
    put_rows(body, parts, shift + PART_NULLS, &scalars.nulls);
    put_rows(body, parts, shift + PART_FALSES, &scalars.falses);
    put_rows(body, parts, shift + PART_TRUES, &scalars.trues);
    let numbers = scalars.numbers.into_sorted(Ord::cmp);
    put_values(body, parts, shift + PART_NUMBERS, &numbers, put_numbers);
    let strings = scalars.strings.into_sorted(|a, b| order_texts(a, b));
    put_values(body, parts, shift + PART_STRINGS, &strings, put_strings);
    let long_strings = scalars.long_strings.into_sorted(Ord::cmp);
    put_values(body, parts, shift + PART_LONG_STRINGS, &long_strings, put_long_strings);
}

fn put_rows(body: &mut Vec<u8>, parts: &mut Vec<(u8, Part)>, kind: u8, rows: &RoaringBitmap) {
    if !rows.is_empty() {
        parts.push((kind, Part { entries: 0, at: put_bitmap(body, rows) }));
    }
}

fn put_values<T>(
    body: &mut Vec<u8>,
    parts: &mut Vec<(u8, Part)>,
    kind: u8,
    entries: &[(T, Vec<u32>)],
    put_values: impl FnOnce(&mut Vec<u8>, &[(T, Vec<u32>)]),
) {
    if !entries.is_empty() {
        let at = put_dictionary(body, entries, put_values);
        parts.push((kind, Part { entries: entries.len() as u64, at }));
    }
}
