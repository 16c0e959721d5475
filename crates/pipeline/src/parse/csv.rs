//! Delimited values: every row becomes a record of `column: value` lines.

use ::csv::{ReaderBuilder, StringRecord};

use super::ParseError;
use super::extract::Extract;
use crate::lines::newlines;
use crate::{BlockKind, Document, Format};

/// Delimiters that are recognised, the likelier first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Empty cells are left out; rows may be longer or shorter than the header. A CSV file's delimiter
/// is detected.
pub(super) fn parse(source: &str, format: Format) -> Result<Document, ParseError> {
    let delimiter = match format {
        Format::Tsv => b'\t',
        _ => detect_delimiter(source),
    };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(source.as_bytes());
    let mut table = Table {
        source,
        counted: (0, 1),
        header: StringRecord::new(),
        out: Extract::new(source.len()),
    };
    let mut row = StringRecord::new();
    let mut candidate = None;
    while reader.read_record(&mut row).map_err(|error| malformed(&error))? {
        match candidate.take() {
            None if table.is_at_start() => candidate = Some(row.clone()),
            None => table.add(&row)?,
            Some(first) => {
                if is_header(&first) {
                    table.header = first;
                } else {
                    table.add(&first)?;
                }
                table.add(&row)?;
            }
        }
    }
    // Where there is nothing but the first row, that row is the data.
    if let Some(only) = candidate {
        table.add(&only)?;
    }
    Ok(table.out.finish(format, None))
}

fn malformed(error: &::csv::Error) -> ParseError {
    ParseError::Malformed {
        line: error.position().map_or(1, ::csv::Position::line),
        reason: error.to_string(),
    }
}

/// The delimiter that the first line holds most of, outside quotation marks.
fn detect_delimiter(source: &str) -> u8 {
    let mut counts = [0usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in source.trim_start().bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if quoted => {}
            _ => {
                if let Some(index) = DELIMITERS.iter().position(|known| *known == byte) {
                    counts[index] += 1;
                }
            }
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let index = counts.iter().position(|count| *count == most).unwrap_or(0);
    DELIMITERS[index]
}

/// A row of distinct names, of which none is a number.
fn is_header(row: &StringRecord) -> bool {
    let mut names: Vec<&str> = row.iter().map(str::trim).filter(|name| !name.is_empty()).collect();
    let all = names.len();
    let numbers = names.iter().any(|name| name.parse::<f64>().is_ok());
    names.sort_unstable();
    names.dedup();
    all > 0 && !numbers && names.len() == all
}

struct Table<'a> {
    source: &'a str,
    /// Byte of the source up to which lines are counted, and the line there.
    counted: (usize, u32),
    /// Empty if the file has no header.
    header: StringRecord,
    out: Extract,
}

impl Table<'_> {
    fn is_at_start(&self) -> bool {
        self.counted.0 == 0
    }

    fn add(&mut self, row: &StringRecord) -> Result<(), ParseError> {
        let mut line = self.first_line_of(row);
        if self.out.len() > 0 {
            self.out.push_separator("\n")?;
        }
        let start = self.out.len();
        for (index, cell) in row.iter().enumerate() {
            let value = cell.trim();
            if !value.is_empty() {
                let leading = &cell[..cell.len() - cell.trim_start().len()];
                let value_line = line + newlines(leading.as_bytes());
                match self.header.get(index).map(str::trim).filter(|name| !name.is_empty()) {
                    Some(name) => self.out.push_on_one_line(name, value_line)?,
                    None => self.out.push(&format!("column {}", index + 1), value_line)?,
                }
                self.out.push(": ", value_line)?;
                self.out.push(value, value_line)?;
                self.out.push_separator("\n")?;
            }
            line += newlines(cell.as_bytes());
        }
        self.out.end_block(start, BlockKind::Record);
        Ok(())
    }

    /// The reader's position of a row is before the blank lines that it skips.
    fn first_line_of(&mut self, row: &StringRecord) -> u32 {
        let bytes = self.source.as_bytes();
        let reported = row.position().map_or(0, |position| position.byte() as usize);
        let skipped = bytes[reported.min(bytes.len())..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let (from, line) = self.counted;
        let at = (reported + skipped).clamp(from, bytes.len());
        self.counted = (at, line + newlines(&bytes[from..at]));
        self.counted.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(document: &Document) -> Vec<&str> {
        document
            .blocks()
            .iter()
            .map(|block| {
                assert_eq!(block.kind, BlockKind::Record);
                &document.text()[block.range.clone()]
            })
            .collect()
    }

    fn line_of(document: &Document, words: &str) -> u64 {
        document.line_of(document.text().find(words).unwrap())
    }

    #[test]
    fn rows_carry_their_column_names() {
        let document = parse("name,age,city\nAnn,30,Rome\nBob,,Oslo\n", Format::Csv).unwrap();
        assert_eq!(rows(&document), ["name: Ann\nage: 30\ncity: Rome", "name: Bob\ncity: Oslo"]);
        assert_eq!(line_of(&document, "Bob"), 3);
        assert_eq!(line_of(&document, "Oslo"), 3);
    }

    #[test]
    fn newlines_in_quotes_and_blank_lines_keep_the_lines_of_the_file() {
        let source = "id,text,end\r\n1,\"two\r\nlines \"\"here\"\"\",x\r\n\r\n\r\n2,\"a\r\n\r\nb\",y\r\n3,z,w";
        let document = parse(source, Format::Csv).unwrap();
        assert_eq!(
            rows(&document),
            [
                "id: 1\ntext: two\r\nlines \"here\"\nend: x",
                "id: 2\ntext: a\r\n\r\nb\nend: y",
                "id: 3\ntext: z\nend: w"
            ]
        );
        let lines = ["two", "lines", "end: x", "id: 2", "b\nend", "end: y", "id: 3"];
        let found: Vec<u64> = lines.iter().map(|words| line_of(&document, words)).collect();
        assert_eq!(found, [2, 3, 3, 6, 8, 8, 9]);
    }

    #[test]
    fn ragged_rows_and_unnamed_columns_lose_nothing() {
        let document = parse(",b\n0,x,extra\nonly\n", Format::Csv).unwrap();
        assert_eq!(rows(&document), ["column 1: 0\nb: x\ncolumn 3: extra", "column 1: only"]);
    }

    #[test]
    fn a_first_row_with_numbers_or_alone_is_data() {
        let document = parse("1,Ann\n2,Bob\n", Format::Csv).unwrap();
        assert_eq!(rows(&document)[0], "column 1: 1\ncolumn 2: Ann");
        let document = parse("name,age\n", Format::Csv).unwrap();
        assert_eq!(rows(&document), ["column 1: name\ncolumn 2: age"]);
        assert!(parse("\n\n", Format::Csv).unwrap().blocks().is_empty());
    }

    #[test]
    fn delimiters_are_detected() {
        let document = parse("a;b,c;d\n1;2,5;3\n", Format::Csv).unwrap();
        assert_eq!(rows(&document), ["a: 1\nb,c: 2,5\nd: 3"]);
        let document = parse("\"a,b,c\"|d\n1|2\n", Format::Csv).unwrap();
        assert_eq!(rows(&document), ["a,b,c: 1\nd: 2"]);
        let document = parse("a\tb\n1,2\t3\n", Format::Tsv).unwrap();
        assert_eq!(rows(&document), ["a: 1,2\nb: 3"]);
    }

    #[test]
    fn an_unclosed_quotation_loses_nothing() {
        let document = parse("a,b\n1,\"open\n2,3\n", Format::Csv).unwrap();
        assert_eq!(rows(&document), ["a: 1\nb: open\n2,3"]);
    }

    #[test]
    fn repeated_column_names_cannot_fill_the_memory() {
        let source = format!("{},b\n{}", "n".repeat(1 << 20), "1\n".repeat(1 << 20));
        assert!(matches!(parse(&source, Format::Csv), Err(ParseError::TooLarge { .. })));
    }
}
