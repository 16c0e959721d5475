//! From texts to terms: words by the rules of Unicode, in lower case, reduced to their stems.

use std::borrow::Cow;
use std::ops::Range;

use rust_stemmers::Stemmer;
use unicode_segmentation::UnicodeSegmentation;

use super::language::Language;

pub(super) struct Analyzer(Option<Stemmer>);

impl Analyzer {
    pub(super) fn new(language: Language) -> Self {
        Self(language.algorithm().map(Stemmer::create))
    }

    /// Calls `visit` with each word's place in bytes, and its term.
    pub(super) fn terms(&self, text: &str, mut visit: impl FnMut(Range<usize>, &str)) {
        for (start, word) in text.unicode_word_indices() {
            let lower = word.to_lowercase();
            let term = match &self.0 {
                Some(stemmer) => stemmer.stem(&lower),
                None => Cow::Borrowed(lower.as_str()),
            };
            visit(start..start + word.len(), &term);
        }
    }
}

/// What to find by words.
pub struct TextQuery {
    pub(super) language: Language,
    /// Each term and how often the query has it, in the order of their first places.
    pub(super) terms: Vec<(String, u32)>,
}

impl TextQuery {
    /// The words of a text.
    pub fn new(text: &str, language: Language) -> Self {
        let mut terms: Vec<(String, u32)> = Vec::new();
        Analyzer::new(language).terms(text, |_, term| {
            match terms.iter_mut().find(|(known, _)| known == term) {
                Some((_, count)) => *count += 1,
                None => terms.push((term.to_owned(), 1)),
            }
        });
        Self { language, terms }
    }

    /// Where a text has words of the query, in characters, in order.
    pub fn highlights(&self, text: &str) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        let (mut bytes, mut characters) = (0, 0);
        Analyzer::new(self.language).terms(text, |place, term| {
            if self.terms.iter().any(|(known, _)| known == term) {
                characters += text[bytes..place.start].chars().count();
                bytes = place.start;
                let length = text[place].chars().count();
                places.push(characters..characters + length);
            }
        });
        places
    }
}
