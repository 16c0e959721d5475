//! From a test of a key to the places in the index where its rows stand.
//!
//! This takes a few binary searches. What is found is then counted or collected.

use std::cmp::Ordering;
use std::ops::Range;

use serde_json::Value;

use super::MetadataIndex;
use super::checksum::value_checksum;
use super::dictionary::{Checksums, Dictionary, Kind, LongString, LongStrings, Numbers, Strings};
use super::directory::{Part, Parts};
use crate::error::Result;
use crate::filter::Test;
use crate::filter::compare::{equal, order_texts, total_order};
use crate::filter::datetime::sort_text;
use crate::filter::number::ExactNumber;
use crate::format::{
    LONG_STRING_PREFIX_BYTES, MAX_INDEXED_STRING_BYTES, MAX_METADATA_DEPTH, PART_CHECKSUMS,
    PART_ELEMENTS, PART_FALSES, PART_LONG_ARRAYS, PART_LONG_STRINGS, PART_NULLS, PART_NUMBERS,
    PART_PRESENT, PART_STRINGS, PART_TRUES,
};
use crate::validate::is_shallow;

/// Where the rows of a test stand. No row is in two of the places for sure.
#[derive(Default)]
pub(super) struct Selection {
    /// These rows pass.
    pub(super) surely: Vec<Place>,
    /// These may pass, and no others.
    pub(super) maybe: Vec<Place>,
}

/// A place where rows stand.
pub(super) enum Place {
    /// A set of rows, by its reference.
    Set(u64),
    /// Entries of a dictionary.
    Entries(Part, Range<u64>),
    /// Those strings of a dictionary that contain a text.
    Containing(Part, String),
}

impl<B: AsRef<[u8]>> MetadataIndex<B> {
    pub(super) fn dictionary<K: Kind>(&self, part: Part) -> Dictionary<'_, B, K> {
        Dictionary::new(&self.section, part.at, part.entries)
    }

    pub(super) fn select(&self, parts: &Parts, test: &Test) -> Result<Selection> {
        let mut selection = Selection::default();
        match test {
            Test::Exists => selection.surely.extend(set(parts, PART_PRESENT)),
            Test::Equal(operand) => self.select_equal(parts, 0, operand, &mut selection)?,
            Test::OneOf(operands) => {
                let mut operands: Vec<&Value> =
                    operands.iter().filter(|operand| is_storable(operand)).collect();
                operands.sort_unstable_by(|a, b| total_order(a, b));
                operands.dedup_by(|a, b| equal(a, b));
                for operand in operands {
                    self.select_equal(parts, 0, operand, &mut selection)?;
                }
            }
            Test::Ordered { operand, matches } => {
                self.select_ordered(parts, operand, *matches, &mut selection)?;
            }
            Test::Contains(operand) => {
                if let Value::String(text) = operand {
                    selection.surely.extend(
                        parts.get(PART_STRINGS).map(|part| Place::Containing(part, text.clone())),
                    );
                    selection.maybe.extend(
                        parts
                            .get(PART_LONG_STRINGS)
                            .map(|part| Place::Entries(part, 0..part.entries)),
                    );
                }
                self.select_equal(parts, PART_ELEMENTS, operand, &mut selection)?;
                selection.maybe.extend(set(parts, PART_LONG_ARRAYS));
            }
        }
        Ok(selection)
    }

    /// Adds the rows whose value, or one of whose elements, equals the operand.
    fn select_equal(
        &self,
        parts: &Parts,
        shift: u8,
        operand: &Value,
        selection: &mut Selection,
    ) -> Result<()> {
        match operand {
            Value::Null => selection.surely.extend(set(parts, shift + PART_NULLS)),
            Value::Bool(false) => selection.surely.extend(set(parts, shift + PART_FALSES)),
            Value::Bool(true) => selection.surely.extend(set(parts, shift + PART_TRUES)),
            Value::Number(number) => {
                let number = ExactNumber::new(number);
                let found =
                    self.entries::<Numbers>(parts, shift + PART_NUMBERS, |n| n.cmp(&number))?;
                selection.surely.extend(found);
            }
            Value::String(text) if text.len() <= MAX_INDEXED_STRING_BYTES => {
                let found =
                    self.entries::<Strings>(parts, shift + PART_STRINGS, |t| order_texts(t, text))?;
                selection.surely.extend(found);
            }
            Value::String(text) => {
                let text = LongString::new(text);
                let found = self
                    .entries::<LongStrings>(parts, shift + PART_LONG_STRINGS, |t| t.cmp(&text))?;
                selection.maybe.extend(found);
            }
            Value::Array(_) | Value::Object(_) if is_storable(operand) => {
                let checksum = value_checksum(operand);
                let found =
                    self.entries::<Checksums>(parts, PART_CHECKSUMS, |c| c.cmp(&checksum))?;
                selection.maybe.extend(found);
            }
            Value::Array(_) | Value::Object(_) => {}
        }
        Ok(())
    }

    fn entries<K: Kind>(
        &self,
        parts: &Parts,
        kind: u8,
        compare: impl FnMut(K::Value<'_>) -> Ordering,
    ) -> Result<Option<Place>> {
        let Some(part) = parts.get(kind) else { return Ok(None) };
        let range = self.dictionary::<K>(part).equal_range(compare)?;
        Ok((!range.is_empty()).then_some(Place::Entries(part, range)))
    }

    fn select_ordered(
        &self,
        parts: &Parts,
        operand: &Value,
        matches: fn(Ordering) -> bool,
        selection: &mut Selection,
    ) -> Result<()> {
        match operand {
            Value::Bool(operand) => {
                for (value, kind) in [(false, PART_FALSES), (true, PART_TRUES)] {
                    if matches(value.cmp(operand)) {
                        selection.surely.extend(set(parts, kind));
                    }
                }
            }
            Value::Number(operand) => {
                if let Some(part) = parts.get(PART_NUMBERS) {
                    let operand = ExactNumber::new(operand);
                    let equal =
                        self.dictionary::<Numbers>(part).equal_range(|n| n.cmp(&operand))?;
                    selection.surely.extend(in_order(part, &equal, matches));
                }
            }
            Value::String(operand) => {
                let operand = sort_text(operand);
                if let Some(part) = parts.get(PART_STRINGS) {
                    let equal = self
                        .dictionary::<Strings>(part)
                        .equal_range(|text| sort_text(text).cmp(&operand))?;
                    selection.surely.extend(in_order(part, &equal, matches));
                }
                if let Some(part) = parts.get(PART_LONG_STRINGS) {
                    // A long string is no date, so its bytes decide. Where they begin as the
                    // operand does, and that goes on, the bytes that are not kept decide.
                    let known = operand.as_bytes();
                    let known = &known[..known.len().min(LONG_STRING_PREFIX_BYTES)];
                    let undecided = self
                        .dictionary::<LongStrings>(part)
                        .equal_range(|text| text.prefix.as_slice().cmp(known))?;
                    selection.maybe.push(Place::Entries(part, undecided.clone()));
                    let decided = |order: Ordering| order.is_ne() && matches(order);
                    selection.surely.extend(in_order(part, &undecided, decided));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a record can hold the value.
fn is_storable(value: &Value) -> bool {
    is_shallow(value, MAX_METADATA_DEPTH)
}

/// The entries that pass, out of a dictionary of which some equal the operand.
fn in_order(
    part: Part,
    equal: &Range<u64>,
    matches: impl Fn(Ordering) -> bool,
) -> impl Iterator<Item = Place> {
    let regions = [
        (Ordering::Less, 0..equal.start),
        (Ordering::Equal, equal.clone()),
        (Ordering::Greater, equal.end..part.entries),
    ];
    let passing =
        regions.into_iter().filter(move |(order, range)| !range.is_empty() && matches(*order));
    passing.map(move |(_, range)| Place::Entries(part, range))
}

fn set(parts: &Parts, kind: u8) -> Option<Place> {
    parts.get(kind).map(|part| Place::Set(part.at))
}
