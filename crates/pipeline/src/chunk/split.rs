//! The ways to cut a block that is too long, from the gentlest to the hardest.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::sentences::sentences;
use crate::BlockKind;
use crate::document::trim;

/// Where a piece of text may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    BlankLine,
    Line,
    Sentence,
    WhiteSpace,
    Word,
}

const PROSE: [Cut; 4] = [Cut::Sentence, Cut::Line, Cut::WhiteSpace, Cut::Word];
const LINES: [Cut; 5] = [Cut::BlankLine, Cut::Line, Cut::Sentence, Cut::WhiteSpace, Cut::Word];

/// The cuts for a kind of block, in the order in which to try them.
pub(super) fn cuts_of(kind: &BlockKind) -> &'static [Cut] {
    if kind.is_prose() { &PROSE } else { &LINES }
}

/// Where an overlap may begin in a kind of block.
pub(super) fn overlap_cut_of(kind: &BlockKind) -> Cut {
    if kind.is_prose() { Cut::Sentence } else { Cut::Line }
}

/// The pieces of `text[range]` under a cut: in order, without white space at their ends, none
/// empty, together all that is not white space.
pub(super) fn pieces(
    text: &str,
    range: Range<usize>,
    cut: Cut,
) -> Box<dyn Iterator<Item = Range<usize>> + '_> {
    let slice = &text[range.clone()];
    let lengths: Box<dyn Iterator<Item = usize> + '_> = match cut {
        Cut::BlankLine => Box::new(paragraphs(slice)),
        Cut::Line => Box::new(slice.split_inclusive('\n').map(str::len)),
        Cut::Sentence => Box::new(sentences(slice).map(|sentence| sentence.len())),
        Cut::WhiteSpace => Box::new(slice.split_inclusive(char::is_whitespace).map(str::len)),
        Cut::Word => Box::new(slice.split_word_bounds().map(str::len)),
    };
    let mut end = range.start;
    Box::new(lengths.filter_map(move |length| {
        let start = end;
        end += length;
        let piece = trim(text, start..end);
        (!piece.is_empty()).then_some(piece)
    }))
}

/// Lengths of the stretches that end with a blank line.
fn paragraphs(slice: &str) -> impl Iterator<Item = usize> + '_ {
    let mut lines = slice.split_inclusive('\n');
    std::iter::from_fn(move || {
        let mut length = 0;
        for line in lines.by_ref() {
            length += line.len();
            if line.trim().is_empty() {
                break;
            }
        }
        (length > 0).then_some(length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str, cut: Cut) -> Vec<&str> {
        pieces(text, 0..text.len(), cut).map(|range| &text[range]).collect()
    }

    #[test]
    fn each_cut() {
        let text = "a b.c\n d\n\n\n e. f";
        assert_eq!(of(text, Cut::BlankLine), ["a b.c\n d", "e. f"]);
        assert_eq!(of(text, Cut::Line), ["a b.c", "d", "e. f"]);
        assert_eq!(of("One. Two", Cut::Sentence), ["One.", "Two"]);
        assert_eq!(of(text, Cut::WhiteSpace), ["a", "b.c", "d", "e.", "f"]);
        assert_eq!(of("漢字 can't+x", Cut::Word), ["漢", "字", "can't", "+", "x"]);
    }

    proptest! {
        #[test]
        fn no_cut_loses_a_character(text in "\\PC{0,40}", spaced in "[a.\n \u{3000}é]{0,40}") {
            for text in [text, spaced] {
                for cut in LINES {
                    let mut covered = 0;
                    for piece in pieces(&text, 0..text.len(), cut) {
                        prop_assert!(text[covered..piece.start].trim().is_empty());
                        prop_assert_eq!(trim(&text, piece.clone()), piece.clone());
                        covered = piece.end;
                    }
                    prop_assert!(text[covered..].trim().is_empty());
                }
            }
        }
    }
}
