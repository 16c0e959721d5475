//! From texts to terms: words by the rules of Unicode, in lower case, reduced to their stems.

use std::borrow::Cow;
use std::ops::Range;

use rust_stemmers::Stemmer;
use unicode_segmentation::UnicodeSegmentation;

use super::language::Language;
use crate::format::MAX_TERM_BYTES;

/// Whatever makes other terms of some text than before, its dependencies included, needs another
/// [`ANALYSIS_VERSION`](crate::format::ANALYSIS_VERSION): a test compares a sample.
pub(super) struct Analyzer(Option<Stemmer>);

/// The words of a text and where each begins, in bytes.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.unicode_word_indices()
}

impl Analyzer {
    pub(super) fn new(language: Language) -> Self {
        Self(language.algorithm().map(Stemmer::create))
    }

    /// Calls `see` with the term of a word.
    pub(super) fn term<T>(&self, word: &str, see: impl FnOnce(&str) -> T) -> T {
        let lower = word.to_lowercase();
        let term = match &self.0 {
            Some(stemmer) => stemmer.stem(&lower),
            None => Cow::Borrowed(lower.as_str()),
        };
        see(&term[..term.floor_char_boundary(MAX_TERM_BYTES)])
    }

    /// Calls `visit` with each word's place in bytes, and its term.
    pub(super) fn terms(&self, text: &str, mut visit: impl FnMut(Range<usize>, &str)) {
        for (start, word) in words(text) {
            self.term(word, |term| visit(start..start + word.len(), term));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ANALYSIS_VERSION;

    /// Where this fails, terms have become other ones, perhaps by an update of a dependency: then
    /// the indexes that are on disk are behind, and `ANALYSIS_VERSION` goes up with the number here.
    #[test]
    fn terms_are_those_of_the_analysis_version() {
        let sample = "It's 3.14 naïve cafés' RUNNING runners_up e-mails a.b:c; Häuser Straße \
                      книги красивых continué relations corría bøker évalués ευρώ 東京タワー \
                      ภาษาไทย עברית العربية \u{1f600} ﬁne ½ x²";
        let codes = [
            "none", "ar", "da", "de", "el", "en", "es", "fi", "fr", "hu", "it", "nl", "no", "pt",
            "ro", "ru", "sv", "ta", "tr",
        ];
        let mut hasher = crc32fast::Hasher::new();
        for code in codes {
            let analyzer = Analyzer::new(Language::parse(code).unwrap());
            analyzer.terms(sample, |place, term| {
                hasher.update(&[place.start as u8, place.end as u8]);
                hasher.update(term.as_bytes());
            });
        }
        assert_eq!((ANALYSIS_VERSION, hasher.finalize()), (1, 3_728_754_397));
    }

    #[test]
    fn long_words_are_cut_off_between_characters() {
        let analyzer = Analyzer::new(Language::parse("none").unwrap());
        let word = format!("x{}", "é".repeat(100));
        analyzer.term(&word, |term| assert_eq!(term, &word[..127]));
    }
}
