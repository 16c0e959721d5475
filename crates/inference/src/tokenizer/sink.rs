//! Where tokens go: into lists, or only into a count.

use super::bert::Sink;

/// Keeps ids and offsets.
pub(super) struct Lists<'a> {
    ids: &'a mut Vec<u32>,
    offsets: &'a mut Vec<(u32, u32)>,
    limit: usize,
}

impl<'a> Lists<'a> {
    /// Appends to the lists until `limit` tokens are added, or some more.
    pub(super) fn new(
        ids: &'a mut Vec<u32>,
        offsets: &'a mut Vec<(u32, u32)>,
        limit: usize,
    ) -> Lists<'a> {
        let limit = ids.len().saturating_add(limit);
        Lists { ids, offsets, limit }
    }
}

impl Sink for Lists<'_> {
    #[inline]
    fn push(&mut self, token: u32, start: usize, end: usize) {
        self.ids.push(token);
        self.offsets.push((start as u32, end as u32));
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.ids.len() >= self.limit
    }
}

/// Keeps ids alone.
pub(super) struct Ids<'a> {
    ids: &'a mut Vec<u32>,
    limit: usize,
}

impl<'a> Ids<'a> {
    /// Appends to the list until `limit` tokens are added, or some more.
    pub(super) fn new(ids: &'a mut Vec<u32>, limit: usize) -> Ids<'a> {
        let limit = ids.len().saturating_add(limit);
        Ids { ids, limit }
    }
}

impl Sink for Ids<'_> {
    #[inline]
    fn push(&mut self, token: u32, _: usize, _: usize) {
        self.ids.push(token);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.ids.len() >= self.limit
    }
}

/// Counts.
#[derive(Default)]
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    #[inline]
    fn push(&mut self, _: u32, _: usize, _: usize) {
        self.0 += 1;
    }

    #[inline]
    fn is_full(&self) -> bool {
        false
    }
}
