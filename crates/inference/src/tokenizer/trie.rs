//! The longest entry of a vocabulary that a text begins with: a double-array trie over bytes
//! (Aoe 1989), which takes one load and one comparison a byte.

use std::ops::Range;

const NONE: u32 = u32::MAX;

/// The cell of a node. Its child by byte `b` is at `base + b`, if that cell names it as parent.
#[derive(Clone, Copy)]
struct Cell {
    base: u32,
    parent: u32,
    token: u32,
}

const FREE: Cell = Cell { base: 0, parent: NONE, token: NONE };

pub(super) struct Trie {
    cells: Vec<Cell>,
}

impl Trie {
    /// A trie of distinct entries, none empty.
    pub(super) fn build(mut entries: Vec<(&[u8], u32)>) -> Trie {
        entries.sort_unstable();
        let mut builder = Builder { cells: vec![FREE; 512], first_free: 256 };
        builder.cells[0].parent = 0;
        let mut open = vec![Pending { node: 0, entries: 0..entries.len(), depth: 0 }];
        while let Some(pending) = open.pop() {
            builder.grow(&entries, pending, &mut open);
        }
        let mut cells = builder.cells;
        let used = cells.iter().rposition(|cell| cell.parent != NONE).map_or(0, |last| last + 1);
        cells.truncate(used);
        cells.shrink_to_fit();
        Trie { cells }
    }

    /// Length and token of the longest entry that `bytes` begins with.
    #[inline]
    pub(super) fn longest_prefix(&self, bytes: &[u8]) -> Option<(usize, u32)> {
        let mut node = 0;
        let mut longest = None;
        for (depth, &byte) in bytes.iter().enumerate() {
            let child = self.cells[node as usize].base + u32::from(byte);
            let Some(cell) = self.cells.get(child as usize) else {
                break;
            };
            if cell.parent != node || child == 0 {
                break;
            }
            if cell.token != NONE {
                longest = Some((depth + 1, cell.token));
            }
            node = child;
        }
        longest
    }
}

/// A node whose children are to be placed: those of `entries`, which agree in `depth` bytes.
struct Pending {
    node: u32,
    entries: Range<usize>,
    depth: usize,
}

struct Builder {
    cells: Vec<Cell>,
    /// No cell from 256 on and below this is free. Those before can be children of few bytes only, so
    /// that some of them would be free for good.
    first_free: usize,
}

impl Builder {
    fn grow(&mut self, entries: &[(&[u8], u32)], pending: Pending, open: &mut Vec<Pending>) {
        let Pending { node, entries: Range { start, end }, depth } = pending;
        let mut children: Vec<(u8, Range<usize>)> = Vec::new();
        for (index, &(entry, token)) in (start..end).zip(&entries[start..end]) {
            let Some(&byte) = entry.get(depth) else {
                self.cells[node as usize].token = token;
                continue;
            };
            match children.last_mut() {
                Some((last, range)) if *last == byte => range.end = index + 1,
                _ => children.push((byte, index..index + 1)),
            }
        }
        let Some(&(first, _)) = children.first() else {
            return;
        };
        let base = self.place(first, &children);
        self.cells[node as usize].base = base as u32;
        for (byte, range) in children {
            let child = base + usize::from(byte);
            self.cells[child].parent = node;
            open.push(Pending { node: child as u32, entries: range, depth: depth + 1 });
        }
    }

    /// The first base at which the cells of all children are free.
    fn place(&mut self, first: u8, children: &[(u8, Range<usize>)]) -> usize {
        while self.cells[self.first_free].parent != NONE {
            self.first_free += 1;
            self.reserve(self.first_free);
        }
        let mut base = self.first_free - usize::from(first);
        loop {
            self.reserve(base);
            let is_free = |(byte, _): &(u8, _)| {
                let cell = base + usize::from(*byte);
                cell > 0 && self.cells[cell].parent == NONE
            };
            if children.iter().all(is_free) {
                return base;
            }
            base += 1;
        }
    }

    /// Makes room for all children at `base`.
    fn reserve(&mut self, base: usize) {
        if self.cells.len() < base + 512 {
            self.cells.resize(2 * (base + 512), FREE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_search_of_all_entries_finds(
            words in prop::collection::vec("[abé\u{0}漢]{1,6}", 0..200),
            text in "[abé\u{0}漢]{0,20}",
        ) {
            let map: BTreeMap<&str, u32> = words.iter().map(String::as_str).zip(0..).collect();
            let trie = Trie::build(map.iter().map(|(word, id)| (word.as_bytes(), *id)).collect());
            let expected = map
                .iter()
                .filter(|(word, _)| text.starts_with(**word))
                .max_by_key(|(word, _)| word.len())
                .map(|(word, id)| (word.len(), *id));
            prop_assert_eq!(trie.longest_prefix(text.as_bytes()), expected);
        }
    }

    #[test]
    fn an_empty_trie_finds_nothing() {
        assert_eq!(Trie::build(Vec::new()).longest_prefix(b"a"), None);
    }
}
