//! Renders one JSON value as `dotted.key: value` lines, keeping the line of every value. The
//! nesting lives in a list, never on the stack.

use super::ParseError;
use super::extract::Extract;

/// Deeper values are refused, which bounds the length of a dotted key.
pub(super) const MAX_DEPTH: usize = 128;

/// How deep the brackets of valid JSON are nested.
pub(super) fn depth(source: &str) -> usize {
    let mut scanner = Scanner::new(source, 1);
    let (mut deepest, mut open) = (0, 0usize);
    while let Some(byte) = scanner.peek() {
        match byte {
            b'"' => {
                scanner.string();
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
        scanner.at += 1;
    }
    deepest
}

/// A position in *valid* JSON (see `check` in `json.rs`); nothing here looks for errors.
pub(super) struct Scanner<'a> {
    source: &'a str,
    at: usize,
    /// Line of the file at `at`.
    line: u32,
}

impl<'a> Scanner<'a> {
    /// At the beginning of `source`, which begins on `line` of the file.
    pub(super) fn new(source: &'a str, line: u32) -> Scanner<'a> {
        Scanner { source, at: 0, line }
    }

    /// Whether the next value is an object or a list.
    pub(super) fn at_container(&mut self) -> bool {
        matches!(self.peek(), Some(b'{' | b'['))
    }

    /// Steps into the list that the scanner stands at, if it is one.
    pub(super) fn enter_list(&mut self) -> bool {
        let list = self.peek() == Some(b'[');
        self.at += usize::from(list);
        list
    }

    /// Steps to the next element of a list; false, behind the list, when there is none.
    pub(super) fn next_element(&mut self) -> bool {
        if self.peek() == Some(b',') {
            self.at += 1;
        }
        match self.peek() {
            None => false,
            Some(b']') => {
                self.at += 1;
                false
            }
            Some(_) => true,
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.source.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                other => return Some(*other),
            }
            self.at += 1;
        }
        None
    }

    /// The quoted string at this position, with its quotation marks.
    fn string(&mut self) -> &'a str {
        let start = self.at;
        let bytes = self.source.as_bytes();
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at = (self.at + 1).min(bytes.len());
        &self.source[start..self.at]
    }

    /// The string, number, or word at this position.
    fn scalar(&mut self) -> &'a str {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let rest = &self.source[self.at..];
        let length = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Whether the list at this position holds no other list or object.
    fn at_plain_list(&self) -> bool {
        let mut ahead = Scanner::new(self.source, self.line);
        ahead.at = self.at;
        if !ahead.enter_list() {
            return false;
        }
        while ahead.next_element() {
            if ahead.at_container() {
                return false;
            }
            ahead.scalar();
        }
        true
    }
}

/// An object or a list that is open: how much of the path is its own, and for a list, the index of
/// its next element.
struct Open {
    path_bytes: usize,
    next_index: Option<usize>,
}

/// Renders the value at the scanner's position and steps behind it. `null` and empty strings are
/// left out. A list of plain values is one line; other lists number their elements from 0.
pub(super) fn render(scanner: &mut Scanner<'_>, out: &mut Extract) -> Result<(), ParseError> {
    let mut path = String::new();
    let mut open: Vec<Open> = Vec::new();
    loop {
        match scanner.peek() {
            Some(b'{') => {
                scanner.at += 1;
                open.push(Open { path_bytes: path.len(), next_index: None });
            }
            Some(b'[') if !scanner.at_plain_list() => {
                scanner.at += 1;
                open.push(Open { path_bytes: path.len(), next_index: Some(0) });
            }
            _ => render_plain(scanner, &path, out)?,
        }
        if !step_to_next_value(scanner, &mut path, &mut open) {
            return Ok(());
        }
    }
}

/// Leaves what is finished and steps to the next value of what is open, making `path` its key;
/// false when nothing is open any more.
fn step_to_next_value(scanner: &mut Scanner<'_>, path: &mut String, open: &mut Vec<Open>) -> bool {
    while let Some(innermost) = open.last_mut() {
        path.truncate(innermost.path_bytes);
        if scanner.peek() == Some(b',') {
            scanner.at += 1;
        }
        if matches!(scanner.peek(), None | Some(b'}' | b']')) {
            scanner.at += 1;
            open.pop();
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        match &mut innermost.next_index {
            Some(index) => {
                path.push_str(&index.to_string());
                *index += 1;
            }
            None => {
                path.push_str(&unquote(scanner.scalar()));
                scanner.peek();
                scanner.at += 1;
            }
        }
        return true;
    }
    false
}

/// Renders a scalar or a list of scalars.
fn render_plain(
    scanner: &mut Scanner<'_>,
    path: &str,
    out: &mut Extract,
) -> Result<(), ParseError> {
    let mut first = true;
    let mut add = |scanner: &mut Scanner<'_>| -> Result<(), ParseError> {
        let value = unquote(scanner.scalar());
        if value.is_empty() || value == "null" {
            return Ok(());
        }
        if !first {
            out.push(", ", scanner.line)?;
        } else if !path.is_empty() {
            out.push_on_one_line(path, scanner.line)?;
            out.push(": ", scanner.line)?;
        }
        first = false;
        out.push_on_one_line(&value, scanner.line)
    };
    if scanner.enter_list() {
        while scanner.next_element() {
            add(scanner)?;
        }
    } else {
        add(scanner)?;
    }
    if !first {
        out.push_separator("\n")?;
    }
    Ok(())
}

/// The meaning of a scalar. A string with half a surrogate pair has none: it stays escaped.
fn unquote(scalar: &str) -> std::borrow::Cow<'_, str> {
    let Some(inner) = scalar.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return scalar.into();
    };
    if !inner.contains('\\') {
        return inner.into();
    }
    match serde_json::from_str::<String>(scalar) {
        Ok(text) => text.into(),
        Err(_) => inner.into(),
    }
}
