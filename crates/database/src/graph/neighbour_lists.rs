//! The nearest rows that were seen so far of every row, filled from many threads.

use parking_lot::Mutex;

/// A row that was seen, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) distance: f32,
    pub(crate) row: u32,
}

impl Candidate {
    /// Nearer first, then the smaller row: a total order, so that what a list keeps does not depend
    /// on the order of insertion.
    #[inline]
    pub(crate) fn before(&self, other: &Candidate) -> bool {
        self.distance < other.distance || (self.distance == other.distance && self.row < other.row)
    }
}

/// Candidates that a list has room for at first.
const FIRST_ROOM: usize = 8;

/// A list a row, each of at most `capacity` candidates without repetition, nearest first.
pub(crate) struct NeighbourLists {
    capacity: usize,
    lists: Vec<Mutex<Vec<Candidate>>>,
}

impl NeighbourLists {
    pub(crate) fn new(count: usize, capacity: usize) -> Self {
        Self { capacity, lists: (0..count).map(|_| Mutex::new(Vec::new())).collect() }
    }

    /// What a distance must be less than to enter the list of `row` now. It only falls, so that a row
    /// which is no nearer now will not be in the list in the end.
    pub(crate) fn limit(&self, row: u32) -> f32 {
        let list = self.lists[row as usize].lock();
        match list.last() {
            // Of equal distances the smaller row enters.
            Some(last) if list.len() == self.capacity => last.distance.next_up(),
            _ => f32::INFINITY,
        }
    }

    /// Merges `found`, nearest first, into the list of `row`.
    pub(crate) fn merge(&self, row: u32, found: &[Candidate]) {
        let mut list = self.lists[row as usize].lock();
        let mut present = RowFilter::of(&list);
        for candidate in found {
            if list.len() == self.capacity && !candidate.before(&list[self.capacity - 1]) {
                break;
            }
            let at = list.partition_point(|other| other.before(candidate));
            // Exact distances of a pair differ in the last bits from part to part.
            if list.get(at) == Some(candidate) {
                continue;
            }
            if present.may_hold(candidate.row)
                && list.iter().any(|other| other.row == candidate.row)
            {
                continue;
            }
            present.add(candidate.row);
            self.insert(&mut list, at, *candidate);
        }
    }

    /// Adds a candidate that the list of `row` does not hold.
    pub(crate) fn add(&self, row: u32, candidate: Candidate) {
        let mut list = self.lists[row as usize].lock();
        if list.len() < self.capacity || candidate.before(&list[self.capacity - 1]) {
            let at = list.partition_point(|other| other.before(&candidate));
            self.insert(&mut list, at, candidate);
        }
    }

    /// Puts a candidate into a place of a list; the last one falls out of a full list.
    fn insert(&self, list: &mut Vec<Candidate>, at: usize, candidate: Candidate) {
        if list.len() == self.capacity {
            list.pop();
        }
        if list.len() == list.capacity() {
            // Never beyond what it may hold.
            let room = list.len().max(FIRST_ROOM).min(self.capacity - list.len());
            list.reserve_exact(room);
        }
        list.insert(at, candidate);
    }

    pub(crate) fn into_lists(self) -> Vec<Vec<Candidate>> {
        self.lists.into_iter().map(Mutex::into_inner).collect()
    }
}

/// Tells of most rows at once that a list does not hold them.
#[derive(Default)]
pub(crate) struct RowFilter([u64; 8]);

impl RowFilter {
    fn of(list: &[Candidate]) -> Self {
        let mut filter = Self::default();
        list.iter().for_each(|candidate| filter.add(candidate.row));
        filter
    }

    /// The word and the bit of a row: near rows have numbers near each other, and so other bits.
    #[inline]
    fn place(row: u32) -> (usize, u64) {
        (row as usize / 64 % 8, 1 << (row % 64))
    }

    #[inline]
    pub(crate) fn add(&mut self, row: u32) {
        let (word, bit) = Self::place(row);
        self.0[word] |= bit;
    }

    #[inline]
    pub(crate) fn may_hold(&self, row: u32) -> bool {
        let (word, bit) = Self::place(row);
        self.0[word] & bit != 0
    }
}
