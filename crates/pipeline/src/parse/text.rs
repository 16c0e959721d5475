//! Plain text: paragraphs between blank lines.

use crate::{Block, BlockKind, Document, Format};

pub(super) fn parse(text: String) -> Document {
    let mut blocks = Vec::new();
    let mut paragraph: Option<usize> = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            blocks.extend(paragraph.take().map(|start| paragraph_block(start, offset)));
        } else {
            paragraph.get_or_insert(offset);
        }
        offset += line.len();
    }
    blocks.extend(paragraph.map(|start| paragraph_block(start, offset)));
    super::verbatim(text, Format::Text, blocks, Vec::new())
}

fn paragraph_block(start: usize, end: usize) -> Block {
    Block { kind: BlockKind::Paragraph, range: start..end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_part_paragraphs() {
        let document = parse("one\r\ntwo\r\n \t\r\n\r\nthree".to_owned());
        let texts: Vec<&str> =
            document.blocks().iter().map(|block| &document.text()[block.range.clone()]).collect();
        assert_eq!(texts, ["one\r\ntwo", "three"]);
        assert_eq!(document.line_of(document.text().find("three").unwrap()), 5);
    }

    #[test]
    fn white_space_alone_has_no_blocks() {
        assert!(parse(" \n\u{3000}\n".to_owned()).blocks().is_empty());
        assert!(parse(String::new()).blocks().is_empty());
    }
}
