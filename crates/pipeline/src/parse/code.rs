//! Source code and configuration: the file's top-level pieces, without knowing the language.

use crate::{Block, BlockKind, Document, Format};

/// A new block begins at a line without indentation that follows a blank line: in nearly every
/// language that is where a function, a class, a section or a paragraph of statements begins,
/// together with the comments and attributes that touch it.
pub(super) fn parse(text: String) -> Document {
    let mut blocks = Vec::new();
    let mut start = 0;
    let mut offset = 0;
    let mut after_blank = false;
    for line in text.split_inclusive('\n') {
        let blank = line.trim().is_empty();
        if after_blank && !blank && !line.starts_with([' ', '\t']) {
            blocks.push(code_block(start, offset));
            start = offset;
        }
        after_blank = blank;
        offset += line.len();
    }
    blocks.push(code_block(start, offset));
    super::verbatim(text, Format::Code, blocks, Vec::new())
}

fn code_block(start: usize, end: usize) -> Block {
    Block { kind: BlockKind::Code, range: start..end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_level_items_are_blocks() {
        let source = "import os\n\n# says hello\ndef hello():\n    a = 1\n\n    return a\n\n\nclass B:\n    pass\n";
        let document = parse(source.to_owned());
        let starts: Vec<&str> = document
            .blocks()
            .iter()
            .map(|block| source[block.range.clone()].lines().next().unwrap())
            .collect();
        assert_eq!(starts, ["import os", "# says hello", "class B:"]);
        assert!(source[document.blocks()[1].range.clone()].ends_with("return a"));
    }
}
