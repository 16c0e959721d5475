//! Which segments to merge next.

use std::ops::Range;

use crate::index_options::IndexOptions;

/// What the choice looks at, of each segment in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentSize {
    pub(crate) rows: u64,
    pub(crate) dead: u64,
    pub(crate) is_indexed: bool,
    /// A part that is derived from the others is damaged: the segment is to be written anew.
    pub(crate) is_damaged: bool,
    /// Live rows cannot be read: a segment without them would be a loss that nobody agreed to.
    pub(crate) has_lost: bool,
}

impl SegmentSize {
    fn live(&self) -> u64 {
        self.rows - self.dead
    }

    /// A quarter of the rows is dead: searches walk over them and they take their space.
    fn is_worn(&self) -> bool {
        self.dead * 4 >= self.rows
    }
}

/// A merge takes an older segment in with it unless that one is larger by more than a factor: so a
/// row is rewritten a number of times that grows with the logarithm of the collection.
const GROWTH: u64 = 3;

/// That factor while writes and searches go on side by side. More segments stand side by side, and a
/// merge is over sooner; until it is, searches scan what has been written.
const GROWTH_BESIDE_SEARCHES: u64 = 1;

/// Segments without a graph that may stand side by side before they become one.
const MAXIMUM_FLAT: usize = 4;

/// What merges have to keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergeRules {
    pub(crate) index: IndexOptions,
    /// Rows that memory allows in one segment; one that is larger already is left as it is.
    pub(crate) most_rows: u64,
    /// Somebody searches meanwhile.
    pub(crate) is_searched: bool,
}

impl MergeRules {
    fn growth(&self) -> u64 {
        if self.is_searched { GROWTH_BESIDE_SEARCHES } else { GROWTH }
    }

    fn is_worth_a_graph(&self, rows: u64) -> bool {
        rows >= u64::from(self.index.minimum_rows) && self.index.minimum_rows != u32::MAX
    }
}

/// A choice among segments, of which those with lost rows are left as they are.
pub(crate) fn choose(
    choice: fn(&[SegmentSize], &MergeRules) -> Option<Range<usize>>,
    segments: &[SegmentSize],
    rules: &MergeRules,
) -> Option<Range<usize>> {
    let mut start = 0;
    for run in segments.split(|segment| segment.has_lost) {
        if let Some(range) = choice(run, rules) {
            return Some(start + range.start..start + range.end);
        }
        start += run.len() + 1;
    }
    None
}

/// The next merge, as a range of the segments; `None` where all is well.
///
/// Only neighbours are merged, which keeps the order in which records were written. What is worn is
/// rewritten; what is young grows together until it is worth a graph.
pub(crate) fn next_merge(segments: &[SegmentSize], rules: &MergeRules) -> Option<Range<usize>> {
    let is_due = |segment: &SegmentSize| segment.is_damaged || segment.is_worn();
    if let Some(worn) = segments.iter().position(is_due) {
        return Some(worn..worn + 1);
    }
    let young = segments.iter().rev().take_while(|segment| !segment.is_indexed).count();
    let first_young = segments.len() - young;
    if rules.index.minimum_rows == u32::MAX {
        return next_flat_merge(segments, first_young, rules.most_rows);
    }
    // As many of the young ones as memory allows, the oldest first.
    let (mut end, mut rows) = (first_young, 0);
    while end < segments.len() && rows + segments[end].live() <= rules.most_rows {
        rows += segments[end].live();
        end += 1;
    }
    let worth_a_graph = rules.is_worth_a_graph(rows);
    if !worth_a_graph && end - first_young <= MAXIMUM_FLAT {
        return None;
    }
    let mut start = first_young;
    while start > 0
        && worth_a_graph
        && segments[start - 1].live() <= rows * rules.growth()
        && rows + segments[start - 1].live() <= rules.most_rows
    {
        start -= 1;
        rows += segments[start].live();
    }
    Some(start..end)
}

/// The next merge of segments that never get a graph: the newest, with older ones that are not much
/// larger.
fn next_flat_merge(
    segments: &[SegmentSize],
    first_young: usize,
    most_rows: u64,
) -> Option<Range<usize>> {
    let (mut start, mut rows) = (segments.len(), 0);
    while start > first_young
        && rows + segments[start - 1].live() <= most_rows
        && (segments.len() - start < 2 || segments[start - 1].live() <= rows * GROWTH)
    {
        start -= 1;
        rows += segments[start].live();
    }
    let large_enough = segments.len() - start > 1;
    (large_enough && segments.len() - first_young > MAXIMUM_FLAT).then_some(start..segments.len())
}

/// The merge that brings the segments nearest to what is searched fastest: one segment, or as few as
/// memory allows, with a graph where it is large enough for one, and nothing dead. `None` where that
/// is so already.
pub(crate) fn complete_merge(segments: &[SegmentSize], rules: &MergeRules) -> Option<Range<usize>> {
    let mut start = 0;
    while start < segments.len() {
        let (mut end, mut rows) = (start + 1, segments[start].live());
        while end < segments.len() && rows + segments[end].live() <= rules.most_rows {
            rows += segments[end].live();
            end += 1;
        }
        let only = &segments[start];
        let wants_graph =
            rules.is_worth_a_graph(only.live()) && !only.is_indexed && rows <= rules.most_rows;
        if end > start + 1 || only.dead > 0 || only.is_damaged || wants_graph {
            return Some(start..end);
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(rows: u64) -> SegmentSize {
        SegmentSize { is_indexed: true, ..flat(rows) }
    }

    fn flat(rows: u64) -> SegmentSize {
        SegmentSize { rows, dead: 0, is_indexed: false, is_damaged: false, has_lost: false }
    }

    #[test]
    fn young_segments_grow_together_and_old_ones_are_left_alone() {
        let index = IndexOptions { minimum_rows: 100, ..IndexOptions::default() };
        let rules = MergeRules { index, most_rows: u64::MAX, is_searched: false };
        let next = |segments: &[SegmentSize]| next_merge(segments, &rules);
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[flat(10)]), None);
        assert_eq!(next(&[flat(10); 4]), None);
        assert_eq!(next(&[flat(10); 5]), Some(0..5));
        assert_eq!(next(&[graph(1000), flat(10)]), None);
        assert_eq!(next(&[flat(60), flat(40)]), Some(0..2));
        assert_eq!(next(&[graph(1000), flat(100)]), Some(1..2));
        assert_eq!(next(&[graph(1000), graph(300), flat(100)]), Some(0..3));
        assert_eq!(next(&[graph(5000), graph(300), flat(100)]), Some(1..3));
        let searched = MergeRules { is_searched: true, ..rules };
        assert_eq!(next_merge(&[graph(1000), graph(300), flat(100)], &searched), Some(2..3));
        assert_eq!(next_merge(&[graph(1000), graph(100), flat(100)], &searched), Some(1..3));
        assert_eq!(next(&[graph(1000), graph(300)]), None);
        let worn = SegmentSize { dead: 250, ..graph(1000) };
        assert_eq!(next(&[graph(9), worn, flat(100)]), Some(1..2));
        let exact = MergeRules { index: IndexOptions::exact(), ..rules };
        assert_eq!(next_merge(&[flat(1 << 20); 3], &exact), None);
        assert_eq!(next_merge(&[flat(1 << 20); 5], &exact), Some(0..5));
        // What is much larger is not rewritten, and the full ones do not keep the others apart.
        let segments = [5000, 600, 100, 20, 10].map(flat);
        assert_eq!(next_merge(&segments, &exact), Some(3..5));
        let full = MergeRules { most_rows: 1000, ..exact };
        let segments = [1000, 1000, 1000, 900, 300, 300, 300].map(flat);
        assert_eq!(next_merge(&segments, &full), Some(4..7));
        assert_eq!(next_merge(&[1000, 1000, 1000, 1000, 1000].map(flat), &full), None);
    }

    #[test]
    fn a_collection_of_more_rows_than_32_bits_count_keeps_several_segments() {
        let most_rows = u64::from(crate::format::MAX_SEGMENT_ROWS);
        for index in [IndexOptions::default(), IndexOptions::exact()] {
            let rules = MergeRules { index, most_rows, is_searched: false };
            let size =
                |rows| SegmentSize { is_indexed: index != IndexOptions::exact(), ..flat(rows) };
            // Three times as many as 32 bits count, then what is written one after the other.
            let mut segments = vec![size(most_rows); 12];
            for _ in 0..40 {
                segments.push(flat(most_rows / 7));
                for choose in [next_merge, complete_merge] {
                    while let Some(range) = choose(&segments, &rules) {
                        let rows: u64 = segments[range.clone()].iter().map(SegmentSize::live).sum();
                        assert!(rows <= most_rows, "{rows} rows in one segment");
                        segments.splice(range, [size(rows)]);
                    }
                }
            }
            let total: u64 = segments.iter().map(SegmentSize::live).sum();
            assert_eq!(total, 12 * most_rows + 40 * (most_rows / 7));
            assert!(total > 3 * (1 << 32) && segments.len() <= 12 + 7, "{segments:?}");
        }
    }

    #[test]
    fn a_complete_merge_leaves_one_segment_and_then_nothing_to_do() {
        let index = IndexOptions { minimum_rows: 100, ..IndexOptions::default() };
        let rules = MergeRules { index, most_rows: u64::MAX, is_searched: false };
        let complete = |segments: &[SegmentSize]| complete_merge(segments, &rules);
        assert_eq!(complete(&[]), None);
        assert_eq!(complete(&[flat(99)]), None);
        assert_eq!(complete(&[flat(100)]), Some(0..1));
        assert_eq!(complete(&[graph(100)]), None);
        assert_eq!(complete(&[SegmentSize { dead: 1, ..graph(100) }]), Some(0..1));
        assert_eq!(complete(&[graph(100), flat(1)]), Some(0..2));
    }

    #[test]
    fn no_merge_has_more_rows_than_memory_allows() {
        let index = IndexOptions { minimum_rows: 100, ..IndexOptions::default() };
        let rules = MergeRules { index, most_rows: 1000, is_searched: false };
        let next = |segments: &[SegmentSize]| next_merge(segments, &rules);
        assert_eq!(next(&[graph(900), flat(300)]), Some(1..2));
        assert_eq!(next(&[graph(700), flat(300)]), Some(0..2));
        assert_eq!(next(&[flat(700), flat(200), flat(300)]), Some(0..2));
        assert_eq!(next(&[flat(5000)]), None);
        let complete = |segments: &[SegmentSize]| complete_merge(segments, &rules);
        assert_eq!(complete(&[graph(900), graph(200), graph(300)]), Some(1..3));
        assert_eq!(complete(&[graph(900), graph(500)]), None);
        assert_eq!(complete(&[flat(5000)]), None);
        assert_eq!(complete(&[flat(5000), flat(100)]), Some(1..2));
    }
}
