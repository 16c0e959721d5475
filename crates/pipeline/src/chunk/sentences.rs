//! Sentences of prose whose lines may be wrapped.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// The sentences of `text` as byte ranges that follow one another and cover it all.
///
/// The Unicode rules (UAX #29) end a sentence at every line end; in wrapped prose a line end means
/// nothing, so a line that does not end like a sentence goes on unless a list item follows.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut bounds = text.split_sentence_bound_indices().peekable();
    std::iter::from_fn(move || {
        let (start, mut segment) = bounds.next()?;
        let mut end = start + segment.len();
        while let Some((_, next)) = bounds.next_if(|(_, next)| is_wrapped(segment, next)) {
            end += next.len();
            segment = next;
        }
        Some(start..end)
    })
}

fn is_wrapped(segment: &str, next: &str) -> bool {
    let words = segment.trim_end();
    words.len() < segment.len()
        && segment.ends_with('\n')
        && !ends_like_a_sentence(words)
        && !begins_like_an_item(next)
}

fn ends_like_a_sentence(words: &str) -> bool {
    words
        .trim_end_matches(['"', '\'', '”', '’', '»', ')', ']', '*', '_', '`'])
        .ends_with(['.', '!', '?', ':', '…', '。', '！', '？', '：'])
}

fn begins_like_an_item(line: &str) -> bool {
    let line = line.trim_start();
    let marker = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let numbered = marker.len() < line.len() && marker.starts_with(['.', ')']);
    numbered || ["- ", "* ", "+ ", "• "].iter().any(|bullet| line.starts_with(bullet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&str> {
        sentences(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn wrapped_lines_are_one_sentence() {
        assert_eq!(
            of("It is a long\nsentence. And (another\none.)\nThird"),
            ["It is a long\nsentence. ", "And (another\none.)\n", "Third"]
        );
    }

    #[test]
    fn items_and_introductions_end_lines() {
        assert_eq!(
            of("Take:\n- one\n- two\n  more\n12. three"),
            ["Take:\n", "- one\n", "- two\n  more\n", "12. three"]
        );
    }

    #[test]
    fn other_scripts() {
        assert_eq!(of("これは文です。次の文。"), ["これは文です。", "次の文。"]);
        assert!(of("").is_empty());
    }

    #[test]
    fn hostile_text_takes_linear_time() {
        let started = std::time::Instant::now();
        for pattern in ["a. ", "1.", ". 1 ", "a.\u{300}", "\n", "?\"", "(", "a.) 1 ", "\u{1F1E6}"] {
            let text = pattern.repeat(300_000);
            assert_eq!(sentences(&text).last().unwrap().end, text.len());
        }
        assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
    }
}
