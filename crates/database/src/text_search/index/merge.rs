//! One index out of several, without reading a text.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::TextIndex;
use super::header::{Identity, IndexKey};
use super::postings::Cursor;
use super::terms::Terms;
use super::write::IndexWriter;
use crate::error::Result;
use crate::format::NO_TEXT;
use crate::index_file::write::Target;

/// What becomes of the rows of an index that is merged into another one.
#[derive(Clone)]
pub(crate) enum NewRows {
    /// All stay, in order, from this row on.
    From(u32),
    /// The row that each becomes; `u32::MAX` for those that are no longer there.
    Listed(Vec<u32>),
}

impl NewRows {
    fn of(&self, row: u32) -> Option<u32> {
        match self {
            Self::From(first) => Some(first + row),
            Self::Listed(rows) => rows.get(row as usize).copied().filter(|new| *new != u32::MAX),
        }
    }
}

/// Writes the index of the rows of several indexes. The new rows of each come in order, and behind
/// those of the indexes before it; together they are the rows of the new one.
///
/// # Errors
/// `Corrupt` where one of them is damaged, and what the target says.
pub(crate) fn merge<B: AsRef<[u8]>, T: Target>(
    sources: &[(&TextIndex<B>, NewRows)],
    target: T,
    identity: Identity,
    key: IndexKey,
) -> Result<Vec<u8>> {
    let mut lengths = vec![NO_TEXT; identity.rows as usize];
    for (index, rows) in sources {
        for row in 0..index.rows() {
            if let (Some(new), Some(length)) = (rows.of(row), index.length(row)?) {
                lengths[new as usize] = length;
            }
        }
    }
    let mut writer = IndexWriter::new(target, identity, key, lengths);
    let mut terms: Vec<Terms<'_, B>> = sources.iter().map(|(index, _)| index.terms()).collect();
    // The next term of each source, and its postings.
    let mut cursors: Vec<Option<Cursor<'_, B>>> = Vec::new();
    let mut queue = BinaryHeap::new();
    for (source, terms) in terms.iter_mut().enumerate() {
        let next = terms.next()?;
        cursors.push(next.map(|(term, cursor)| {
            queue.push(Reverse((term, source)));
            cursor
        }));
    }
    while let Some(Reverse((term, source))) = queue.pop() {
        let rows = &sources[source].1;
        if let Some(mut cursor) = cursors[source].take() {
            let mut outcome = Ok(());
            cursor.visit(0..u32::MAX, |row, count| {
                if let (Ok(()), Some(new)) = (&outcome, rows.of(row)) {
                    outcome = writer.posting((new, count));
                }
            })?;
            outcome?;
        }
        if let Some((next, cursor)) = terms[source].next()? {
            queue.push(Reverse((next, source)));
            cursors[source] = Some(cursor);
        }
        if queue.peek().is_none_or(|Reverse((next, _))| *next != term) {
            writer.end_term(&term)?;
        }
    }
    writer.finish()
}
