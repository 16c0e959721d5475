//! Random texts, vocabularies and settings.

use proptest::prelude::*;

use crate::oracle::{Both, added_token, with_normalizer, with_vocabulary};

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,200}",
        "(?s).{0,200}",
        "[abc]{0,200}",
        "[ab ]{0,300}",
        "([abcABC]{1,20}[ .,\t\n]){0,60}",
        "[a-cA-CéÉàñßİſıK\u{301}\u{323}\u{345}\u{f71}\u{f72}\u{f73}\u{1d165} .]{0,200}",
        "[a漢字かカ가각힣ㄱ\u{ac00}\u{1100}\u{1161}、。 ]{0,100}",
        "[ab\u{0}\u{1}\u{85}\u{ad}\u{200b}\u{200d}\u{fffd}\u{feff}\u{2028}\u{3000}\u{b}\u{c} ]{0,100}",
        "(\\[SEP\\]|\\[MASK\\]|<m>|<m2>|\\[|\\]|SEP|<|m|>|a| |\n|\u{3000}|\u{85}|é){0,60}",
        "[a-z]{90,110}",
        "(é|e\u{301}|a){90,110}",
        "[0-9a-f]{1,70}( [0-9a-f]{1,70}){0,9}",
    ]
}

/// Pieces of the alphabets above, so that words have several of them or none.
fn vocabulary() -> impl Strategy<Value = Vec<String>> {
    let piece = "(##)?([abcé漢가]|\u{1100}|\u{1161}|[a-c]{1,20}|[0-9a-f]{1,3}|[.,\\[\\]<>\u{3001}#]|e\u{301}|\\PC)";
    prop::collection::vec(piece, 0..120)
}

fn settings() -> impl Strategy<Value = (bool, bool, Option<bool>, bool)> {
    (any::<bool>(), any::<bool>(), any::<Option<bool>>(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn as_the_crate_has_it(
        texts in prop::collection::vec(any_text(), 1..8),
        entries in vocabulary(),
        (clean, chinese, strip, lower) in settings(),
        longest_word in prop::sample::select(vec![0usize, 1, 5, 16, 17, 100]),
        (left, right) in any::<(bool, bool)>(),
    ) {
        let letters = ('a'..='c').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
        let mut tokenizer = with_vocabulary(entries.into_iter().chain(letters));
        tokenizer["model"]["max_input_chars_per_word"] = longest_word.into();
        let added = tokenizer["added_tokens"].as_array_mut().unwrap();
        for (id, content) in [(900, "<m>"), (901, "<m2>"), (902, "[SEP]]")] {
            let mut token = added_token(id, content);
            token["lstrip"] = left.into();
            token["rstrip"] = right.into();
            added.push(token);
        }
        let both = Both::of(&with_normalizer(tokenizer, clean, chinese, strip, lower));
        prop_assert_eq!(both.ours.fallback_reason(), None);
        for text in &texts {
            both.check(text);
        }
        // What a thread remembers of one text must not show in the next.
        for text in texts.iter().rev() {
            both.check(text);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn long_texts(
        parts in prop::collection::vec(any_text(), 1..30),
        separator in prop::sample::select(vec!["", " ", "\n", "é", ".", "[SEP]", "  \u{3000} "]),
    ) {
        let both = Both::read(&crate::oracle::tiny());
        both.check(&parts.join(separator).repeat(4));
    }
}

#[test]
fn added_tokens_take_in_white_space_across_a_stretch() {
    let mut tokenizer = with_vocabulary(["a".to_owned()].into_iter());
    let mut token = added_token(900, "<m>");
    token["lstrip"] = true.into();
    token["rstrip"] = true.into();
    tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
    let both = Both::of(&tokenizer);
    for spaces in [10, 8_180, 8_190, 8_191, 8_192, 8_193, 20_000] {
        let white = " ".repeat(spaces);
        both.check(&format!("a{white}<m>{white}<m>\u{3000}{white}a<m>"));
    }
}
