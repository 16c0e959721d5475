//! Tokens that are taken out of a text as they stand, before it is normalised: "[SEP]", "[MASK]".

use tokenizers::AddedToken;

/// Where a token stands in a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) token: u32,
    pub(super) start: usize,
    pub(super) end: usize,
}

pub(super) struct AddedTokens {
    /// The longest first: of those that match at a place the longest counts.
    tokens: Vec<(AddedToken, u32)>,
    begins: [bool; 128],
}

impl AddedTokens {
    /// Refuses, with the reason, tokens that may match anywhere but at ASCII punctuation, or that
    /// their surroundings decide about.
    pub(super) fn new(tokens: impl Iterator<Item = (u32, AddedToken)>) -> Result<Self, String> {
        let mut added = AddedTokens { tokens: Vec::new(), begins: [false; 128] };
        for (id, token) in tokens {
            let content = token.content.as_str();
            if token.normalized || token.single_word {
                return Err(format!("its token {content:?} depends on the text around it"));
            }
            match content.bytes().next() {
                Some(first) if first.is_ascii_punctuation() => {
                    added.begins[usize::from(first)] = true;
                }
                _ => return Err(format!("its token {content:?} does not begin with punctuation")),
            }
            if content.contains([' ', '\t', '\r', '\n']) {
                return Err(format!("its token {content:?} has white space in it"));
            }
            added.tokens.push((token, id));
        }
        added.tokens.sort_by_key(|(token, _)| std::cmp::Reverse(token.content.len()));
        Ok(added)
    }

    /// Whether some token begins with this ASCII character.
    #[inline]
    pub(super) fn may_begin(&self, byte: u8) -> bool {
        self.begins[usize::from(byte)]
    }

    /// The token that begins at byte `at`. It may take in the white space around it, but not what
    /// stands before byte `earliest`.
    pub(super) fn find_at(&self, text: &str, at: usize, earliest: usize) -> Option<Found> {
        let rest = &text[at..];
        let (token, id) = self.tokens.iter().find(|(token, _)| rest.starts_with(&token.content))?;
        let mut found = Found { token: *id, start: at, end: at + token.content.len() };
        if token.lstrip {
            found.start = earliest + text[earliest..at].trim_end().len();
        }
        if token.rstrip {
            let rest = &text[found.end..];
            found.end += rest.len() - rest.trim_start().len();
        }
        Some(found)
    }
}
