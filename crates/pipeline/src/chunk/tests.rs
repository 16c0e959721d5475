use super::*;
use crate::{Format, parse_text};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

/// A token is a run of alphanumerics or a single other visible character.
pub(super) struct Words;

impl TokenOffsets for Words {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        let mut tokens: Vec<(u32, u32)> = Vec::new();
        let mut in_word = false;
        for (start, letter) in text.char_indices() {
            let end = (start + letter.len_utf8()) as u32;
            match tokens.last_mut() {
                Some(word) if in_word && letter.is_alphanumeric() => word.1 = end,
                _ if letter.is_whitespace() => {}
                _ => tokens.push((start as u32, end)),
            }
            in_word = letter.is_alphanumeric();
        }
        Ok(tokens)
    }
}

/// Like a real subword tokenizer: a word's pieces have three letters, or one if the word has seven,
/// so that they depend on where the word begins and ends.
struct Subwords;

impl TokenOffsets for Subwords {
    fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
        let mut tokens = Vec::new();
        let mut end = 0;
        for spaced in text.split_inclusive(char::is_whitespace) {
            for word in spaced.split_word_bounds() {
                let letters: Vec<char> = word.chars().collect();
                let size = if letters.len() == 7 { 1 } else { 3 };
                for piece in letters.chunks(size) {
                    let start = end;
                    end += piece.iter().map(|letter| letter.len_utf8() as u32).sum::<u32>();
                    if !word.trim().is_empty() {
                        tokens.push((start, end));
                    }
                }
            }
        }
        Ok(tokens)
    }
}

fn options(max_tokens: usize, overlap_tokens: usize, min_tokens: usize) -> ChunkOptions {
    ChunkOptions { max_tokens, overlap_tokens, min_tokens }
}

fn cut(text: &str, format: Format, options: ChunkOptions) -> (Document, Vec<Chunk>) {
    let document = parse_text(text.to_owned(), format).unwrap();
    let chunks = chunk(&document, &Words, options).unwrap();
    check(&document, &chunks, &Words, options);
    (document, chunks)
}

fn texts(cut: &(Document, Vec<Chunk>)) -> Vec<&str> {
    let (document, chunks) = cut;
    chunks.iter().map(|chunk| &document.text()[chunk.range.clone()]).collect()
}

/// Everything that is promised of any chunks.
fn check(
    document: &Document,
    chunks: &[Chunk],
    tokenizer: &dyn TokenOffsets,
    options: ChunkOptions,
) {
    let text = document.text();
    let letters: Vec<char> = text.chars().collect();
    let mut covered = 0;
    let mut last_start = None;
    for chunk in chunks {
        let words = &text[chunk.range.clone()];
        assert_eq!(letters[chunk.start..chunk.end].iter().collect::<String>(), words);
        assert_eq!(words.trim(), words);
        assert!(!words.is_empty());
        assert_eq!(chunk.line, document.line_of(chunk.range.start));
        let tokens = tokenizer.token_offsets(words).unwrap().len();
        assert_eq!(chunk.tokens, tokens, "{words:?}");
        assert!(tokens <= options.max_tokens || words.chars().count() == 1, "{words:?}");
        assert!(words.len() <= options.max_bytes());
        assert!(last_start < Some(chunk.range.start));
        last_start = Some(chunk.range.start);
        if chunk.range.start > covered {
            assert!(text[covered..chunk.range.start].trim().is_empty());
        } else {
            let repeated = &text[chunk.range.start..covered];
            assert!(tokenizer.token_offsets(repeated).unwrap().len() <= options.overlap_tokens);
        }
        assert!(chunk.range.end > covered);
        covered = chunk.range.end;
    }
    assert!(text[covered..].trim().is_empty());
}

const FORMATS: [Format; 8] = [
    Format::Markdown,
    Format::Text,
    Format::Html,
    Format::Code,
    Format::Csv,
    Format::Tsv,
    Format::JsonLines,
    Format::Json,
];

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,200}",
        "(?s).{0,200}",
        "[ab.\n #>*`|\\-]{0,300}",
        "(# [a-z ]{1,9}\n|[a-z ]{1,40}[.!?]( |\n)|\n\n|- [a-z ]{3,9}\n|    x = 1;\n|```\n){0,40}",
        "[a-zé漢😀\u{301}\u{200d}\r\n\u{85}\u{3000} ]{0,200}",
        "([a-z]{1,40} ?){0,40}",
        "(</?(p|div|nav|tr|td|pre|h1|li|br|b|script)( hidden)?>|[a-zé]{1,6}|&amp;|\n| ){0,60}",
        "([a-zé0-9\"]{0,5}[,;\n]){0,60}",
        "((\\{\"[a-z.]{0,4}\": ?(1|null|\"[a-zé ]{0,30}\"|\\[1,\\{\\}\\])\\})?\n){0,9}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_any_format_any_size(
        text in any_text(),
        format in prop::sample::select(FORMATS.to_vec()),
        max in 1usize..40,
        overlap in 0usize..40,
        min in 0usize..40,
        tiny in any::<bool>(),
    ) {
        let max = if tiny { 1 + max % 8 } else { max };
        let options = options(max, overlap % max, min.min(max));
        if let Ok(document) = parse_text(text, format) {
            for tokenizer in [&Words as &dyn TokenOffsets, &Subwords] {
                let chunks = chunk(&document, tokenizer, options).unwrap();
                check(&document, &chunks, tokenizer, options);
            }
        }
    }

    #[test]
    fn chunks_of_verbatim_formats_are_slices_of_the_file(text in any_text(), max in 1usize..30) {
        for format in [Format::Markdown, Format::Text, Format::Code] {
            let document = parse_text(text.clone(), format).unwrap();
            prop_assert_eq!(document.text(), &text);
            for chunk in chunk(&document, &Words, ChunkOptions::new(max)).unwrap() {
                let line = text[..chunk.range.start].matches('\n').count() + 1;
                prop_assert_eq!(chunk.line, line as u64);
            }
        }
    }
}

#[test]
fn an_overlap_does_not_begin_before_the_piece_that_a_long_chunk_was_cut_at() {
    let text = "🉐🌀A¡A{\"[A\"{®A¡\"Aວ:A‰￼એ🌀\"\"𐣴a\u{a4b}\u{b01}¡𖫵ড়🌀🤀0!𑜀a.𐠊!A𒑰𐫫0 এ®ਲAA";
    let options = options(9, 7, 0);
    let document = parse_text(text.to_owned(), Format::Markdown).unwrap();
    for tokenizer in [&Words as &dyn TokenOffsets, &Subwords] {
        let chunks = chunk(&document, tokenizer, options).unwrap();
        check(&document, &chunks, tokenizer, options);
    }
}

#[test]
fn short_blocks_of_a_section_share_a_chunk_and_sections_do_not() {
    let cut = cut(
        "# One\n\nalpha beta.\n\n- gamma\n- delta\n\n## Two\n\nepsilon zeta eta.\n",
        Format::Markdown,
        options(20, 0, 3),
    );
    assert_eq!(
        texts(&cut),
        ["# One\n\nalpha beta.\n\n- gamma\n- delta", "## Two\n\nepsilon zeta eta."]
    );
    let sections: Vec<_> = cut.1.iter().map(|chunk| chunk.section.as_deref().unwrap()).collect();
    assert_eq!(sections, ["One", "One > Two"]);
    assert_eq!(cut.1[1].line, 8);
}

#[test]
fn a_heading_stays_with_what_follows() {
    let body = "One two three four. Five six seven eight. Nine ten eleven twelve.";
    let heading_then_long = format!("a b c d e f.\n\n# Head\n\n{body}\n");
    let cut = cut(&heading_then_long, Format::Markdown, options(12, 0, 4));
    assert_eq!(
        texts(&cut),
        [
            "a b c d e f.",
            "# Head\n\nOne two three four. Five six seven eight.",
            "Nine ten eleven twelve."
        ]
    );
    assert_eq!(cut.1[0].section, None);
}

#[test]
fn a_heading_after_a_small_section_moves_on_when_its_text_does_not_fit() {
    let cut = cut(
        "# A\n\nsmall\n\n# B\n\none two three four five six seven\n",
        Format::Markdown,
        options(9, 0, 6),
    );
    assert_eq!(texts(&cut), ["# A\n\nsmall", "# B\n\none two three four five six seven"]);
    assert_eq!(cut.1[1].section.as_deref(), Some("B"));
}

#[test]
fn sentences_are_kept_whole_and_repeated() {
    let cut = cut(
        "One two three. Four five six. Seven\neight nine. Ten eleven twelve.",
        Format::Text,
        options(9, 4, 1),
    );
    assert_eq!(
        texts(&cut),
        [
            "One two three. Four five six.",
            "Four five six. Seven\neight nine.",
            "Seven\neight nine. Ten eleven twelve."
        ]
    );
    assert_eq!(cut.1[2].line, 1);
    assert_eq!((cut.1[1].start, cut.1[1].end), (15, 47));
}

#[test]
fn an_overlap_gives_way_to_the_text() {
    let cut = cut("A b c. D e f g h i j k.", Format::Text, options(9, 4, 1));
    assert_eq!(texts(&cut), ["A b c.", "D e f g h i j k."]);
}

#[test]
fn code_is_cut_at_lines_and_repeats_lines() {
    let source = "fn a() {\n    one\n    two\n\n    three\n    four\n}\n";
    let cut = cut(source, Format::Code, options(8, 2, 1));
    assert_eq!(
        texts(&cut),
        ["fn a() {\n    one\n    two", "one\n    two\n\n    three\n    four\n}"]
    );
    assert_eq!(cut.1[1].line, 2);
}

#[test]
fn records_stand_alone_and_long_ones_are_cut() {
    let cut = cut(
        "id,text\n1,short\n2,\"One two three. Four five six. Seven eight nine.\"\n",
        Format::Csv,
        options(10, 0, 5),
    );
    assert_eq!(
        texts(&cut),
        ["id: 1\ntext: short", "id: 2\ntext: One two three.", "Four five six. Seven eight nine."]
    );
    let lines: Vec<u64> = cut.1.iter().map(|chunk| chunk.line).collect();
    assert_eq!(lines, [2, 3, 3]);
}

#[test]
fn a_huge_word_is_cut_between_visible_characters() {
    struct Letters;
    impl TokenOffsets for Letters {
        fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
            Ok(text
                .char_indices()
                .map(|(at, letter)| (at as u32, (at + letter.len_utf8()) as u32))
                .collect())
        }
    }
    let document = parse_text("e\u{301}".repeat(10), Format::Text).unwrap();
    let chunks = chunk(&document, &Letters, options(5, 0, 0)).unwrap();
    let letters: Vec<usize> = chunks.iter().map(|chunk| chunk.end - chunk.start).collect();
    assert_eq!(letters, [4, 4, 4, 4, 4]);
}

#[test]
fn a_word_without_tokens_is_still_bounded() {
    struct Nothing;
    impl TokenOffsets for Nothing {
        fn token_offsets(&self, _: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
            Ok(Vec::new())
        }
    }
    let document = parse_text("x".repeat(10_000), Format::Text).unwrap();
    let options = options(4, 0, 0);
    let chunks = chunk(&document, &Nothing, options).unwrap();
    assert_eq!(chunks.len(), 10_000usize.div_ceil(options.max_bytes()));
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let document = parse_text("x".to_owned(), Format::Text).unwrap();
    for bad in [options(0, 0, 0), options(4, 4, 0), options(4, 0, 5)] {
        assert!(matches!(chunk(&document, &Words, bad), Err(ChunkError::Options(_))));
    }
}

#[test]
fn a_failing_tokenizer_is_reported() {
    struct Broken;
    impl TokenOffsets for Broken {
        fn token_offsets(&self, _: &str) -> Result<Vec<(u32, u32)>, TokenizerFailure> {
            Err("no vocabulary".into())
        }
    }
    let document = parse_text("x".to_owned(), Format::Text).unwrap();
    let error = chunk(&document, &Broken, ChunkOptions::new(8)).unwrap_err();
    assert_eq!(error.to_string(), "the tokenizer failed: no vocabulary");
}

#[test]
fn white_space_gives_no_chunks() {
    for format in FORMATS {
        if let Ok(document) = parse_text(" \n\t\u{3000}\r\n".to_owned(), format) {
            assert!(chunk(&document, &Words, ChunkOptions::new(8)).unwrap().is_empty());
        }
    }
}

#[test]
fn large_texts_take_linear_time() {
    let started = std::time::Instant::now();
    let shapes = [
        "The quick brown fox jumps over the lazy dog. It sleeps.\n".repeat(1 << 15),
        "word ".repeat(1 << 18),
        "x".repeat(1 << 20),
        "a\n\n".repeat(1 << 18),
        "# a\n".repeat(1 << 17),
        "a\u{301}\u{301}".repeat(1 << 17),
        "漢字".repeat(1 << 17),
    ];
    for text in shapes {
        for max_tokens in [3, 250] {
            let document = parse_text(text.clone(), Format::Markdown).unwrap();
            chunk(&document, &Words, ChunkOptions::new(max_tokens)).unwrap();
        }
    }
    assert!(started.elapsed().as_secs() < 25, "{:?}", started.elapsed());
}
