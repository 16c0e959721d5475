//! The terms of an index, in the order of their bytes, in groups of [`TERMS_A_GROUP`].
//!
//! A group is its length and a record for each term: how many bytes it shares with the term before,
//! the rest of its bytes, and its postings or where they are. The first term of a group shares
//! nothing, so that a term is found by halving the list of groups and going through one of them.

use super::postings::{Cursor, Posting, Stored};
use super::{TextIndex, varint};
use crate::error::{Error, Result};
use crate::format::{MAX_INLINE_POSTINGS, TERMS_A_GROUP};

/// Appends the record of a term, its postings apart.
pub(super) fn put_term(group: &mut Vec<u8>, before: &[u8], term: &[u8]) {
    let shared = before.iter().zip(term).take_while(|(a, b)| a == b).count();
    varint::put(group, shared as u64);
    varint::put(group, (term.len() - shared) as u64);
    group.extend_from_slice(&term[shared..]);
}

/// Appends postings to the record of their term.
pub(super) fn put_inline(group: &mut Vec<u8>, count: u32, postings: impl Iterator<Item = Posting>) {
    varint::put(group, u64::from(count));
    let mut least = 0;
    for (row, count) in postings {
        varint::put(group, u64::from(row - least));
        varint::put(group, u64::from(count));
        least = row;
    }
}

/// Appends where postings are to the record of their term.
pub(super) fn put_blocks(group: &mut Vec<u8>, postings: u32, offset: u64, bytes: u64) {
    for number in [u64::from(postings), offset, bytes] {
        varint::put(group, number);
    }
}

/// Goes through the terms of a group.
pub(crate) struct Group<'a> {
    bytes: &'a [u8],
    term: Vec<u8>,
    inline: Vec<Posting>,
    rows: u32,
}

impl<'a> Group<'a> {
    pub(super) fn new(bytes: &'a [u8], rows: u32) -> Self {
        Self { bytes, term: Vec::new(), inline: Vec::new(), rows }
    }

    /// The next term and its postings; `None` behind the last one. The outer `None` stands for
    /// bytes that were never written.
    pub(super) fn next(&mut self) -> Option<Option<(&[u8], Stored<'_>)>> {
        if self.bytes.is_empty() {
            return Some(None);
        }
        self.take_term()?;
        let postings = varint::take(&mut self.bytes).and_then(|count| u32::try_from(count).ok())?;
        if postings > MAX_INLINE_POSTINGS {
            let offset = varint::take(&mut self.bytes)?;
            let bytes = varint::take(&mut self.bytes)?;
            return Some(Some((&self.term, Stored::Blocks { postings, offset, bytes })));
        }
        self.inline.clear();
        let mut least = 0u64;
        for _ in 0..postings {
            let row = least.checked_add(varint::take(&mut self.bytes)?)?;
            let count = u32::try_from(varint::take(&mut self.bytes)?).ok()?;
            if row >= u64::from(self.rows)
                || count == 0
                || (row == least && !self.inline.is_empty())
            {
                return None;
            }
            self.inline.push((row as u32, count));
            least = row;
        }
        Some(Some((&self.term, Stored::Inline(&self.inline))))
    }

    fn take_term(&mut self) -> Option<()> {
        let shared = usize::try_from(varint::take(&mut self.bytes)?).ok()?;
        let length = usize::try_from(varint::take(&mut self.bytes)?).ok()?;
        if shared > self.term.len() || length > self.bytes.len() {
            return None;
        }
        let (rest, behind) = self.bytes.split_at(length);
        self.term.truncate(shared);
        self.term.extend_from_slice(rest);
        self.bytes = behind;
        Some(())
    }
}

impl<B: AsRef<[u8]>> TextIndex<B> {
    pub(super) fn group(&self, number: u64) -> Result<Group<'_>> {
        let place = self.contents.groups.saturating_add(number.saturating_mul(8));
        let offset = self.pages.u64(place)?;
        let length = self.pages.u32(offset)?;
        let bytes = self.pages.get(offset.saturating_add(4), u64::from(length))?;
        Ok(Group::new(bytes, self.rows()))
    }

    /// The group that has a term, if one does.
    pub(super) fn group_of(&self, term: &[u8]) -> Result<Option<u64>> {
        let (mut low, mut high) = (0, self.contents.group_count());
        while low < high {
            let middle = low + (high - low) / 2;
            let mut group = self.group(middle)?;
            group.take_term().ok_or_else(|| self.impossible_terms())?;
            if group.term.as_slice() <= term {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }

    pub(super) fn impossible_terms(&self) -> Error {
        self.pages.corrupt(self.contents.groups, "has terms that were never written")
    }
}

/// Goes through all terms of an index.
pub(crate) struct Terms<'a, B> {
    index: &'a TextIndex<B>,
    next_group: u64,
    group: Option<Group<'a>>,
}

impl<'a, B: AsRef<[u8]>> Terms<'a, B> {
    pub(super) fn new(index: &'a TextIndex<B>) -> Self {
        Self { index, next_group: 0, group: None }
    }

    /// The next term and its postings.
    pub(crate) fn next(&mut self) -> Result<Option<(Vec<u8>, Cursor<'a, B>)>> {
        loop {
            if let Some(group) = &mut self.group {
                let next = group.next().ok_or_else(|| self.index.impossible_terms())?;
                if let Some((term, stored)) = next {
                    let cursor = Cursor::new(self.index, stored)?;
                    return Ok(Some((term.to_vec(), cursor)));
                }
            }
            if self.next_group == self.index.contents.group_count() {
                return Ok(None);
            }
            self.group = Some(self.index.group(self.next_group)?);
            self.next_group += 1;
        }
    }
}

/// Terms that are put together make a group.
pub(super) fn ends_group(terms: u64) -> bool {
    terms.is_multiple_of(TERMS_A_GROUP)
}
