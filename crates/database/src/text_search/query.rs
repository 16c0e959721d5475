//! What to find by words, and how it is written.
//!
//! Words are looked for one by one, and any of them will do. `"several words"` must stand in a text
//! next to each other, `+word` must be there, and `-word` or `-"several words"` must not. A sign
//! counts where a word begins, behind a space or at the start, and so does a quotation mark; one
//! that is never closed counts for nothing. There is no other syntax, and nothing is an error.

use std::ops::Range;

use super::analyzer::Analyzer;
use super::index::header::IndexKey;
use super::language::Language;
use crate::error::{Error, Result};
use crate::filter::Key;
use crate::format::MAX_TEXT_FIELD_BYTES;

/// What to find by words.
pub struct TextQuery {
    language: Language,
    /// What is searched, and what each counts.
    fields: Vec<(IndexKey, f32)>,
    /// Each term and how often the query has it, in the order of their first places; 0 for those
    /// that must not be there.
    pub(super) terms: Vec<(String, u32)>,
    /// What must be there: runs of terms, as their places in `terms`.
    pub(super) required: Vec<Vec<usize>>,
    /// What must not.
    pub(super) excluded: Vec<Vec<usize>>,
}

impl TextQuery {
    /// The words of a text, with the signs that the module describes.
    pub fn new(text: &str, language: Language) -> Self {
        let mut query = Self {
            language,
            fields: vec![(IndexKey { language, field: None }, 1.0)],
            terms: Vec::new(),
            required: Vec::new(),
            excluded: Vec::new(),
        };
        let analyzer = Analyzer::new(language);
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (part, behind) = next_part(rest);
            query.add(&analyzer, part);
            rest = behind.trim_start();
        }
        query
    }

    /// Searches these fields instead of the texts: the texts are `None`, anything else the strings
    /// that records have under a key, also those in an array. A score is the sum of the fields'
    /// scores, each times its weight, each by the statistics of its field.
    ///
    /// # Errors
    /// `InvalidArgument` for no field, one that comes twice, one whose name is too long, and
    /// weights that are no numbers above 0.
    pub fn in_fields(mut self, fields: Vec<(Option<Key>, f32)>) -> Result<Self> {
        let name = |field: &Option<Key>| field.as_ref().map_or("text", Key::name).to_owned();
        let invalid = |what: String| Err(Error::InvalidArgument(what));
        if fields.is_empty() {
            return invalid("a search by words needs a field".to_owned());
        }
        for (place, (field, weight)) in fields.iter().enumerate() {
            if !weight.is_finite() || *weight <= 0.0 {
                let name = name(field);
                return invalid(format!("the weight of a field is a number above 0: {name:?}"));
            }
            if !(1..=MAX_TEXT_FIELD_BYTES).contains(&name(field).len()) {
                return invalid(format!(
                    "a field that is searched by words has a name of 1 to \
                     {MAX_TEXT_FIELD_BYTES} bytes"
                ));
            }
            if fields[..place].iter().any(|(other, _)| other == field) {
                return invalid(format!("the field {:?} comes twice", name(field)));
            }
        }
        let language = self.language;
        let key = |(field, weight)| (IndexKey { language, field }, weight);
        self.fields = fields.into_iter().map(key).collect();
        Ok(self)
    }

    /// Where a text has words that the query wants, in characters, in order.
    pub fn highlights(&self, text: &str) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        let (mut bytes, mut characters) = (0, 0);
        Analyzer::new(self.language).terms(text, |place, term| {
            if self.terms.iter().any(|(known, count)| known == term && *count > 0) {
                characters += text[bytes..place.start].chars().count();
                bytes = place.start;
                let length = text[place].chars().count();
                places.push(characters..characters + length);
            }
        });
        places
    }

    pub(super) fn fields(&self) -> &[(IndexKey, f32)] {
        &self.fields
    }

    /// Whether only some of the texts that have a word of it will do.
    pub(super) fn has_conditions(&self) -> bool {
        !self.required.is_empty() || !self.excluded.is_empty()
    }

    /// Whether a text has each of these runs of terms, which are places in `terms`.
    pub(super) fn runs_in(&self, text: &str, runs: &[Vec<usize>]) -> Vec<bool> {
        let mut places = Vec::new();
        Analyzer::new(self.language).terms(text, |_, term| {
            let place = self.terms.iter().position(|(known, _)| known == term);
            places.push(place.unwrap_or(usize::MAX));
        });
        let has = |run: &Vec<usize>| places.windows(run.len()).any(|window| window == run);
        runs.iter().map(has).collect()
    }

    fn add(&mut self, analyzer: &Analyzer, part: Part<'_>) {
        let mut run = Vec::new();
        let counts = part.sign != Some(Sign::Excluded);
        analyzer.terms(part.text, |_, term| {
            let place = self.terms.iter().position(|(known, _)| known == term);
            let place = place.unwrap_or_else(|| {
                self.terms.push((term.to_owned(), 0));
                self.terms.len() - 1
            });
            self.terms[place].1 += u32::from(counts);
            run.push(place);
        });
        if run.is_empty() {
            return;
        }
        match part.sign {
            Some(Sign::Excluded) => self.excluded.push(run),
            Some(Sign::Required) => self.required.push(run),
            None => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Required,
    Excluded,
}

/// A word, or what stands between two quotation marks.
struct Part<'a> {
    sign: Option<Sign>,
    text: &'a str,
}

/// What a query that does not begin with a space begins with, and the rest of it.
fn next_part(query: &str) -> (Part<'_>, &str) {
    let (sign, unsigned) = match query.as_bytes()[0] {
        b'+' => (Some(Sign::Required), &query[1..]),
        b'-' => (Some(Sign::Excluded), &query[1..]),
        _ => (None, query),
    };
    let quoted = unsigned.strip_prefix('"').and_then(|quoted| quoted.split_once('"'));
    if let Some((text, rest)) = quoted {
        return (Part { sign: sign.or(Some(Sign::Required)), text }, rest);
    }
    let end = unsigned.find(char::is_whitespace).unwrap_or(unsigned.len());
    let (text, rest) = unsigned.split_at(end);
    (Part { sign, text }, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The terms that count, what is required and what is excluded.
    fn parsed(text: &str) -> (String, Vec<String>, Vec<String>) {
        let query = TextQuery::new(text, Language::parse("none").unwrap());
        let term = |place: &usize| query.terms[*place].0.as_str();
        let run = |run: &Vec<usize>| run.iter().map(term).collect::<Vec<_>>().join(" ");
        let counting = query.terms.iter().filter(|(_, count)| *count > 0);
        let counting: Vec<String> =
            counting.map(|(term, count)| format!("{term}:{count}")).collect();
        let runs = |runs: &[Vec<usize>]| runs.iter().map(run).collect::<Vec<_>>();
        (counting.join(" "), runs(&query.required), runs(&query.excluded))
    }

    #[test]
    fn signs_and_quotation_marks_say_what_must_and_must_not_be_there() {
        let cases: [(&str, &str, &[&str], &[&str]); 12] = [
            ("Red red fox", "red:2 fox:1", &[], &[]),
            ("\"red fox\" den", "red:1 fox:1 den:1", &["red fox"], &[]),
            ("+red fox -den", "red:1 fox:1", &["red"], &["den"]),
            ("fox -\"red den\"", "fox:1", &[], &["red den"]),
            ("+state-of-the-art", "state:1 of:1 the:1 art:1", &["state of the art"], &[]),
            ("state-of-the-art", "state:1 of:1 the:1 art:1", &[], &[]),
            ("\"never closed", "never:1 closed:1", &[], &[]),
            ("5\" and 6\" pipes", "5:1 and:1 6:1 pipes:1", &[], &[]),
            ("+ - -- \"\" +\"\" fox", "fox:1", &[], &[]),
            ("+-fox", "fox:1", &["fox"], &[]),
            ("fox -fox", "fox:1", &[], &["fox"]),
            ("\u{3000}+fox\u{3000}", "fox:1", &["fox"], &[]),
        ];
        for (text, terms, required, excluded) in cases {
            let (found_terms, found_required, found_excluded) = parsed(text);
            assert_eq!(found_terms, terms, "{text}");
            assert_eq!(found_required, required, "{text}");
            assert_eq!(found_excluded, excluded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(text in r#"([+\- "a-c\u{e9}\u{3000}]|\PC){0,40}"#) {
            let query = TextQuery::new(&text, Language::parse("en").unwrap());
            let runs = query.required.iter().chain(&query.excluded);
            prop_assert!(runs.flatten().all(|place| *place < query.terms.len()));
            query.highlights(&text);
        }
    }
}
