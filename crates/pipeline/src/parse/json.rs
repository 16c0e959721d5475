//! JSON and JSON lines: every object becomes a record of `key: value` lines.

use serde::de::IgnoredAny;

use super::ParseError;
use super::extract::Extract;
use super::json_value::{MAX_DEPTH, Scanner, depth, render};
use crate::{BlockKind, Document, Format};

/// One value a line. A line that is not JSON is left out with a warning; a file without any good
/// line is an error.
pub(super) fn parse_lines(source: &str) -> Result<Document, ParseError> {
    let mut out = Extract::new(source.len());
    let mut first_failure = None;
    for (line, number) in source.lines().zip(1u32..) {
        if line.trim().is_empty() {
            continue;
        }
        match check(line) {
            Ok(()) => add_record(&mut Scanner::new(line, number), &mut out)?,
            Err((_, reason)) => {
                out.warn(format!("line {number}: {reason}"));
                first_failure.get_or_insert((u64::from(number), reason));
            }
        }
    }
    match first_failure {
        Some((line, reason)) if out.len() == 0 => Err(ParseError::Malformed { line, reason }),
        _ => Ok(out.finish(Format::JsonLines, None)),
    }
}

/// One value. The elements of a list at the top are a record each. A file that is not JSON
/// (comments, several values) is kept as it is, as lines, with a warning.
pub(super) fn parse(source: String) -> Result<Document, ParseError> {
    let mut out = Extract::new(source.len());
    if let Err((line, reason)) = check(&source) {
        let block = crate::Block { kind: BlockKind::Code, range: 0..source.len() };
        let warning = format!("line {line}: {reason}; read as lines of text instead of JSON");
        return Ok(super::verbatim(source, Format::Json, vec![block], vec![warning]));
    }
    let mut scanner = Scanner::new(&source, 1);
    if scanner.enter_list() {
        while scanner.next_element() {
            add_record(&mut scanner, &mut out)?;
        }
    } else {
        add_record(&mut scanner, &mut out)?;
    }
    Ok(out.finish(Format::Json, None))
}

/// Renders the value that the scanner stands at.
fn add_record(scanner: &mut Scanner<'_>, out: &mut Extract) -> Result<(), ParseError> {
    if out.len() > 0 {
        out.push_separator("\n")?;
    }
    let start = out.len();
    let kind = match scanner.at_container() {
        true => BlockKind::Record,
        false => BlockKind::Row,
    };
    render(scanner, out)?;
    out.end_block(start, kind);
    Ok(())
}

/// Whether the text is one JSON value that is not nested too deep; otherwise the line of the
/// text, and what is wrong there.
fn check(source: &str) -> Result<(), (u64, String)> {
    serde_json::from_str::<IgnoredAny>(source).map_err(|error| {
        // The parser's message ends in its own line and column.
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or(&message);
        let (line, column) = (error.line() as u64, error.column());
        (line, format!("{reason} (column {column})"))
    })?;
    match depth(source) > MAX_DEPTH {
        true => Err((1, format!("nested deeper than {MAX_DEPTH} levels"))),
        false => Ok(()),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
