//! Adds to each chunk where it stands: characters for Python, lines for people.

use super::Chunk;
use super::fit::Fitted;
use crate::Document;

/// Chunks begin in ascending order, so that all characters are counted in one pass.
pub(super) fn place(document: &Document, fitted: Vec<Fitted>) -> Vec<Chunk> {
    let text = document.text();
    let mut counted = (0, 0);
    fitted
        .into_iter()
        .map(|fitted| {
            let (byte, character) = counted;
            let start = character + characters(&text[byte..fitted.range.start]);
            counted = (fitted.range.start, start);
            Chunk {
                start,
                end: start + characters(&text[fitted.range.clone()]),
                line: document.line_of(fitted.range.start),
                tokens: fitted.tokens,
                section: fitted.section,
                range: fitted.range,
            }
        })
        .collect()
}

fn characters(text: &str) -> usize {
    text.chars().count()
}
