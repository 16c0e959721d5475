//! The postings of a list: the rows that have its index in ascending order, and their values.
//!
//! They stand in blocks of [`POSTINGS_A_BLOCK`]: the distances of the rows, packed into few bits
//! each, then the values. A full block of `w` bits a distance takes `16 w + 512` bytes, so where a
//! block is follows from its number and the bits of all distances before it, and any block can be
//! read without the others.

use std::ops::Range;

use super::directory::List;
use crate::bit_packing::{gaps_to_rows, pack, packed_bytes, rows_to_gaps, unpack, width_of};
use crate::bytes::Reader;
use crate::error::Result;
use crate::format::{POSTINGS_A_BLOCK, SPARSE_BLOCK_ENTRY_BYTES};
use crate::paged::Pages;

/// What no value is beyond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) greatest: f32,
    pub(super) least: f32,
}

impl Bounds {
    pub(super) const NONE: Self = Self { greatest: f32::NEG_INFINITY, least: f32::INFINITY };

    fn with(self, value: f32) -> Self {
        Self { greatest: self.greatest.max(value), least: self.least.min(value) }
    }

    fn or(self, other: Self) -> Self {
        self.with(other.greatest).with(other.least)
    }

    /// The most that a value times this adds to the score of a row, which may also not have one.
    pub(super) fn ceiling(self, weight: f64) -> f64 {
        let [a, b] = [self.greatest, self.least].map(|value| weight * f64::from(value));
        a.max(b).max(0.0)
    }

    /// The most that a value times this is from zero.
    pub(super) fn magnitude(self, weight: f64) -> f64 {
        let [a, b] = [self.greatest, self.least].map(|value| (weight * f64::from(value)).abs());
        a.max(b)
    }

    pub(super) fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.greatest.to_le_bytes());
        bytes.extend_from_slice(&self.least.to_le_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [greatest, least] = [reader.u32()?, reader.u32()?].map(f32::from_bits);
        Some(Self { greatest, least })
    }
}

/// What is known of a block without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) last_row: u32,
    /// Bits of a distance.
    width: u8,
    /// The sum of the widths of the blocks before.
    widths_before: u32,
    pub(super) bounds: Bounds,
}

/// Bits of [`Entry::width`], which are the low ones of one number with [`Entry::widths_before`].
const WIDTH_BITS: u32 = 5;

impl Entry {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.last_row.to_le_bytes());
        // It fits: b blocks have rows below 2^30, so a distance in 2^31 / b of them on the average,
        // and b times the bits of that is at most 2^26 for the 2^23 blocks of as many rows.
        let widths = self.widths_before << WIDTH_BITS | u32::from(self.width);
        bytes.extend_from_slice(&widths.to_le_bytes());
        self.bounds.put(bytes);
    }

    #[inline]
    fn read(bytes: &[u8; SPARSE_BLOCK_ENTRY_BYTES]) -> Self {
        let number =
            |place: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[place * 4 + byte]));
        let widths = number(1);
        Self {
            last_row: number(0),
            width: (widths & ((1 << WIDTH_BITS) - 1)) as u8,
            widths_before: widths >> WIDTH_BITS,
            bounds: Bounds {
                greatest: f32::from_bits(number(2)),
                least: f32::from_bits(number(3)),
            },
        }
    }
}

/// Encodes one list after the other.
pub(super) struct ListEncoder {
    rows: Vec<u32>,
    values: Vec<f32>,
    /// The least row that the block may have.
    first: u32,
    widths_before: u32,
    bounds: Bounds,
    of_list: Bounds,
    entries: Vec<u8>,
    postings: u32,
}

impl ListEncoder {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::with_capacity(POSTINGS_A_BLOCK),
            values: Vec::with_capacity(POSTINGS_A_BLOCK),
            first: 0,
            widths_before: 0,
            bounds: Bounds::NONE,
            of_list: Bounds::NONE,
            entries: Vec::new(),
            postings: 0,
        }
    }

    /// Takes the next row and its value; appends a block to `blocks` when it is full.
    pub(super) fn push(&mut self, row: u32, value: f32, blocks: &mut Vec<u8>) {
        self.rows.push(row);
        self.values.push(value);
        self.bounds = self.bounds.with(value);
        self.postings += 1;
        if self.rows.len() == POSTINGS_A_BLOCK {
            self.end_block(blocks);
        }
    }

    /// Appends the last block and goes on to the next list; returns the postings of this one, what
    /// bounds its values, and the entries of its blocks.
    pub(super) fn finish(&mut self, blocks: &mut Vec<u8>) -> (u32, Bounds, Vec<u8>) {
        if !self.rows.is_empty() {
            self.end_block(blocks);
        }
        let Self { postings, of_list, entries, .. } = std::mem::replace(self, Self::new());
        (postings, of_list, entries)
    }

    fn end_block(&mut self, blocks: &mut Vec<u8>) {
        let last_row = self.rows[self.rows.len() - 1];
        rows_to_gaps(&mut self.rows, self.first);
        let (width, widths_before) = (width_of(&self.rows), self.widths_before);
        pack(&self.rows, width, blocks);
        blocks.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
        Entry { last_row, width, widths_before, bounds: self.bounds }.put(&mut self.entries);
        self.first = last_row.saturating_add(1);
        self.widths_before += u32::from(width);
        self.of_list = self.of_list.or(self.bounds);
        self.bounds = Bounds::NONE;
        self.rows.clear();
        self.values.clear();
    }
}

/// Some postings of a block.
pub(super) enum Found<'f> {
    /// From this row on, a value each.
    Run(u32, &'f [[u8; 4]]),
    /// Of these rows.
    Rows(&'f [u32], &'f [[u8; 4]]),
}

/// Reads the postings of a list, a block at a time, and keeps the block that it read last.
pub(super) struct Postings<'a, B> {
    pages: &'a Pages<B>,
    list: List,
    /// Rows of the segment.
    row_count: u32,
    entries: &'a [[u8; SPARSE_BLOCK_ENTRY_BYTES]],
    /// The block that was read last.
    block: Option<usize>,
    rows: [u32; POSTINGS_A_BLOCK],
    values: &'a [[u8; 4]],
}

impl<'a, B: AsRef<[u8]>> Postings<'a, B> {
    pub(super) fn new(pages: &'a Pages<B>, row_count: u32, list: List) -> Result<Self> {
        let blocks = u64::from(list.postings).div_ceil(POSTINGS_A_BLOCK as u64);
        let entries = pages.get(list.entries, blocks * SPARSE_BLOCK_ENTRY_BYTES as u64)?;
        Ok(Self {
            pages,
            list,
            row_count,
            entries: entries.as_chunks().0,
            block: None,
            rows: [0; POSTINGS_A_BLOCK],
            values: &[],
        })
    }

    pub(super) fn entry(&self, block: usize) -> Option<Entry> {
        self.entries.get(block).map(Entry::read)
    }

    /// The least row that a block may have.
    pub(super) fn first_row(&self, block: usize) -> u32 {
        let before = block.checked_sub(1).and_then(|before| self.entry(before));
        before.map_or(0, |entry| entry.last_row.saturating_add(1))
    }

    /// Calls `see` with the postings of the rows in a range, from the first block on that may have
    /// one of them.
    pub(super) fn visit(
        &mut self,
        first_block: usize,
        range: Range<u32>,
        mut see: impl FnMut(Found<'_>),
    ) -> Result<()> {
        let mut block = first_block;
        let mut first = self.first_row(block);
        while let Some(entry) = self.entry(block)
            && first < range.end
        {
            self.read(block, first, entry)?;
            let rows = &self.rows[..self.values.len()];
            let start = match first < range.start {
                true => rows.partition_point(|row| *row < range.start),
                false => 0,
            };
            let end = match entry.last_row < range.end {
                true => rows.len(),
                false => rows.partition_point(|row| *row < range.end),
            };
            let values = &self.values[start..end];
            see(match entry.width {
                0 => Found::Run(first + start as u32, values),
                _ => Found::Rows(&rows[start..end], values),
            });
            first = entry.last_row.saturating_add(1);
            block += 1;
        }
        Ok(())
    }

    /// The value of a row, looked for from a block on, whose number goes up to the one that may have
    /// it.
    pub(super) fn value_from(&mut self, block: &mut usize, row: u32) -> Result<Option<f32>> {
        while self.entry(*block).is_some_and(|entry| entry.last_row < row) {
            *block += 1;
        }
        let first = self.first_row(*block);
        let Some(entry) = self.entry(*block).filter(|_| first <= row) else {
            return Ok(None);
        };
        self.read(*block, first, entry)?;
        let place = self.rows[..self.values.len()].binary_search(&row);
        Ok(place.ok().map(|place| f32::from_le_bytes(self.values[place])))
    }

    /// The value of a row.
    pub(super) fn value(&mut self, row: u32) -> Result<Option<f32>> {
        let mut block = self.entries.partition_point(|entry| Entry::read(entry).last_row < row);
        self.value_from(&mut block, row)
    }

    pub(super) fn corrupt(&self) -> crate::error::Error {
        self.pages.corrupt(self.list.entries, "has postings of impossible rows")
    }

    /// Reads a block, unless that was done.
    fn read(&mut self, block: usize, first: u32, entry: Entry) -> Result<()> {
        if self.block == Some(block) {
            return Ok(());
        }
        self.block = None;
        let postings = self.list.postings as usize - block * POSTINGS_A_BLOCK;
        let postings = postings.min(POSTINGS_A_BLOCK);
        let rows_bytes = packed_bytes(postings, entry.width);
        let before = u64::from(entry.widths_before) * (POSTINGS_A_BLOCK as u64 / 8)
            + block as u64 * POSTINGS_A_BLOCK as u64 * 4;
        let offset = self.list.blocks.saturating_add(before);
        let bytes = self.pages.get(offset, (rows_bytes + postings * 4) as u64)?;
        // With the values behind the rows, so that all rows are read fast.
        unpack(bytes, entry.width, &mut self.rows[..postings]);
        let end = gaps_to_rows(&mut self.rows[..postings], first);
        if end != u64::from(entry.last_row) + 1 || entry.last_row >= self.row_count {
            return Err(self.corrupt());
        }
        self.values = bytes[rows_bytes..].as_chunks().0;
        self.block = Some(block);
        Ok(())
    }
}
