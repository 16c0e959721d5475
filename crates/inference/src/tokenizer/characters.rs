//! What the BERT normaliser and pre-tokenizer do to each character.
//!
//! The normaliser removes control characters, makes white space of white space, sets CJK ideographs
//! apart, decomposes (NFD), drops accents and lowers; the pre-tokenizer then cuts at white space and
//! punctuation. All but one step look at one character at a time, so their outcome can be tabulated
//! a character. The exception is the canonical order of combining marks. Marks are dropped right
//! after it, and what is no mark has class 0 and never moves; the few characters that have a
//! combining class and yet stay are [`Treatment::Reordered`], and texts with them take another way.
//!
//! Categories and decompositions come from the crates that `tokenizers` itself uses: they are those
//! of old Unicode versions, and what matters is that they are the same.

use once_cell::race::OnceBox;
use tokenizers::normalizers::BertNormalizer;
use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

const PAGE_BITS: u32 = 8;
const PAGE: usize = 1 << PAGE_BITS;
const PAGES: usize = (char::MAX as usize >> PAGE_BITS) + 1;

/// What becomes of a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It vanishes; the word goes on.
    Removed,
    /// It ends a word.
    Separator,
    /// It is a part of a word, as this character.
    Letter(char),
    /// It is a word by itself, with this token.
    Alone(u32),
    /// It becomes several of the above.
    Several(Box<[Treatment]>),
    /// Its neighbours decide.
    Reordered,
}

/// The treatments of all characters, found out a page at a time when first needed.
///
/// Nobody waits for a page: threads that need the same one each make it. A child that was forked while
/// a thread made one would wait for good.
pub(super) struct Characters {
    settings: BertNormalizer,
    pages: Box<[OnceBox<[Treatment; PAGE]>]>,
}

impl Characters {
    pub(super) fn new(settings: BertNormalizer) -> Characters {
        Characters { settings, pages: (0..PAGES).map(|_| OnceBox::new()).collect() }
    }

    /// `token_alone` gives the token of a word that is one character.
    #[inline]
    pub(super) fn treatment(
        &self,
        character: char,
        token_alone: &dyn Fn(char) -> u32,
    ) -> &Treatment {
        let code = character as usize;
        let page = self.pages[code >> PAGE_BITS].get_or_init(|| {
            let first = code & !(PAGE - 1);
            let treat = |place| match char::from_u32((first + place) as u32) {
                Some(character) => treat(&self.settings, character, token_alone),
                None => Treatment::Removed,
            };
            Box::new(std::array::from_fn(treat))
        });
        &page[code & (PAGE - 1)]
    }
}

/// The steps of `BertNormalizer::normalize` and `BertPreTokenizer`, in their order.
fn treat(
    settings: &BertNormalizer,
    character: char,
    token_alone: &dyn Fn(char) -> u32,
) -> Treatment {
    let mut character = character;
    if settings.clean_text {
        if matches!(character, '\0' | '\u{fffd}') || is_control(character) {
            return Treatment::Removed;
        }
        if is_white_space(character) {
            character = ' ';
        }
    }
    let ideograph = settings.handle_chinese_chars && is_chinese(character);
    let mut decomposed = Vec::new();
    if settings.strip_accents.unwrap_or(settings.lowercase) {
        decompose_canonical(character, |part| decomposed.push(part));
        decomposed.retain(|part| !part.is_mark_nonspacing());
        if decomposed.iter().any(|part| canonical_combining_class(*part) != 0) {
            return Treatment::Reordered;
        }
    } else {
        decomposed.push(character);
    }
    let mut parts: Vec<Treatment> = Vec::new();
    for part in decomposed {
        let mut place = |part: char| {
            parts.push(if part.is_whitespace() {
                Treatment::Separator
            } else if is_punctuation(part) {
                Treatment::Alone(token_alone(part))
            } else {
                Treatment::Letter(part)
            });
        };
        if settings.lowercase {
            part.to_lowercase().for_each(&mut place);
        } else {
            place(part);
        }
    }
    if ideograph {
        if let [Treatment::Letter(letter)] = parts[..] {
            return Treatment::Alone(token_alone(letter));
        }
        parts.insert(0, Treatment::Separator);
        parts.push(Treatment::Separator);
    }
    match parts.len() {
        0 => Treatment::Removed,
        1 => parts.remove(0),
        _ => Treatment::Several(parts.into()),
    }
}

fn is_white_space(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r') || character.is_whitespace()
}

fn is_control(character: char) -> bool {
    !matches!(character, '\t' | '\n' | '\r') && character.is_other()
}

fn is_punctuation(character: char) -> bool {
    character.is_ascii_punctuation() || character.is_punctuation()
}

/// The blocks that BERT sets apart: unified ideographs, not kana nor hangul.
fn is_chinese(character: char) -> bool {
    matches!(
        u32::from(character),
        0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0x2F800..=0x2FA1F
    )
}
