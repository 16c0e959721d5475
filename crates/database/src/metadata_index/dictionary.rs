//! Sorted distinct values and their rows: what `$eq` searches, `$gt` takes a range of and counts
//! by value go through.
//!
//! A dictionary of M values is: how many rows come before each 64th value, and in all; M references
//! to rows; the values, in a form that depends on their kind.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::Range;

use super::postings::{Postings, put};
use super::section::Section;
use crate::error::Result;
use crate::filter::number::ExactNumber;
use crate::format::{
    DICTIONARY_GROUP, LONG_STRING_PREFIX_BYTES, NUMBER_FLOAT, NUMBER_SIGNED, NUMBER_UNSIGNED,
};

/// A kind of values: how they stand in a dictionary.
pub(super) trait Kind {
    /// A value as it is read.
    type Value<'a>;

    /// Bytes of M values, where that is a fixed number each.
    fn read<B: AsRef<[u8]>>(values: Values<'_, B>, index: u64) -> Result<Self::Value<'_>>;
}

/// Where the values of a dictionary stand.
pub(super) struct Values<'a, B> {
    section: &'a Section<B>,
    offset: u64,
    entries: u64,
}

/// Numbers: M payloads of 8 bytes, then M tags.
pub(super) struct Numbers;

/// Strings: M + 1 offsets of 8 bytes, then the bytes.
pub(super) struct Strings;

/// Long strings: the first bytes and the checksum of each.
pub(super) struct LongStrings;

/// Arrays and objects: the checksum of each.
pub(super) struct Checksums;

/// What is kept of a long string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LongString {
    pub(super) prefix: [u8; LONG_STRING_PREFIX_BYTES],
    pub(super) checksum: u32,
}

impl LongString {
    /// Takes a string of at least as many bytes as a prefix has.
    pub(super) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let prefix = bytes.first_chunk().expect("a long string is longer than its prefix");
        Self { prefix: *prefix, checksum: crc32fast::hash(bytes) }
    }
}

impl Kind for Numbers {
    type Value<'a> = ExactNumber;

    fn read<B: AsRef<[u8]>>(values: Values<'_, B>, index: u64) -> Result<ExactNumber> {
        let payload = values.section.u64(values.at(index, 8, 0))?;
        let tag = values.section.get(values.at(index, 1, values.entries.saturating_mul(8)), 1)?[0];
        let number = match tag {
            NUMBER_SIGNED => Some(ExactNumber::Integer(i128::from(payload as i64))),
            NUMBER_UNSIGNED => Some(ExactNumber::Integer(i128::from(payload))),
            NUMBER_FLOAT => Some(f64::from_bits(payload))
                .filter(|float| float.is_finite())
                .map(ExactNumber::from_float),
            _ => None,
        };
        number.ok_or_else(|| values.section.corrupt(values.offset, "holds what is no number"))
    }
}

impl Kind for Strings {
    type Value<'a> = &'a str;

    fn read<B: AsRef<[u8]>>(values: Values<'_, B>, index: u64) -> Result<&str> {
        let start = values.section.u64(values.at(index, 8, 0))?;
        let end = values.section.u64(values.at(index.saturating_add(1), 8, 0))?;
        let corrupt = || values.section.corrupt(values.offset, "holds what is no text");
        let length = end.checked_sub(start).ok_or_else(corrupt)?;
        let pool = values.at(values.entries.saturating_add(1), 8, 0);
        let bytes = values.section.get(pool.saturating_add(start), length)?;
        std::str::from_utf8(bytes).map_err(|_| corrupt())
    }
}

impl Kind for LongStrings {
    type Value<'a> = LongString;

    fn read<B: AsRef<[u8]>>(values: Values<'_, B>, index: u64) -> Result<LongString> {
        const BYTES: u64 = LONG_STRING_PREFIX_BYTES as u64 + 4;
        let bytes = values.section.get(values.at(index, BYTES, 0), BYTES)?;
        let (prefix, checksum) = bytes.split_first_chunk().expect("more bytes than a prefix has");
        let checksum = u32::from_le_bytes(checksum.try_into().expect("4 bytes"));
        Ok(LongString { prefix: *prefix, checksum })
    }
}

impl Kind for Checksums {
    type Value<'a> = u32;

    fn read<B: AsRef<[u8]>>(values: Values<'_, B>, index: u64) -> Result<u32> {
        values.section.u32(values.at(index, 4, 0))
    }
}

impl<B> Values<'_, B> {
    /// The place of an entry of a column. What overflows is outside of every section.
    fn at(&self, index: u64, bytes: u64, column: u64) -> u64 {
        self.offset.saturating_add(column).saturating_add(index.saturating_mul(bytes))
    }
}

/// A dictionary of a section.
pub(super) struct Dictionary<'a, B, K> {
    section: &'a Section<B>,
    offset: u64,
    entries: u64,
    kind: PhantomData<K>,
}

impl<'a, B: AsRef<[u8]>, K: Kind> Dictionary<'a, B, K> {
    pub(super) fn new(section: &'a Section<B>, offset: u64, entries: u64) -> Self {
        Self { section, offset, entries, kind: PhantomData }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn value(&self, index: u64) -> Result<K::Value<'a>> {
        let offset = self.references_offset().saturating_add(self.entries.saturating_mul(8));
        K::read(Values { section: self.section, offset, entries: self.entries }, index)
    }

    /// The reference to the rows of an entry.
    pub(super) fn reference(&self, index: u64) -> Result<u64> {
        self.section.u64(self.references_offset().saturating_add(index.saturating_mul(8)))
    }

    /// How many rows the entries of a range have, counting a row once for each.
    pub(super) fn rows_in(&self, range: Range<u64>, postings: &Postings<'_, B>) -> Result<u64> {
        let before = self.rows_before(range.start, postings)?;
        Ok(self.rows_before(range.end, postings)?.saturating_sub(before))
    }

    /// The first entry that `is_before` does not hold for; it must hold for those before it only.
    pub(super) fn partition_point(
        &self,
        mut is_before: impl FnMut(K::Value<'a>) -> bool,
    ) -> Result<u64> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.value(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The entries that compare as equal.
    pub(super) fn equal_range(
        &self,
        mut compare: impl FnMut(K::Value<'a>) -> Ordering,
    ) -> Result<Range<u64>> {
        let start = self.partition_point(|value| compare(value).is_lt())?;
        let end = self.partition_point(|value| compare(value).is_le())?;
        Ok(start..end.max(start))
    }

    fn rows_before(&self, index: u64, postings: &Postings<'_, B>) -> Result<u64> {
        let group = index / DICTIONARY_GROUP;
        let before_group = self.section.u64(self.offset.saturating_add(group.saturating_mul(8)))?;
        (group * DICTIONARY_GROUP..index).try_fold(before_group, |rows, entry| {
            Ok(rows.saturating_add(postings.count(self.reference(entry)?)?))
        })
    }

    fn references_offset(&self) -> u64 {
        let groups = self.entries.div_ceil(DICTIONARY_GROUP);
        self.offset.saturating_add(groups.saturating_add(1).saturating_mul(8))
    }
}

/// Appends a dictionary to a body: values in order, each with its rows. Gives back its offset.
pub(super) fn put_dictionary<T>(
    body: &mut Vec<u8>,
    entries: &[(T, Vec<u32>)],
    put_values: impl FnOnce(&mut Vec<u8>, &[(T, Vec<u32>)]),
) -> u64 {
    let references: Vec<u64> = entries.iter().map(|(_, rows)| put(body, rows)).collect();
    let offset = body.len() as u64;
    let mut rows_before = 0u64;
    for group in entries.chunks(DICTIONARY_GROUP as usize) {
        body.extend_from_slice(&rows_before.to_le_bytes());
        rows_before += group.iter().map(|(_, rows)| rows.len() as u64).sum::<u64>();
    }
    body.extend_from_slice(&rows_before.to_le_bytes());
    body.extend(references.iter().flat_map(|reference| reference.to_le_bytes()));
    put_values(body, entries);
    offset
}

pub(super) fn put_numbers(body: &mut Vec<u8>, entries: &[(ExactNumber, Vec<u32>)]) {
    let encoded = entries.iter().map(|(number, _)| match *number {
        ExactNumber::Integer(integer) => match i64::try_from(integer) {
            Ok(signed) => (signed as u64, NUMBER_SIGNED),
            Err(_) => (integer as u64, NUMBER_UNSIGNED),
        },
        ExactNumber::Float(float) => (float.to_bits(), NUMBER_FLOAT),
    });
    let (payloads, tags): (Vec<u64>, Vec<u8>) = encoded.unzip();
    body.extend(payloads.iter().flat_map(|payload| payload.to_le_bytes()));
    body.extend_from_slice(&tags);
}

pub(super) fn put_strings(body: &mut Vec<u8>, entries: &[(Box<str>, Vec<u32>)]) {
    let mut end = 0u64;
    body.extend_from_slice(&end.to_le_bytes());
    for (text, _) in entries {
        end += text.len() as u64;
        body.extend_from_slice(&end.to_le_bytes());
    }
    entries.iter().for_each(|(text, _)| body.extend_from_slice(text.as_bytes()));
}

pub(super) fn put_long_strings(body: &mut Vec<u8>, entries: &[(LongString, Vec<u32>)]) {
    for (text, _) in entries {
        body.extend_from_slice(&text.prefix);
        body.extend_from_slice(&text.checksum.to_le_bytes());
    }
}

pub(super) fn put_checksums(body: &mut Vec<u8>, entries: &[(u32, Vec<u32>)]) {
    body.extend(entries.iter().flat_map(|(checksum, _)| checksum.to_le_bytes()));
}
