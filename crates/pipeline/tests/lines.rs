//! Wherever a word ends up in the extracted text, it is on the line of the file that it came from.

use pipeline::{Format, parse_text};
use proptest::prelude::*;

/// Joins pieces, replacing every `@` by a word that occurs nowhere else.
fn numbered(pieces: &[&str]) -> String {
    let mut number = 0;
    pieces
        .concat()
        .chars()
        .map(|letter| match letter {
            '@' => {
                number += 1;
                format!("q{number}z")
            }
            other => other.to_string(),
        })
        .collect()
}

/// Checks every word of the file that is in the text, and returns how many there are.
fn check_lines(source: &str, format: Format) -> usize {
    let document = parse_text(source.to_owned(), format).unwrap();
    let text = document.text();
    let mut found = 0;
    for (line, content) in (1u64..).zip(source.split('\n')) {
        for word in content.split(|letter: char| !letter.is_ascii_alphanumeric()) {
            if word.len() > 2
                && word.starts_with('q')
                && word.ends_with('z')
                && let Some(at) = text.find(word)
            {
                found += 1;
                assert_eq!(document.line_of(at), line, "{word} of {source:?} in {text:?}");
            }
        }
    }
    found
}

fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(of), 0..60)
}

const HTML: &[&str] = &[
    "@",
    "@ @",
    "\n",
    "\r\n",
    " ",
    "<p>",
    "</p>",
    "<br>",
    "<div\n>",
    "<li>",
    "<tr><td>",
    "<td>",
    "<pre>",
    "</pre>",
    "<h2>",
    "</h2>",
    "<!--\n-->",
    "&amp;",
    "<b>",
    "</b>",
    "<script>\n@</script>",
    "<a href='\n'>",
    "\n\n@\n",
    "</table>",
    "<p hidden>@\n</p>",
];
const CSV: &[&str] =
    &["@", ",", "\n", "\r\n", "\"@\n@\"", "\"\n@\"", ",,", "\n\n", " ", "\"@\"\"\r\n\"", "7"];
const JSON: &[&str] =
    &["\"@\"", "\"@\\n @\"", "[\n\"@\"]", "{\"k\":\n \"@\"}", "\n1", "[]", "\n[[\"@\"],\n{}]"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn html(pieces in pieces(HTML)) {
        check_lines(&numbered(&pieces), Format::Html);
    }

    #[test]
    fn csv(pieces in pieces(CSV)) {
        // A number in the first row: there is no header, whose words would stand in every row.
        check_lines(&numbered(&["0\n", &pieces.concat()]), Format::Csv);
    }

    #[test]
    fn json(pieces in pieces(JSON)) {
        let source = numbered(&["\n[", &pieces.join(",\n\n"), "]"]);
        let words = source.matches("q").count();
        prop_assert_eq!(check_lines(&source, Format::Json), words);
    }
}

#[test]
fn the_check_finds_words() {
    assert_eq!(check_lines(&numbered(&["<p>@\n@<script>@</script>"]), Format::Html), 2);
    assert_eq!(check_lines(&numbered(&["0,@\n@,\"\n@\"\n"]), Format::Csv), 3);
}
