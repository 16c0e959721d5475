//! Counts by value, and rows in groups of a value, from the dictionaries of a key.

use roaring::RoaringBitmap;
use serde_json::Value;

use super::dictionary::{Numbers, Strings};
use super::directory::Parts;
use super::select::Place;
use super::{FieldSource, MetadataIndex};
use crate::error::Result;
use crate::facet::FacetCounts;
use crate::filter::Key;
use crate::format::{
    PART_ARRAYS, PART_ELEMENTS, PART_FALSES, PART_LONG_ARRAYS, PART_LONG_STRINGS,
    PART_NESTED_ARRAYS, PART_NULLS, PART_NUMBERS, PART_OBJECTS, PART_PRESENT, PART_STRINGS,
    PART_TRUES,
};
use crate::group_by::Groups;

impl<B: AsRef<[u8]>> MetadataIndex<B> {
    /// Adds how many rows, of `among` or of all, have each value of a key. `source` is asked for
    /// rows whose values are long strings or objects, or arrays with such or too many elements.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged, and what `source` returns.
    pub fn facet(
        &self,
        key: &Key,
        among: Option<&RoaringBitmap>,
        source: &dyn FieldSource,
        counts: &mut FacetCounts,
    ) -> Result<()> {
        let parts = self.parts(key)?;
        let mut looked_at = match &parts {
            Some(parts) => self.rows_with(
                parts,
                &[
                    PART_LONG_STRINGS,
                    PART_OBJECTS,
                    PART_LONG_ARRAYS,
                    PART_NESTED_ARRAYS,
                    PART_ELEMENTS + PART_LONG_STRINGS,
                ],
            )?,
            None => self.unindexed()?,
        };
        if let Some(among) = among {
            looked_at &= among;
        }
        for row in &looked_at {
            source.with_fields(row, &mut |fields| counts.add_record(key, fields))?;
        }
        let Some(parts) = parts else { return Ok(()) };
        let counted = match among {
            Some(among) => Some(among - looked_at),
            None if looked_at.is_empty() => None,
            None => Some(self.all_rows() - looked_at),
        };
        let postings = self.postings();
        for shift in [0, PART_ELEMENTS] {
            self.for_each_scalar(&parts, shift, |value, reference| {
                let rows = match &counted {
                    Some(counted) => postings.count_in(reference, counted)?,
                    None => postings.count(reference)?,
                };
                counts.add(&value, rows);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Puts each row, of `among` or of all, into the group of its value. `source` is asked for rows
    /// whose values are long strings, arrays or objects.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged, and what `source` returns.
    pub fn groups(
        &self,
        key: &Key,
        among: Option<&RoaringBitmap>,
        source: &dyn FieldSource,
    ) -> Result<Groups> {
        let mut groups = Groups::default();
        let mut rest = among.map_or_else(|| self.all_rows(), |among| among & self.all_rows());
        let parts = self.parts(key)?;
        let looked_at = match &parts {
            Some(parts) => {
                self.rows_with(parts, &[PART_LONG_STRINGS, PART_ARRAYS, PART_OBJECTS])?
            }
            None => self.unindexed()?,
        } & &rest;
        for row in &looked_at {
            source.with_fields(row, &mut |fields| groups.add_record(key, fields, row))?;
        }
        rest -= looked_at;
        if let Some(parts) = parts {
            let postings = self.postings();
            self.for_each_scalar(&parts, 0, |value, reference| {
                groups.add(&value, postings.bitmap_in(reference, &rest)?);
                Ok(())
            })?;
            rest -= self.rows_with(&parts, &[PART_PRESENT])?;
        }
        groups.add_missing(rest);
        Ok(groups)
    }

    /// The rows of some parts.
    pub(super) fn rows_with(&self, parts: &Parts, kinds: &[u8]) -> Result<RoaringBitmap> {
        let places = kinds.iter().filter_map(|kind| {
            let part = parts.get(*kind)?;
            Some(match part.entries {
                0 => Place::Set(part.at),
                entries => Place::Entries(part, 0..entries),
            })
        });
        self.rows_in(&places.collect::<Vec<_>>())
    }

    /// Calls `visit` with each value, or element, that is in the index as it is, and the reference
    /// to its rows.
    fn for_each_scalar(
        &self,
        parts: &Parts,
        shift: u8,
        mut visit: impl FnMut(Value, u64) -> Result<()>,
    ) -> Result<()> {
        let constants = [
            (PART_NULLS, Value::Null),
            (PART_FALSES, Value::Bool(false)),
            (PART_TRUES, Value::Bool(true)),
        ];
        for (kind, value) in constants {
            if let Some(part) = parts.get(shift + kind) {
                visit(value, part.at)?;
            }
        }
        if let Some(part) = parts.get(shift + PART_NUMBERS) {
            let numbers = self.dictionary::<Numbers>(part);
            for entry in 0..part.entries {
                visit(numbers.value(entry)?.to_json(), numbers.reference(entry)?)?;
            }
        }
        if let Some(part) = parts.get(shift + PART_STRINGS) {
            let strings = self.dictionary::<Strings>(part);
            for entry in 0..part.entries {
                visit(Value::from(strings.value(entry)?), strings.reference(entry)?)?;
            }
        }
        Ok(())
    }
}
