//! What every parser produces: a text, its blocks, and where each byte came from.

use std::ops::Range;

use crate::Format;
use crate::lines::LineMap;

/// A parsed file: the text to search, cut into blocks.
///
/// Invariants, established by construction: blocks are in order, do not overlap, begin and end on
/// a character that is not white space, and together hold every character of the text that is
/// not white space. The text is shorter than 4 GiB.
#[derive(Clone, Debug)]
pub struct Document {
    text: String,
    title: Option<String>,
    format: Format,
    blocks: Vec<Block>,
    warnings: Vec<String>,
    lines: LineMap,
}

/// A stretch of a document that belongs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Its bytes in [`Document::text`].
    pub range: Range<usize>,
}

/// What a block is; it decides how a long one is cut and what may share a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// A heading: opens a section.
    Heading {
        /// 1 (outermost) to 6.
        level: u8,
        /// The heading's words without markup.
        title: Box<str>,
    },
    /// Running prose.
    Paragraph,
    /// One item of a list, without the lists inside it.
    ListItem,
    /// Lines whose breaks mean something: source code, preformatted text, raw markup.
    Code,
    /// A whole table that is written as lines.
    Table,
    /// One row of a table or one plain value of a list: short, shares a chunk with its neighbours.
    Row,
    /// One record of a data file: never shares a chunk with another.
    Record,
}

impl BlockKind {
    /// Whether the block reads as sentences, so that it is cut between sentences before lines.
    pub(crate) fn is_prose(&self) -> bool {
        matches!(self, BlockKind::Heading { .. } | BlockKind::Paragraph | BlockKind::ListItem)
    }
}

/// The parts that a parser hands over; [`Document::new`] puts them in order.
pub(crate) struct Parts {
    pub(crate) text: String,
    pub(crate) title: Option<String>,
    pub(crate) format: Format,
    /// In any order; an inner block cuts the outer block short where it begins.
    pub(crate) blocks: Vec<Block>,
    pub(crate) warnings: Vec<String>,
    pub(crate) lines: LineMap,
}

impl Document {
    pub(crate) fn new(parts: Parts) -> Document {
        let blocks = partition(&parts.text, parts.blocks);
        let title =
            parts.title.filter(|title| !title.is_empty()).or_else(|| first_top_heading(&blocks));
        Document {
            text: parts.text,
            title,
            format: parts.format,
            blocks,
            warnings: parts.warnings,
            lines: parts.lines,
        }
    }

    /// The text. For Markdown, plain text and code it is the decoded file without its byte order
    /// mark; for HTML, CSV and JSON it is what was extracted.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The document's own title (front matter, `<title>`, or its first top-level heading).
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The format it was read as.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The blocks, in order (see the invariants of [`Document`]).
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// What was wrong with the file but did not stop the parser, a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The 1-based line of the original *file* that byte `byte` of the text came from.
    pub fn line_of(&self, byte: usize) -> u64 {
        u64::from(self.lines.line_of(&self.text, byte))
    }
}

fn first_top_heading(blocks: &[Block]) -> Option<String> {
    blocks.iter().find_map(|block| match &block.kind {
        BlockKind::Heading { level: 1, title } if !title.is_empty() => Some(title.to_string()),
        _ => None,
    })
}

/// Orders the blocks, cuts overlaps, trims white space, and gives what no block holds to a block:
/// whole lines become a paragraph, the beginning of a line (a list marker, a quotation mark)
/// joins the block that follows on that line.
fn partition(text: &str, mut blocks: Vec<Block>) -> Vec<Block> {
    blocks.sort_by_key(|block| block.range.start);
    let starts: Vec<usize> = blocks.iter().skip(1).map(|block| block.range.start).collect();
    let mut ordered = Vec::with_capacity(blocks.len());
    let mut covered = 0;
    for (index, block) in blocks.into_iter().enumerate() {
        let limit = starts.get(index).copied().unwrap_or(text.len());
        let range = block.range.start.max(covered)..block.range.end.min(limit);
        if range.is_empty() {
            continue;
        }
        let mut range = trim(text, range);
        if range.is_empty() {
            continue;
        }
        let end = range.end;
        range.start = adopt_gap(text, covered, range.start, &mut ordered);
        ordered.push(Block { kind: block.kind, range });
        covered = end;
    }
    let rest = trim(text, covered..text.len());
    if !rest.is_empty() {
        ordered.push(Block { kind: BlockKind::Paragraph, range: rest });
    }
    ordered
}

/// Turns the whole lines of `text[covered..start]` into a paragraph and returns where the block at
/// `start` must begin to hold the rest.
fn adopt_gap(text: &str, covered: usize, start: usize, ordered: &mut Vec<Block>) -> usize {
    let gap = trim(text, covered..start);
    if gap.is_empty() {
        return start;
    }
    let line_start =
        text[gap.start..start].rfind('\n').map_or(gap.start, |newline| gap.start + newline + 1);
    let whole_lines = trim(text, gap.start..line_start);
    if !whole_lines.is_empty() {
        ordered.push(Block { kind: BlockKind::Paragraph, range: whole_lines });
    }
    let prefix = trim(text, line_start..start);
    if prefix.is_empty() { start } else { prefix.start }
}

/// The range without white space at its ends (empty if there is nothing else).
pub(crate) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = &text[range.clone()];
    let kept = slice.trim_start();
    let start = range.end - kept.len();
    start..start + kept.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(range: Range<usize>) -> Block {
        Block { kind: BlockKind::Paragraph, range }
    }

    proptest! {
        #[test]
        fn any_blocks_become_a_partition(
            text in "[ab \n]{0,60}",
            ranges in prop::collection::vec((0usize..60, 0usize..60), 0..8),
        ) {
            let blocks = ranges
                .into_iter()
                .map(|(a, b)| block(a.min(b).min(text.len())..a.max(b).min(text.len())))
                .collect();
            let ordered = partition(&text, blocks);
            let mut covered = 0;
            for block in &ordered {
                prop_assert!(text[covered..block.range.start].trim().is_empty());
                prop_assert!(!block.range.is_empty());
                prop_assert_eq!(trim(&text, block.range.clone()), block.range.clone());
                covered = block.range.end;
            }
            prop_assert!(text[covered..].trim().is_empty());
        }
    }

    #[test]
    fn a_marker_joins_its_line_and_whole_lines_stand_alone() {
        let text = "[ref]: x\n\n> quoted";
        let ordered = partition(text, vec![block(12..18)]);
        assert_eq!(ordered, vec![block(0..8), block(10..18)]);
    }

    #[test]
    fn an_inner_block_cuts_the_outer_one() {
        let text = "outer inner rest";
        let ordered = partition(text, vec![block(0..16), block(6..11)]);
        assert_eq!(ordered, vec![block(0..5), block(6..11), block(12..16)]);
    }
}
