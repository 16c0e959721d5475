//! Markdown: the blocks that CommonMark sees, over the unchanged text of the file.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::document::Parts;
use crate::lines::LineMap;
use crate::{Block, BlockKind, Document, Format};

pub(super) fn parse(text: String) -> Document {
    let mut reader = Reader { text: &text, blocks: Vec::new(), heading: None, title: None };
    for (event, range) in Parser::new_ext(&text, extensions()).into_offset_iter() {
        reader.read(event, range);
    }
    let Reader { blocks, title, .. } = reader;
    Document::new(Parts {
        lines: LineMap::of_source(&text),
        text,
        title,
        format: Format::Markdown,
        blocks,
        warnings: Vec::new(),
    })
}

fn extensions() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
}

struct Reader<'a> {
    text: &'a str,
    blocks: Vec<Block>,
    /// The words of the heading that is being read.
    heading: Option<String>,
    title: Option<String>,
}

impl Reader<'_> {
    fn read(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, range),
            Event::End(TagEnd::Heading(_)) => self.end_heading(),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut self.heading {
                    heading.push_str(&words);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut self.heading {
                    heading.push(' ');
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.heading = Some(String::new());
                let level = *level as u8;
                let title = Box::default();
                self.push(BlockKind::Heading { level, title }, range);
            }
            // The item's first paragraph is the item.
            Tag::Paragraph if self.item_begins_on_the_line_of(range.start) => {}
            Tag::Paragraph => self.push(BlockKind::Paragraph, range),
            Tag::Item => self.push(BlockKind::ListItem, range),
            Tag::CodeBlock(_) | Tag::HtmlBlock => self.push(BlockKind::Code, range),
            Tag::Table(_) => self.push(BlockKind::Table, range),
            Tag::MetadataBlock(_) => {
                self.title = front_matter_title(&self.text[range.clone()]);
                self.push(BlockKind::Code, range);
            }
            _ => {}
        }
    }

    /// Adds a block; a list marker before it on its line becomes its beginning, not a block.
    fn push(&mut self, kind: BlockKind, mut range: Range<usize>) {
        if self.item_begins_on_the_line_of(range.start)
            && let Some(item) = self.blocks.pop()
        {
            range.start = item.range.start;
        }
        self.blocks.push(Block { kind, range });
    }

    fn item_begins_on_the_line_of(&self, start: usize) -> bool {
        self.blocks.last().is_some_and(|block| {
            block.kind == BlockKind::ListItem
                && self.text[block.range.start..start.max(block.range.start)]
                    .bytes()
                    .all(|byte| byte != b'\n')
        })
    }

    fn end_heading(&mut self) {
        let words = self.heading.take().unwrap_or_default();
        if let Some(BlockKind::Heading { title, .. }) =
            self.blocks.last_mut().map(|block| &mut block.kind)
        {
            *title = words.trim().into();
        }
    }
}

/// The value of a `title` key at the top level of YAML (`title: x`) or TOML (`title = "x"`).
fn front_matter_title(front_matter: &str) -> Option<String> {
    front_matter.lines().find_map(|line| {
        let value = line.strip_prefix("title")?.trim_start().strip_prefix([':', '='])?.trim();
        let unquoted = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
            .unwrap_or(value);
        Some(unquoted.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(document: &Document) -> Vec<(&'static str, &str)> {
        document
            .blocks()
            .iter()
            .map(|block| {
                let name = match block.kind {
                    BlockKind::Heading { .. } => "heading",
                    BlockKind::Paragraph => "paragraph",
                    BlockKind::ListItem => "item",
                    BlockKind::Code => "code",
                    BlockKind::Table => "table",
                    BlockKind::Row | BlockKind::Record => "row",
                };
                (name, &document.text()[block.range.clone()])
            })
            .collect()
    }

    #[test]
    fn blocks_of_an_ordinary_page() {
        let document = parse(
            "# The *Keys* `rotate`\n\nFirst\nparagraph.\n\nSetext\n======\n\n- one\n- two\n  - inner\n\n\
             1. loose\n\n   second paragraph\n\n```rust\nfn a() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\
             > quoted\n> twice\n\n[ref]: https://x.y\n"
                .to_owned(),
        );
        assert_eq!(
            kinds(&document),
            [
                ("heading", "# The *Keys* `rotate`"),
                ("paragraph", "First\nparagraph."),
                ("heading", "Setext\n======"),
                ("item", "- one"),
                ("item", "- two"),
                ("item", "- inner"),
                ("item", "1. loose"),
                ("paragraph", "second paragraph"),
                ("code", "```rust\nfn a() {}\n```"),
                ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
                ("paragraph", "> quoted\n> twice"),
                ("paragraph", "[ref]: https://x.y"),
            ]
        );
        let title = |index: usize| match &document.blocks()[index].kind {
            BlockKind::Heading { level, title } => (*level, title.to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(title(0), (1, "The Keys rotate".to_owned()));
        assert_eq!(title(2), (1, "Setext".to_owned()));
        assert_eq!(document.title(), Some("The Keys rotate"));
        assert_eq!(document.line_of(document.text().find("Setext").unwrap()), 6);
    }

    #[test]
    fn front_matter_gives_the_title_and_stays_in_the_text() {
        let document =
            parse("---\nlayout: post\ntitle: \"Hello: there\"\n---\n\n# Other\n".to_owned());
        assert_eq!(document.title(), Some("Hello: there"));
        assert_eq!(kinds(&document)[0].0, "code");
        let document = parse("+++\ntitle = 'Toml'\n+++\ntext".to_owned());
        assert_eq!(document.title(), Some("Toml"));
    }

    #[test]
    fn markers_join_what_follows_on_their_line() {
        let document = parse("- # Heading in item\n- ```\n  code\n  ```\n- - nested\n".to_owned());
        assert_eq!(
            kinds(&document),
            [
                ("heading", "- # Heading in item"),
                ("code", "- ```\n  code\n  ```"),
                ("item", "- - nested"),
            ]
        );
    }

    #[test]
    fn windows_line_ends_keep_their_lines() {
        let text = "# A\r\n\r\nb\r\n\r\nc\r\n";
        let document = parse(text.to_owned());
        assert_eq!(document.text(), text);
        assert_eq!(document.line_of(text.find('c').unwrap()), 5);
        assert_eq!(kinds(&document).len(), 3);
    }
}
