use super::*;

fn rows(document: &Document) -> Vec<&str> {
    document.blocks().iter().map(|block| &document.text()[block.range.clone()]).collect()
}

fn line_of(document: &Document, words: &str) -> u64 {
    document.line_of(document.text().find(words).unwrap())
}

fn json(source: &str) -> Document {
    parse(source.to_owned()).unwrap()
}

#[test]
fn each_line_is_a_record() {
    let source = "{\"id\": 1, \"text\": \"two\\nlines\", \"tags\": [\"a\", \"b\", null], \"none\": null}\n\n\
                  {\"id\": 2, \"by\": {\"name\": \"Ann\", \"at\": [{\"x\": 1}, [2, 3]]}, \"e\": {}, \"f\": []}\r\n\
                  \"plain\"\n";
    let document = parse_lines(source).unwrap();
    assert_eq!(
        rows(&document),
        [
            "id: 1\ntext: two\nlines\ntags: a, b",
            "id: 2\nby.name: Ann\nby.at.0.x: 1\nby.at.1: 2, 3",
            "plain",
        ]
    );
    assert_eq!(document.blocks()[0].kind, BlockKind::Record);
    assert_eq!(document.blocks()[2].kind, BlockKind::Row);
    for (words, line) in
        [("id: 1", 1), ("lines", 1), ("tags", 1), ("id: 2", 3), ("2, 3", 3), ("plain", 4)]
    {
        assert_eq!(line_of(&document, words), line, "{words}");
    }
    assert!(document.warnings().is_empty());
}

#[test]
fn bad_lines_are_reported_and_the_rest_is_kept() {
    let document = parse_lines("{\"a\": 1}\n{\"a\": \n{\"a\": 3}\nnot json\n").unwrap();
    assert_eq!(rows(&document), ["a: 1", "a: 3"]);
    assert_eq!(document.warnings().len(), 2);
    assert!(document.warnings()[0].starts_with("line 2: "), "{:?}", document.warnings());
    assert!(document.warnings()[1].starts_with("line 4: "));
    assert!(matches!(parse_lines("\n{]\n"), Err(ParseError::Malformed { line: 2, .. })));
    assert!(parse_lines("\n \n").unwrap().blocks().is_empty());
}

#[test]
fn escapes_and_odd_keys() {
    let document =
        parse_lines(r#"{"a\"b": "\u00e9\ud83d\ude00", "": "x", "lone": "\ud800!", "s": "[{"}"#)
            .unwrap();
    assert_eq!(rows(&document), ["a\"b: é😀\nx\nlone: \\ud800!\ns: [{"]);
}

#[test]
fn a_list_of_objects_is_a_list_of_records() {
    let document = json("[\n  {\n    \"a\": 1,\n    \"b\": \"x\"\n  },\n  {\"a\": 2},\n  3\n]\n");
    assert_eq!(rows(&document), ["a: 1\nb: x", "a: 2", "3"]);
    for (words, line) in [("a: 1", 3), ("b: x", 4), ("a: 2", 6), ("3", 7)] {
        assert_eq!(line_of(&document, words), line, "{words}");
    }
    assert!(json("[]").blocks().is_empty());
    assert_eq!(rows(&json("\"just text\"")), ["just text"]);
}

#[test]
fn an_object_keeps_the_lines_of_its_values() {
    let document = json("{\n\n\"name\": \"x\",\n\"deep\": {\"list\": [\n1,\n2]\n},\n\"z\": true}");
    assert_eq!(rows(&document), ["name: x\ndeep.list: 1, 2\nz: true"]);
    assert_eq!(line_of(&document, "name"), 3);
    assert_eq!(line_of(&document, "deep"), 5);
    assert_eq!(line_of(&document, "z: true"), 8);
}

#[test]
fn what_is_not_json_is_kept_as_text() {
    let source = "{\n // a comment\n \"a\": 1\n}";
    let document = json(source);
    assert_eq!(document.text(), source);
    assert!(document.warnings()[0].starts_with("line 2: "), "{:?}", document.warnings());
}

#[test]
fn nesting_neither_overflows_nor_explodes() {
    let deep = format!("{}1{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert!(json(&deep).warnings()[0].contains("nested deeper"));
    assert!(parse_lines(&deep).is_err());
    let hostile = "[1,".repeat(1 << 20);
    assert_eq!(json(&hostile).warnings().len(), 1);
    let long_key =
        format!("{{\"{}\":[{{}}{}]}}", "k".repeat(1 << 19), ",{\"a\":1}".repeat(1 << 16));
    assert!(matches!(parse(long_key), Err(ParseError::TooLarge { .. })));
}
