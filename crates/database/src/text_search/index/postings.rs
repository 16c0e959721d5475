//! The postings of a term: the rows that have it in ascending order, and how often each has it.
//!
//! They stand in blocks of [`POSTINGS_A_BLOCK`], packed into few bits a number. Behind the blocks
//! is an entry for each: its last row, by which a reader passes blocks over without touching them,
//! and what bounds the score of each of its postings. A score by BM25 grows with
//! `1 / (1 + c / count + d * length / count)` for some `c` and `d` from 0, whatever the statistics
//! of the collection are; so the largest count and the least `length / count` give a bound.

use roaring::RoaringBitmap;

use super::TextIndex;
use crate::bit_packing::{gaps_to_rows, pack, packed_bytes, rows_to_gaps, unpack, width_of};
use crate::error::Result;
use crate::format::{MAX_INLINE_POSTINGS, POSTINGS_A_BLOCK, POSTINGS_BLOCK_ENTRY_BYTES};

/// A row and how often it has a term.
pub(crate) type Posting = (u32, u32);

/// What no posting of a block exceeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// `u16::MAX` stands for any that is larger, too.
    pub(crate) most_count: u16,
    /// Of `length / count`, or a little less.
    pub(crate) least_ratio: f32,
}

impl Bounds {
    pub(crate) const NONE: Self = Self { most_count: 0, least_ratio: f32::INFINITY };

    pub(crate) fn of(count: u32, length: u32) -> Self {
        let ratio = f64::from(length) / f64::from(count);
        let rounded = ratio as f32;
        let least = if f64::from(rounded) > ratio { rounded.next_down() } else { rounded };
        Self { most_count: u16::try_from(count).unwrap_or(u16::MAX), least_ratio: least }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            most_count: self.most_count.max(other.most_count),
            least_ratio: self.least_ratio.min(other.least_ratio),
        }
    }
}

/// What is known of a block without reading it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    last_row: u32,
    row_width: u8,
    count_width: u8,
    bounds: Bounds,
}

impl Entry {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.last_row.to_le_bytes());
        bytes.extend_from_slice(&[self.row_width, self.count_width]);
        bytes.extend_from_slice(&self.bounds.most_count.to_le_bytes());
        bytes.extend_from_slice(&self.bounds.least_ratio.to_le_bytes());
    }

    fn read(bytes: &[u8; POSTINGS_BLOCK_ENTRY_BYTES]) -> Self {
        let [a, b, c, d, row_width, count_width, e, f, g, h, i, j] = *bytes;
        Self {
            last_row: u32::from_le_bytes([a, b, c, d]),
            row_width,
            count_width,
            bounds: Bounds {
                most_count: u16::from_le_bytes([e, f]),
                least_ratio: f32::from_le_bytes([g, h, i, j]),
            },
        }
    }
}

/// Encodes the postings of one term after the other.
#[derive(Default)]
pub(super) struct PostingsEncoder {
    rows: Vec<u32>,
    counts: Vec<u32>,
    /// The least row that the block may have.
    first: u32,
    bounds: Option<Bounds>,
    entries: Vec<u8>,
    /// Postings of the term so far.
    pub(super) postings: u32,
}

impl PostingsEncoder {
    /// Takes the next posting and the words of its row; appends a block to `blocks` when it is full.
    pub(super) fn push(&mut self, (row, count): Posting, length: u32, blocks: &mut Vec<u8>) {
        self.rows.push(row);
        self.counts.push(count);
        let bounds = Bounds::of(count, length);
        self.bounds = Some(self.bounds.map_or(bounds, |known| known.or(bounds)));
        self.postings += 1;
        if self.rows.len() == POSTINGS_A_BLOCK {
            self.end_block(blocks);
        }
    }

    /// The postings, where they are so few that their term keeps them itself.
    pub(super) fn inline(&self) -> Option<impl Iterator<Item = Posting>> {
        let few = self.postings <= MAX_INLINE_POSTINGS;
        few.then(|| self.rows.iter().copied().zip(self.counts.iter().copied()))
    }

    /// Appends the last block; returns the entries of all.
    pub(super) fn finish(&mut self, blocks: &mut Vec<u8>) -> &[u8] {
        if !self.rows.is_empty() {
            self.end_block(blocks);
        }
        &self.entries
    }

    /// Goes on to the next term.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.counts.clear();
        self.entries.clear();
        (self.first, self.bounds, self.postings) = (0, None, 0);
    }

    fn end_block(&mut self, blocks: &mut Vec<u8>) {
        let last_row = self.rows[self.rows.len() - 1];
        rows_to_gaps(&mut self.rows, self.first);
        self.counts.iter_mut().for_each(|count| *count -= 1);
        let entry = Entry {
            last_row,
            row_width: width_of(&self.rows),
            count_width: width_of(&self.counts),
            bounds: self.bounds.take().unwrap_or(Bounds::NONE),
        };
        pack(&self.rows, entry.row_width, blocks);
        pack(&self.counts, entry.count_width, blocks);
        entry.put(&mut self.entries);
        self.first = last_row.saturating_add(1);
        self.rows.clear();
        self.counts.clear();
    }
}

/// Where the postings of a term are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stored<'a> {
    /// In its record.
    Inline(&'a [Posting]),
    /// In blocks of so many bytes from an offset on, with the entries behind.
    Blocks { postings: u32, offset: u64, bytes: u64 },
}

/// Goes through the postings of a term in ascending order.
pub(crate) struct Cursor<'a, B> {
    index: &'a TextIndex<B>,
    source: Source<'a>,
    postings: u32,
    block: usize,
    /// The least row that the block may have.
    first: u32,
    /// Where the bytes of the block are.
    offset: u64,
    rows: [u32; POSTINGS_A_BLOCK],
    counts: [u32; POSTINGS_A_BLOCK],
    /// Postings of the block that are decoded: all or none.
    decoded: usize,
    /// Those before are below what was last looked for.
    at: usize,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Inline(Entry),
    Entries(&'a [[u8; POSTINGS_BLOCK_ENTRY_BYTES]]),
}

impl<B> Clone for Cursor<'_, B> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, B: AsRef<[u8]>> Cursor<'a, B> {
    pub(super) fn new(index: &'a TextIndex<B>, stored: Stored<'_>) -> Result<Self> {
        let mut cursor = Self {
            index,
            source: Source::Entries(&[]),
            postings: 0,
            block: 0,
            first: 0,
            offset: 0,
            rows: [0; POSTINGS_A_BLOCK],
            counts: [0; POSTINGS_A_BLOCK],
            decoded: 0,
            at: 0,
        };
        match stored {
            Stored::Inline(postings) => {
                let mut bounds = Bounds::NONE;
                for (place, (row, count)) in postings.iter().enumerate() {
                    cursor.rows[place] = *row;
                    cursor.counts[place] = *count;
                    let length = index.length(*row)?.unwrap_or_default();
                    bounds = bounds.or(Bounds::of(*count, length));
                }
                let last_row = postings.last().map_or(0, |(row, _)| *row);
                let entry = Entry { last_row, row_width: 0, count_width: 0, bounds };
                cursor.source = Source::Inline(entry);
                cursor.postings = postings.len() as u32;
                cursor.decoded = postings.len();
            }
            Stored::Blocks { postings, offset, bytes } => {
                let blocks = (postings as usize).div_ceil(POSTINGS_A_BLOCK);
                let length = (blocks * POSTINGS_BLOCK_ENTRY_BYTES) as u64;
                let entries = index.pages.get(offset.saturating_add(bytes), length)?;
                cursor.source = Source::Entries(entries.as_chunks().0);
                cursor.postings = postings;
                cursor.offset = offset;
            }
        }
        Ok(cursor)
    }

    /// How many rows have the term.
    pub(crate) fn postings(&self) -> u32 {
        self.postings
    }

    /// The least row that may come next; `None` where there is none any more.
    pub(crate) fn least_row(&self) -> Option<u32> {
        let entry = self.entry(self.block)?;
        let row = match self.decoded {
            0 => self.first,
            decoded => self.rows[..decoded].get(self.at).map_or(entry.last_row, |row| *row),
        };
        Some(row)
    }

    /// Passes over the blocks before the one that may have `row` or a later one.
    pub(crate) fn advance_to(&mut self, row: u32) {
        while self.entry(self.block).is_some_and(|entry| entry.last_row < row) {
            self.next_block();
        }
    }

    /// What no posting in these rows exceeds, from the block on that was advanced to.
    pub(crate) fn bounds(&self, rows: std::ops::Range<u32>) -> Bounds {
        let (mut bounds, mut first, mut block) = (Bounds::NONE, self.first, self.block);
        while first < rows.end
            && let Some(entry) = self.entry(block)
        {
            if entry.last_row >= rows.start {
                bounds = bounds.or(entry.bounds);
            }
            first = entry.last_row.saturating_add(1);
            block += 1;
        }
        bounds
    }

    /// Calls `visit` with each posting in these rows.
    pub(crate) fn visit(
        &mut self,
        rows: std::ops::Range<u32>,
        mut visit: impl FnMut(u32, u32),
    ) -> Result<()> {
        self.advance_to(rows.start);
        while let Some(entry) = self.entry(self.block)
            && self.first < rows.end
        {
            self.decode(entry)?;
            let found = &self.rows[..self.decoded];
            let start = self.at + found[self.at..].partition_point(|row| *row < rows.start);
            let end = start + found[start..].partition_point(|row| *row < rows.end);
            for (row, count) in found[start..end].iter().zip(&self.counts[start..end]) {
                visit(*row, *count);
            }
            self.at = end;
            if end < self.decoded {
                break;
            }
            self.next_block();
        }
        Ok(())
    }

    /// How often a row has the term. Rows are asked for in ascending order.
    pub(crate) fn count_in(&mut self, row: u32) -> Result<u32> {
        self.advance_to(row);
        let Some(entry) = self.entry(self.block).filter(|_| self.first <= row) else {
            return Ok(0);
        };
        self.decode(entry)?;
        let found = &self.rows[..self.decoded];
        self.at += found[self.at..].partition_point(|other| *other < row);
        Ok(if found.get(self.at) == Some(&row) { self.counts[self.at] } else { 0 })
    }

    /// All rows that have the term, from the first one on.
    pub(crate) fn rows(&self) -> Result<RoaringBitmap> {
        let mut cursor = self.clone();
        let mut rows = Vec::new();
        cursor.visit(0..u32::MAX, |row, _| rows.push(row))?;
        let rows = RoaringBitmap::from_sorted_iter(rows);
        rows.map_err(|_| self.index.pages.corrupt(self.offset, "has postings in no order"))
    }

    /// How many of these rows have the term. Reads only the blocks that may have one of them.
    pub(crate) fn count_of(&self, rows: &RoaringBitmap) -> Result<u64> {
        let mut cursor = self.clone();
        let mut count = 0;
        if rows.len() > u64::from(self.postings) {
            cursor.visit(0..u32::MAX, |row, _| count += u64::from(rows.contains(row)))?;
            return Ok(count);
        }
        for row in rows {
            count += u64::from(cursor.count_in(row)? > 0);
        }
        Ok(count)
    }

    fn entry(&self, block: usize) -> Option<Entry> {
        match &self.source {
            Source::Inline(entry) => (block == 0 && self.postings > 0).then_some(*entry),
            Source::Entries(entries) => entries.get(block).map(Entry::read),
        }
    }

    fn next_block(&mut self) {
        if let Some(entry) = self.entry(self.block) {
            self.offset = self.offset.saturating_add(self.bytes_of(entry) as u64);
            self.first = entry.last_row.saturating_add(1);
        }
        self.block += 1;
        (self.decoded, self.at) = (0, 0);
    }

    fn postings_of_block(&self) -> usize {
        (self.postings as usize).saturating_sub(self.block * POSTINGS_A_BLOCK).min(POSTINGS_A_BLOCK)
    }

    fn bytes_of(&self, entry: Entry) -> usize {
        let postings = self.postings_of_block();
        packed_bytes(postings, entry.row_width) + packed_bytes(postings, entry.count_width)
    }

    /// Reads the block, unless that was done.
    fn decode(&mut self, entry: Entry) -> Result<()> {
        if self.decoded > 0 {
            return Ok(());
        }
        let bytes = self.index.pages.get(self.offset, self.bytes_of(entry) as u64)?;
        let postings = self.postings_of_block();
        let counts = &bytes[packed_bytes(postings, entry.row_width)..];
        unpack(bytes, entry.row_width, &mut self.rows[..postings]);
        unpack(counts, entry.count_width, &mut self.counts[..postings]);
        let end = gaps_to_rows(&mut self.rows[..postings], self.first);
        for count in &mut self.counts[..postings] {
            *count = count.saturating_add(1);
        }
        if end != u64::from(entry.last_row) + 1 || entry.last_row >= self.index.rows() {
            return Err(self.index.pages.corrupt(self.offset, "has postings of impossible rows"));
        }
        self.decoded = postings;
        Ok(())
    }
}
