//! The languages whose words are reduced to stems.

use rust_stemmers::Algorithm;

use crate::error::{Error, Result};

const LANGUAGES: [(&str, Option<Algorithm>); 19] = [
    ("none", None),
    ("ar", Some(Algorithm::Arabic)),
    ("da", Some(Algorithm::Danish)),
    ("de", Some(Algorithm::German)),
    ("el", Some(Algorithm::Greek)),
    ("en", Some(Algorithm::English)),
    ("es", Some(Algorithm::Spanish)),
    ("fi", Some(Algorithm::Finnish)),
    ("fr", Some(Algorithm::French)),
    ("hu", Some(Algorithm::Hungarian)),
    ("it", Some(Algorithm::Italian)),
    ("nl", Some(Algorithm::Dutch)),
    ("no", Some(Algorithm::Norwegian)),
    ("pt", Some(Algorithm::Portuguese)),
    ("ro", Some(Algorithm::Romanian)),
    ("ru", Some(Algorithm::Russian)),
    ("sv", Some(Algorithm::Swedish)),
    ("ta", Some(Algorithm::Tamil)),
    ("tr", Some(Algorithm::Turkish)),
];

/// A language, which says how words become terms: by the Snowball stemmer of the language, or,
/// for "none", as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language(usize);

impl Language {
    /// The language of an ISO 639-1 code, or "none".
    ///
    /// # Errors
    /// `InvalidArgument` for a code that is not known; it lists those that are.
    pub fn parse(code: &str) -> Result<Self> {
        let place = LANGUAGES.iter().position(|(known, _)| *known == code);
        place.map(Self).ok_or_else(|| {
            let known: Vec<&str> = LANGUAGES.iter().map(|(code, _)| *code).collect();
            let known = known.join(", ");
            Error::InvalidArgument(format!("unknown language {code:?}: there are {known}"))
        })
    }

    /// What [`Language::parse`] reads.
    pub fn code(self) -> &'static str {
        LANGUAGES[self.0].0
    }

    pub(super) fn algorithm(self) -> Option<Algorithm> {
        LANGUAGES[self.0].1
    }
}
