//! The tokens that a model wants around a text or a pair of texts.

use tokenizers::{Encoding, Token, Tokenizer};

/// One part of what a model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A token that stands there always.
    Special { token: u32, type_id: u32 },
    /// The tokens of the first or the second text.
    Text { second: bool, type_id: u32 },
}

impl Part {
    /// The type id of the part's tokens.
    pub(super) fn type_id(self) -> u32 {
        match self {
            Part::Special { type_id, .. } | Part::Text { type_id, .. } => type_id,
        }
    }
}

/// What a post-processor makes of texts, found out by showing it tokens that no text has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
    pub(super) special_tokens: usize,
}

const FIRST: u32 = u32::MAX;
const SECOND: u32 = u32::MAX - 1;

impl Template {
    /// The template for a text, or for a pair, with or without special tokens.
    ///
    /// # Errors
    /// What the post-processor said, or that it does not leave each text once and in order.
    pub(super) fn of(tokenizer: &Tokenizer, pair: bool, special: bool) -> Result<Self, String> {
        let text = |token, type_id| {
            Encoding::from_tokens(vec![Token::new(token, String::new(), (0, 0))], type_id)
        };
        let second = pair.then(|| text(SECOND, 1));
        let encoding = tokenizer
            .post_process(text(FIRST, 0), second, special)
            .map_err(|error| error.to_string())?;
        let part = |(&token, &type_id): (&u32, &u32)| match token {
            FIRST => Part::Text { second: false, type_id },
            SECOND => Part::Text { second: true, type_id },
            _ => Part::Special { token, type_id },
        };
        let parts: Vec<Part> =
            encoding.get_ids().iter().zip(encoding.get_type_ids()).map(part).collect();
        let texts: Vec<bool> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Text { second, .. } => Some(*second),
                Part::Special { .. } => None,
            })
            .collect();
        let expected: &[bool] = if pair { &[false, true] } else { &[false] };
        if texts != expected {
            return Err("its post-processor does not keep each text once, in order".to_owned());
        }
        Ok(Template { special_tokens: parts.len() - texts.len(), parts })
    }

    /// Whether any token has another type id than 0.
    pub(super) fn has_type_ids(&self) -> bool {
        self.parts.iter().any(|part| part.type_id() != 0)
    }
}
