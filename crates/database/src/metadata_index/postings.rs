//! Sets of rows in the body of an index, and the 8-byte references to them.
//!
//! A reference is a tag in the highest byte and a number: one row, or the offset of a list. Most
//! values of most keys have one row, and then that is all they take.

use roaring::RoaringBitmap;

use super::section::Section;
use crate::error::Result;
use crate::format::{POSTINGS_AT, POSTINGS_HEADER_BYTES, POSTINGS_NONE, POSTINGS_ONE};

/// With fewer rows it does not pay to try a bitmap.
const BITMAP_FROM: usize = 16;

const TAG_SHIFT: u32 = 56;
const NUMBER_MASK: u64 = (1 << TAG_SHIFT) - 1;

fn reference(tag: u8, number: u64) -> u64 {
    u64::from(tag) << TAG_SHIFT | number
}

/// Appends a set of rows, given in ascending order, to a body and gives back the reference.
pub(super) fn put(body: &mut Vec<u8>, rows: &[u32]) -> u64 {
    match rows {
        [] => reference(POSTINGS_NONE, 0),
        [row] => reference(POSTINGS_ONE, u64::from(*row)),
        rows => {
            let at = body.len() as u64;
            body.extend_from_slice(&(rows.len() as u32).to_le_bytes());
            match smaller_bitmap(rows) {
                Some(bitmap) => {
                    body.extend_from_slice(&(bitmap.serialized_size() as u32).to_le_bytes());
                    bitmap.serialize_into(&mut *body).expect("writing to memory does not fail");
                }
                None => {
                    body.extend_from_slice(&(4 * rows.len() as u32).to_le_bytes());
                    body.extend(rows.iter().flat_map(|row| row.to_le_bytes()));
                }
            }
            reference(POSTINGS_AT, at)
        }
    }
}

/// The rows as a bitmap, if that takes less than 4 bytes a row.
fn smaller_bitmap(rows: &[u32]) -> Option<RoaringBitmap> {
    if rows.len() < BITMAP_FROM {
        return None;
    }
    let mut bitmap: RoaringBitmap = rows.iter().copied().collect();
    bitmap.optimize();
    (bitmap.serialized_size() < 4 * rows.len()).then_some(bitmap)
}

/// As [`put`], for a bitmap.
pub(super) fn put_bitmap(body: &mut Vec<u8>, rows: &RoaringBitmap) -> u64 {
    put(body, &rows.iter().collect::<Vec<_>>())
}

/// The sets of rows of a section.
pub(super) struct Postings<'a, B> {
    section: &'a Section<B>,
    /// Rows of the segment: every row is below.
    rows: u32,
}

/// A set of rows as it is stored.
pub(super) enum Stored<'a> {
    None,
    One(u32),
    /// 4 bytes each, in ascending order.
    List(&'a [u8]),
    Bitmap(RoaringBitmap),
}

impl<'a, B: AsRef<[u8]>> Postings<'a, B> {
    pub(super) fn new(section: &'a Section<B>, rows: u32) -> Self {
        Self { section, rows }
    }

    /// How many rows, without reading them.
    pub(super) fn count(&self, reference: u64) -> Result<u64> {
        match self.tag(reference)? {
            POSTINGS_NONE => Ok(0),
            POSTINGS_ONE => Ok(1),
            _ => Ok(u64::from(self.section.u32(reference & NUMBER_MASK)?)),
        }
    }

    pub(super) fn bitmap(&self, reference: u64) -> Result<RoaringBitmap> {
        Ok(match self.read(reference)? {
            Stored::None => RoaringBitmap::new(),
            Stored::One(row) => RoaringBitmap::from_iter([row]),
            Stored::List(rows) => listed(rows).collect(),
            Stored::Bitmap(bitmap) => bitmap,
        })
    }

    /// How many of its rows are in another set.
    pub(super) fn count_in(&self, reference: u64, others: &RoaringBitmap) -> Result<u64> {
        Ok(match self.read(reference)? {
            Stored::None => 0,
            Stored::One(row) => u64::from(others.contains(row)),
            Stored::List(rows) => listed(rows).filter(|row| others.contains(*row)).count() as u64,
            Stored::Bitmap(bitmap) => bitmap.intersection_len(others),
        })
    }

    /// Its rows that are in another set.
    pub(super) fn bitmap_in(
        &self,
        reference: u64,
        others: &RoaringBitmap,
    ) -> Result<RoaringBitmap> {
        Ok(match self.read(reference)? {
            Stored::None => RoaringBitmap::new(),
            Stored::One(row) => RoaringBitmap::from_iter(others.contains(row).then_some(row)),
            Stored::List(rows) => listed(rows).filter(|row| others.contains(*row)).collect(),
            Stored::Bitmap(bitmap) => bitmap & others,
        })
    }

    fn tag(&self, reference: u64) -> Result<u8> {
        match (reference >> TAG_SHIFT) as u8 {
            tag @ (POSTINGS_NONE | POSTINGS_ONE | POSTINGS_AT) => Ok(tag),
            _ => Err(self.section.corrupt(0, "refers to rows in an unknown way")),
        }
    }

    fn read(&self, reference: u64) -> Result<Stored<'a>> {
        let number = reference & NUMBER_MASK;
        match self.tag(reference)? {
            POSTINGS_NONE => return Ok(Stored::None),
            POSTINGS_ONE => {
                return match u32::try_from(number) {
                    Ok(row) if row < self.rows => Ok(Stored::One(row)),
                    _ => Err(self.section.corrupt(0, "refers to a row that does not exist")),
                };
            }
            _ => {}
        }
        let corrupt = || self.section.corrupt(number, "has rows that are no set of its rows");
        let count = u64::from(self.section.u32(number)?);
        let length = u64::from(self.section.u32(number.saturating_add(4))?);
        let at = number.saturating_add(POSTINGS_HEADER_BYTES as u64);
        let bytes = self.section.get(at, length)?;
        if length == 4 * count {
            let ascending = listed(bytes).zip(listed(bytes).skip(1)).all(|(a, b)| a < b);
            if !ascending || listed(bytes).last().is_some_and(|last| last >= self.rows) {
                return Err(corrupt());
            }
            return Ok(Stored::List(bytes));
        }
        let bitmap = RoaringBitmap::deserialize_from(bytes).map_err(|_| corrupt())?;
        if bitmap.len() != count || bitmap.max().is_some_and(|last| last >= self.rows) {
            return Err(corrupt());
        }
        Ok(Stored::Bitmap(bitmap))
    }
}

fn listed(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|row| u32::from_le_bytes(row.try_into().expect("chunks of 4")))
}

/// A union of many sets: bits first, a bitmap at the end, so that a million single rows cost a
/// million bits to set and not a million bitmaps.
pub(super) struct Union<'a, B> {
    postings: &'a Postings<'a, B>,
    bitmaps: RoaringBitmap,
    singles: Singles,
}

enum Singles {
    List(Vec<u32>),
    /// One bit a row.
    Bits(Vec<u8>),
}

impl<'a, B: AsRef<[u8]>> Union<'a, B> {
    /// For about so many sets.
    pub(super) fn new(postings: &'a Postings<'a, B>, sets: u64) -> Self {
        // Setting bits is faster than sorting as soon as clearing them first is cheap beside it.
        let singles = if sets > u64::from(postings.rows) / 64 {
            Singles::Bits(vec![0; (postings.rows as usize).div_ceil(8)])
        } else {
            Singles::List(Vec::new())
        };
        Self { postings, bitmaps: RoaringBitmap::new(), singles }
    }

    pub(super) fn add(&mut self, reference: u64) -> Result<()> {
        match self.postings.read(reference)? {
            Stored::None => {}
            Stored::One(row) => self.singles.add(row),
            Stored::List(rows) => listed(rows).for_each(|row| self.singles.add(row)),
            Stored::Bitmap(bitmap) => self.bitmaps |= bitmap,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> RoaringBitmap {
        let singles = match self.singles {
            Singles::List(mut rows) => {
                rows.sort_unstable();
                rows.dedup();
                RoaringBitmap::from_sorted_iter(rows).expect("sorted and without duplicates")
            }
            Singles::Bits(bits) => RoaringBitmap::from_lsb0_bytes(0, &bits),
        };
        self.bitmaps | singles
    }
}

impl Singles {
    fn add(&mut self, row: u32) {
        match self {
            Self::List(rows) => rows.push(row),
            Self::Bits(bits) => bits[row as usize / 8] |= 1 << (row % 8),
        }
    }
}
