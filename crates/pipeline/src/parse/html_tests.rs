use super::*;

fn page(source: &str) -> Document {
    parse(source).unwrap()
}

fn blocks(document: &Document) -> Vec<&str> {
    document.blocks().iter().map(|block| &document.text()[block.range.clone()]).collect()
}

#[test]
fn an_ordinary_page() {
    let source = "<!doctype html>\n<html><head><title>Key\n rotation &amp; you</title>\n\
        <style>p { color: red }</style><script>var a = '<p>no</p>';</script></head>\n\
        <body><nav><ul><li>Home<li>About</ul></nav>\n\
        <h1>Rotating <em>the</em> keys</h1>\n\
        <p>Run   the\n tool &mdash; it&#39;s <b>safe</b>.<p>Second<br>line\n\
        <ul>\n<li>one</li>\n<li><p>two</p><p>more</p></li></ul>\n\
        <pre>  a\n    b</pre>\n\
        <table><tr><th>k<th>v</tr><tr><td>1<td><p>2</p></table>\n\
        tail<!-- no --></body></html>";
    let document = page(source);
    assert_eq!(document.title(), Some("Key rotation & you"));
    assert_eq!(
        blocks(&document),
        [
            "Rotating the keys",
            "Run the tool — it's safe.",
            "Second\nline",
            "one",
            "two",
            "more",
            "a\n    b",
            "k | v",
            "1 | 2",
            "tail",
        ]
    );
    for (words, in_source) in [
        ("Rotating", "Rotating"),
        ("Run", "Run"),
        ("tool", "tool &"),
        ("safe", "safe"),
        ("one", "one</li>"),
        ("two", "two"),
        ("b", "    b</pre>"),
        ("k | v", "k<th>"),
        ("1 | 2", "1<td>"),
        ("tail", "tail<!"),
    ] {
        let at = match words {
            "b" => document.text().find("    b").unwrap(),
            _ => document.text().find(words).unwrap(),
        };
        let line = source[..source.find(in_source).unwrap()].matches('\n').count() + 1;
        assert_eq!(document.line_of(at), line as u64, "{words}");
    }
}

#[test]
fn windows_line_ends_and_character_references_keep_lines() {
    let document = page("<p>a\r\n&lt;b&gt;\r\nc</p>\r\n\r\n<p>&amp;d</p>");
    assert_eq!(blocks(&document), ["a <b> c", "&d"]);
    assert_eq!(document.line_of(document.text().find("<b>").unwrap()), 2);
    assert_eq!(document.line_of(document.text().find('c').unwrap()), 3);
    assert_eq!(document.line_of(document.text().find("&d").unwrap()), 5);
}

#[test]
fn the_first_heading_is_the_title_when_there_is_no_title() {
    assert_eq!(page("<h2>b</h2><h1> a\n c</h1>").title(), Some("a c"));
    assert_eq!(page("<title> </title><p>x").title(), None);
}

#[test]
fn what_is_not_shown_is_left_out() {
    let document = page(
        "<p>a</p><template><p>t</p></template><noscript>n</noscript><p hidden>h</p><svg/>\
         <svg><title>s</title></svg><nav>1<nav>2</nav>3</nav><input hidden><button>x</button>\
         <p>b <math><mi>y</mi></math></p>",
    );
    assert_eq!(blocks(&document), ["a", "b y"]);
    assert_eq!(document.title(), None);
}

#[test]
fn an_unclosed_element_swallows_nothing() {
    let document = page("<p>a<nav><p>b<h1>c");
    assert_eq!(blocks(&document), ["a", "b", "c"]);
    assert_eq!(blocks(&page("<p>a<script>b")), ["a"]);
    assert_eq!(blocks(&page("<div><b>x</i></div></div></p>y<")), ["x", "y<"]);
}

#[test]
fn nothing_but_markup_has_no_blocks() {
    assert!(page("<div>\n<br>&nbsp;\n</div>").blocks().is_empty());
    assert!(page("").blocks().is_empty());
}

#[test]
fn hostile_pages_take_linear_time() {
    let started = std::time::Instant::now();
    let many = 200_000;
    for source in [
        "<div>".repeat(many),
        "<div a".repeat(many),
        format!("<p {}>x", "a ".repeat(many)),
        "<nav>".repeat(many),
        "&".repeat(many),
        "<".repeat(many),
        "<!--".repeat(many),
        "a<br>\n".repeat(many),
        "<table><tr><td>".repeat(many),
    ] {
        page(&source);
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
