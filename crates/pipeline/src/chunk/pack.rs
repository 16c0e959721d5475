//! Fills chunks with blocks, and with pieces of the blocks that are too long.

use std::ops::Range;
use std::sync::Arc;

use super::ChunkOptions;
use super::split::{Cut, cuts_of, overlap_cut_of, pieces};
use super::token_index::TokenIndex;
use crate::{Block, BlockKind, Document};

/// Headings are repeated in every chunk below them; longer ones are cut there.
const MAX_HEADING_CHARACTERS: usize = 200;

/// While this many cuts are left, a piece is still large enough to be cut further only to fill up
/// a small chunk: what comes next are sentences of prose or lines of code.
const CUTS_BELOW_SENTENCES: usize = 3;

/// A chunk before its limit is made sure of.
pub(super) struct Span {
    pub(super) range: Range<usize>,
    /// Where its text begins that no earlier span holds: what stands before is overlap.
    pub(super) fresh: usize,
    pub(super) section: Option<Arc<str>>,
}

/// Packs the blocks of a document. Only a span that is one word, or a part of one between two
/// Unicode word boundaries, can be too long.
pub(super) fn pack(document: &Document, tokens: &TokenIndex, options: ChunkOptions) -> Vec<Span> {
    let mut packer = Packer {
        text: document.text(),
        blocks: document.blocks(),
        at_block: 0,
        tokens,
        options,
        headings: Vec::new(),
        section: None,
        open: None,
        overlap: Vec::new(),
        spans: Vec::new(),
    };
    for (index, block) in document.blocks().iter().enumerate() {
        packer.at_block = index;
        packer.add(block);
    }
    packer.end_section();
    packer.spans
}

/// A chunk that is being filled.
struct Open {
    start: usize,
    /// Where the text begins that no earlier chunk holds.
    fresh: usize,
    end: usize,
    /// Where the headings begin that the chunk ends with.
    last_heading: Option<usize>,
    /// Behind the last heading in the chunk: an overlap begins no earlier.
    section_start: usize,
    section: Option<Arc<str>>,
    /// Whether it holds more than headings; from then on its section, if it has one, is settled.
    has_body: bool,
}

struct Packer<'a> {
    text: &'a str,
    blocks: &'a [Block],
    /// The block that is being added.
    at_block: usize,
    tokens: &'a TokenIndex,
    options: ChunkOptions,
    /// The headings in force, outermost first, by level.
    headings: Vec<(u8, &'a str)>,
    section: Option<Arc<str>>,
    open: Option<Open>,
    /// Where the next chunk may begin to repeat the end of the last one, ascending.
    overlap: Vec<usize>,
    spans: Vec<Span>,
}

impl<'a> Packer<'a> {
    fn add(&mut self, block: &'a Block) {
        if let BlockKind::Heading { level, title } = &block.kind {
            if self.open.as_ref().is_some_and(|open| open.has_body && !self.is_small(open)) {
                self.end_section();
            }
            self.overlap.clear();
            self.enter_section(*level, title);
        }
        let alone = block.kind == BlockKind::Record;
        if alone {
            self.end_section();
        }
        self.place(&block.kind, block.range.clone(), cuts_of(&block.kind));
        if alone {
            self.end_section();
        }
    }

    fn enter_section(&mut self, level: u8, title: &'a str) {
        self.headings.retain(|(outer, _)| *outer < level);
        let title = match title.char_indices().nth(MAX_HEADING_CHARACTERS) {
            Some((end, _)) => &title[..end],
            None => title,
        };
        self.headings.push((level, title));
        let titles: Vec<&str> = self
            .headings
            .iter()
            .map(|(_, title)| *title)
            .filter(|title| !title.is_empty())
            .collect();
        self.section = (!titles.is_empty()).then(|| titles.join(" > ").into());
    }

    /// Puts a piece into the open chunk, or into the next, whole or, if that cannot be, cut by the
    /// first of `cuts`.
    fn place(&mut self, kind: &BlockKind, piece: Range<usize>, cuts: &[Cut]) {
        if self.extend(kind, &piece) {
            return;
        }
        let fill_up = self
            .open
            .as_ref()
            .is_some_and(|open| self.should_be_filled_up(open, kind, &piece, cuts));
        if !fill_up {
            self.close();
            if self.extend(kind, &piece) {
                return;
            }
        }
        match cuts.split_first() {
            Some((cut, finer)) => {
                for part in pieces(self.text, piece, *cut) {
                    self.place(kind, part, finer);
                }
            }
            None => {
                self.end_section();
                if !self.extend(kind, &piece) {
                    self.emit(piece.clone(), piece.start, self.section.clone());
                }
            }
        }
    }

    /// Whether the chunk should rather take a part of a piece that does not fit than end here.
    fn should_be_filled_up(
        &self,
        open: &Open,
        kind: &BlockKind,
        piece: &Range<usize>,
        cuts: &[Cut],
    ) -> bool {
        if matches!(kind, BlockKind::Heading { .. }) {
            return false;
        }
        if !open.has_body {
            return cuts.len() > 1;
        }
        let may_be_cut = cuts.len() > CUTS_BELOW_SENTENCES || !self.fits(piece.clone());
        may_be_cut && open.last_heading.is_none() && self.is_small(open)
    }

    fn is_small(&self, open: &Open) -> bool {
        self.tokens.count(open.fresh..open.end) < self.options.min_tokens
    }

    fn fits(&self, range: Range<usize>) -> bool {
        range.len() <= self.options.max_bytes()
            && self.tokens.count(range) <= self.options.max_tokens
    }

    /// Adds the piece to the open chunk, or opens one with it; false if it does not fit.
    fn extend(&mut self, kind: &BlockKind, piece: &Range<usize>) -> bool {
        let start = match &self.open {
            Some(open) => open.start,
            None => piece.start,
        };
        if !self.fits(start..piece.end) {
            return false;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(piece),
        };
        open.end = piece.end;
        if matches!(kind, BlockKind::Heading { .. }) {
            open.last_heading.get_or_insert(piece.start);
            open.section_start = piece.end;
        } else {
            open.last_heading = None;
        }
        // What stands before the first heading (front matter) takes the name of what follows.
        if !open.has_body || open.section.is_none() {
            open.section.clone_from(&self.section);
        }
        open.has_body |= open.last_heading.is_none();
        self.open = Some(open);
        true
    }

    /// Opens a chunk with as much overlap as fits before the piece.
    fn begin(&mut self, piece: &Range<usize>) -> Open {
        let start = std::mem::take(&mut self.overlap)
            .into_iter()
            .find(|start| self.fits(*start..piece.end))
            .unwrap_or(piece.start);
        Open {
            start,
            fresh: piece.start,
            end: piece.end,
            last_heading: None,
            section_start: start,
            section: None,
            has_body: false,
        }
    }

    /// Ends the open chunk. Headings at its end move on into the next one.
    fn close(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        match open.last_heading.filter(|_| open.has_body) {
            Some(heading) => {
                self.emit(open.start..heading, open.fresh, open.section.take());
                self.open = Some(Open {
                    start: heading,
                    fresh: heading,
                    section: self.section.clone(),
                    has_body: false,
                    ..open
                });
            }
            None => {
                self.overlap = self.overlap_starts(&open);
                self.emit(open.start..open.end, open.fresh, open.section);
            }
        }
    }

    /// Ends the open chunk, headings and all, and forbids an overlap.
    fn end_section(&mut self) {
        while self.open.is_some() {
            self.close();
        }
        self.overlap.clear();
    }

    fn emit(&mut self, range: Range<usize>, fresh: usize, section: Option<Arc<str>>) {
        let range = crate::document::trim(self.text, range);
        if !range.is_empty() {
            self.spans.push(Span { fresh: fresh.max(range.start), range, section });
        }
    }

    /// Where whole sentences or lines begin at the end of a chunk, within the overlap.
    fn overlap_starts(&self, open: &Open) -> Vec<usize> {
        let earliest = self
            .tokens
            .start_of_last(self.options.overlap_tokens, open.end)
            .max(open.section_start)
            .max(open.start + 1);
        let reaches = |block: &&Block| block.range.end > earliest;
        let mut starts: Vec<usize> = self.blocks[..=self.at_block]
            .iter()
            .rev()
            .skip_while(|block| block.range.start >= open.end)
            .take_while(reaches)
            .flat_map(|block| {
                let held = block.range.start.max(open.start)..block.range.end.min(open.end);
                pieces(self.text, held, overlap_cut_of(&block.kind))
            })
            .map(|piece| piece.start)
            .filter(|start| *start >= earliest)
            .collect();
        starts.sort_unstable();
        starts
    }
}
