//! Every character that Unicode may hold in its first three planes, between neighbours that show
//! whether it ends a word, stands alone, vanishes, becomes another or moves.

use rayon::prelude::*;

use crate::oracle::{Both, with_normalizer, with_vocabulary};

const LAST: u32 = 0x3_0000;

fn characters() -> impl Iterator<Item = char> {
    (0..LAST).chain(0xE_0000..0xE_0200).chain(0x10_FF00..=0x10_FFFF).filter_map(char::from_u32)
}

fn check_all(clean_text: bool, chinese: bool, strip_accents: Option<bool>, lowercase: bool) {
    // Each character is a token of its own, so that ids tell what became of it.
    let single = characters().map(String::from);
    let vocabulary = single.chain(characters().map(|character| format!("##{character}")));
    let tokenizer = with_vocabulary(vocabulary);
    let both = Both::of(&with_normalizer(tokenizer, clean_text, chinese, strip_accents, lowercase));
    assert_eq!(both.ours.fallback_reason(), None);
    let all: Vec<char> = characters().collect();
    all.par_chunks(16).for_each(|characters| {
        // Marks in the wrong order follow and precede: class 230 before class 220, 129 last.
        let text: String = characters
            .iter()
            .map(|c| format!("a{c}b {c} x{c}{c}\u{301}\u{323}\u{f71}{c}z.{c}[SEP]{c}\n"))
            .collect();
        both.check(&text);
    });
}

#[test]
fn uncased() {
    check_all(true, true, None, true);
}

#[test]
fn uncased_with_accents() {
    check_all(true, false, Some(false), true);
}

#[test]
fn cased_without_accents_nor_cleaning() {
    check_all(false, true, Some(true), false);
}

#[test]
fn untouched() {
    check_all(false, false, Some(false), false);
}
