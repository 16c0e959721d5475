//! HTML: the text a reader sees, with the file's lines.
//!
//! Only a tokenizer runs, never a tree builder: elements that are never closed, or closed in the
//! wrong order, cost nothing and lose nothing, and nesting needs no stack.

use html5gum::Tokenizer;
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};

use super::ParseError;
use super::extract::Extract;
use crate::lines::newlines;
use crate::{BlockKind, Document, Format};

pub(super) fn parse(source: &str) -> Result<Document, ParseError> {
    let page = read(source, true)?;
    // An element that should not be shown and is never closed would swallow the rest of the page.
    let page = match page.skipping {
        Some(_) => read(source, false)?,
        None => page,
    };
    Ok(page.out.finish(Format::Html, page.title))
}

fn read(source: &str, skip_boilerplate: bool) -> Result<Page<'_>, ParseError> {
    let mut page = Page::new(source, skip_boilerplate);
    let mut emitter =
        CallbackEmitter::new(|event: CallbackEvent<'_>, span: html5gum::Span<usize>| {
            page.read(event, span.start).err()
        });
    emitter.naively_switch_states(true);
    // The tokenizer runs to the end of the page, or to the first error that `read` returns.
    match Tokenizer::new_with_emitter(source, emitter).next() {
        Some(Ok(error)) => return Err(error),
        Some(Err(never)) => match never {},
        None => {}
    }
    page.end_block();
    Ok(page)
}

/// What an element does to the text around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    /// Holds no text for a reader, up to its end tag.
    Raw,
    /// Holds text beside the page's matter, up to its end tag.
    Boilerplate,
    Title,
    Heading(u8),
    Item,
    Row,
    Cell,
    Preformatted,
    LineBreak,
    Block,
    Inline,
}

impl Element {
    fn of(name: &[u8]) -> Element {
        match name {
            b"script" | b"style" | b"iframe" | b"noembed" => Element::Raw,
            b"nav" | b"template" | b"noscript" | b"svg" | b"object" | b"button" | b"select"
            | b"datalist" | b"canvas" | b"audio" | b"video" | b"dialog" => Element::Boilerplate,
            b"title" => Element::Title,
            [b'h', level @ b'1'..=b'6'] => Element::Heading(level - b'0'),
            b"li" | b"dt" | b"dd" => Element::Item,
            b"tr" => Element::Row,
            b"td" | b"th" => Element::Cell,
            b"pre" | b"xmp" | b"listing" | b"plaintext" => Element::Preformatted,
            b"br" => Element::LineBreak,
            b"p" | b"div" | b"section" | b"article" | b"main" | b"header" | b"footer"
            | b"aside" | b"blockquote" | b"ul" | b"ol" | b"dl" | b"menu" | b"table" | b"thead"
            | b"tbody" | b"tfoot" | b"caption" | b"figure" | b"figcaption" | b"form"
            | b"fieldset" | b"legend" | b"address" | b"details" | b"summary" | b"hr" | b"body"
            | b"head" | b"html" | b"center" | b"option" | b"textarea" | b"frameset"
            | b"noframes" | b"search" | b"hgroup" => Element::Block,
            _ => Element::Inline,
        }
    }
}

/// Elements without an end tag: they hold nothing that `hidden` could hide.
const VOID: [&[u8]; 13] = [
    b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta",
    b"source", b"track", b"wbr",
];

/// What stands between the words before and the words to come, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
    Cell,
}

/// An element whose text is left out, with how many of its name are open inside one another.
struct Skipping {
    name: Vec<u8>,
    depth: usize,
}

struct Page<'a> {
    source: &'a str,
    skip_boilerplate: bool,
    /// Byte of the source up to which lines are counted, and the line there.
    counted: (usize, u32),
    out: Extract,
    title: Option<String>,
    /// The start tag that is being read, and whether it says `hidden`.
    tag: Vec<u8>,
    tag_hides: bool,
    skipping: Option<Skipping>,
    in_title: bool,
    preformatted: bool,
    in_row: bool,
    kind: BlockKind,
    /// Where the current block began, once it holds text.
    block: Option<usize>,
    gap: Gap,
}

impl<'a> Page<'a> {
    fn new(source: &'a str, skip_boilerplate: bool) -> Page<'a> {
        Page {
            source,
            skip_boilerplate,
            counted: (0, 1),
            out: Extract::new(source.len()),
            title: None,
            tag: Vec::new(),
            tag_hides: false,
            skipping: None,
            in_title: false,
            preformatted: false,
            in_row: false,
            kind: BlockKind::Paragraph,
            block: None,
            gap: Gap::None,
        }
    }

    fn read(&mut self, event: CallbackEvent<'_>, at: usize) -> Result<(), ParseError> {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag.clear();
                self.tag.extend_from_slice(name);
                self.tag_hides = false;
            }
            CallbackEvent::AttributeName { name } => self.tag_hides |= name == b"hidden",
            CallbackEvent::CloseStartTag { self_closing } => self.start_tag(self_closing),
            CallbackEvent::EndTag { name } => self.end_tag(name),
            CallbackEvent::String { value } => {
                return self.string(&String::from_utf8_lossy(value), at);
            }
            _ => {}
        }
        Ok(())
    }

    fn start_tag(&mut self, self_closing: bool) {
        if let Some(skipping) = &mut self.skipping {
            skipping.depth += usize::from(skipping.name == self.tag);
            return;
        }
        let element = Element::of(&self.tag);
        // Of all that is left out, only this kind can be closed by its own start tag.
        let empty = self_closing && self.tag == b"svg";
        let hidden = self.tag_hides && !VOID.contains(&self.tag.as_slice());
        let left_out = self.skip_boilerplate && (element == Element::Boilerplate || hidden);
        if element == Element::Raw || left_out {
            if !empty {
                self.skipping = Some(Skipping { name: self.tag.clone(), depth: 1 });
            }
            return;
        }
        match element {
            Element::Title => self.in_title = true,
            Element::LineBreak => self.widen(Gap::Line),
            Element::Heading(level) => {
                self.preformatted = false;
                let title = Box::default();
                self.begin_block(BlockKind::Heading { level, title });
            }
            _ if self.preformatted => {}
            Element::Item => self.begin_block(BlockKind::ListItem),
            Element::Preformatted => {
                self.begin_block(BlockKind::Code);
                self.preformatted = true;
            }
            Element::Row => {
                self.begin_block(BlockKind::Row);
                self.in_row = true;
            }
            Element::Cell => self.widen(Gap::Cell),
            Element::Block => self.break_at_block_tag(),
            Element::Inline | Element::Raw | Element::Boilerplate => {}
        }
    }

    fn end_tag(&mut self, name: &[u8]) {
        if let Some(skipping) = &mut self.skipping {
            if skipping.name == name {
                skipping.depth -= 1;
                if skipping.depth == 0 {
                    self.skipping = None;
                }
            }
            return;
        }
        match Element::of(name) {
            Element::Title => self.in_title = false,
            Element::Preformatted => {
                self.preformatted = false;
                self.begin_block(BlockKind::Paragraph);
            }
            _ if self.preformatted => {}
            Element::Heading(_) | Element::Item | Element::Row => {
                self.begin_block(BlockKind::Paragraph);
            }
            Element::Block if name == b"table" => self.begin_block(BlockKind::Paragraph),
            Element::Block => self.break_at_block_tag(),
            _ => {}
        }
    }

    /// A paragraph inside a table row is a line of the row (tables that lay out a page hold whole
    /// articles in a cell); the first one in a list item is the item.
    fn break_at_block_tag(&mut self) {
        if self.in_row {
            self.widen(Gap::Line);
        } else if self.kind != BlockKind::ListItem || self.block.is_some() {
            self.begin_block(BlockKind::Paragraph);
        }
    }

    fn begin_block(&mut self, kind: BlockKind) {
        self.end_block();
        self.kind = kind;
        self.in_row = false;
    }

    fn end_block(&mut self) {
        self.gap = Gap::None;
        let Some(start) = self.block.take() else {
            return;
        };
        if let BlockKind::Heading { title, .. } = &mut self.kind {
            *title = self.out.since(start).into();
        }
        self.out.end_block(start, self.kind.clone());
    }

    fn widen(&mut self, gap: Gap) {
        let heading = matches!(self.kind, BlockKind::Heading { .. });
        self.gap = self.gap.max(if heading { Gap::Space } else { gap });
    }

    fn string(&mut self, words: &str, at: usize) -> Result<(), ParseError> {
        let mut line = self.line_at(at);
        if self.skipping.is_some() {
            return Ok(());
        }
        if self.in_title {
            let title = words.split_whitespace().collect::<Vec<_>>().join(" ");
            self.title.get_or_insert(title);
            return Ok(());
        }
        if self.preformatted {
            return self.push(words, line);
        }
        // Pieces end after each white space character, so that the line is known for every word.
        for piece in words.split_inclusive(|letter: char| letter.is_ascii_whitespace()) {
            let word = piece.trim_end_matches(|letter: char| letter.is_ascii_whitespace());
            if !word.is_empty() {
                self.push(word, line)?;
            }
            if word.len() < piece.len() {
                self.widen(Gap::Space);
            }
            line += newlines(piece.as_bytes());
        }
        Ok(())
    }

    /// Appends words, after what must stand between them and the words or the block before.
    fn push(&mut self, words: &str, line: u32) -> Result<(), ParseError> {
        let separator = match (self.block, self.gap) {
            (None, _) if self.out.len() == 0 => "",
            (None, _) if self.continues_a_list() => "\n",
            (None, _) => "\n\n",
            (Some(_), Gap::None) => "",
            (Some(_), Gap::Space) => " ",
            (Some(_), Gap::Line) => "\n",
            (Some(_), Gap::Cell) => " | ",
        };
        self.out.push_separator(separator)?;
        self.block.get_or_insert(self.out.len());
        self.gap = Gap::None;
        self.out.push(words, line)
    }

    fn continues_a_list(&self) -> bool {
        matches!(self.kind, BlockKind::Row | BlockKind::ListItem)
            && self.out.last_kind() == Some(&self.kind)
    }

    fn line_at(&mut self, at: usize) -> u32 {
        let (from, line) = self.counted;
        let at = at.clamp(from, self.source.len());
        self.counted = (at, line + newlines(&self.source.as_bytes()[from..at]));
        self.counted.1
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
