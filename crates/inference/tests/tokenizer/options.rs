//! Batches: special tokens, limits, overflow, pairs; and what is made of single texts.

use inference::{EncodeOptions, Error, OffsetUnit, Tokenizer};
use proptest::prelude::*;
use tokenizers::{TruncationDirection, TruncationParams, TruncationStrategy, truncate_encodings};

use crate::oracle::{Both, tiny};

fn any_texts() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof!["[a-eé漢 .,]{0,60}", "([a-z]{1,9} ){0,30}", "\\PC{0,30}"];
    prop::collection::vec(text, 0..12)
}

fn offsets(encoding: &tokenizers::Encoding) -> Vec<[u32; 2]> {
    encoding.get_offsets().iter().map(|&(from, to)| [from as u32, to as u32]).collect()
}

proptest! {
    #[test]
    fn batches(
        texts in any_texts(),
        special_tokens in any::<bool>(),
        max in prop::option::of(3usize..20),
        stride in prop::option::of(0usize..20),
        bytes in any::<bool>(),
    ) {
        let both = Both::read(&tiny());
        let special = if special_tokens { 2 } else { 0 };
        let overflow = match (stride, max) {
            (Some(stride), Some(max)) => Some(stride % (max - special)),
            (stride, None) => stride,
            (None, _) => None,
        };
        let unit = if bytes { OffsetUnit::Bytes } else { OffsetUnit::Characters };
        let options =
            EncodeOptions { special_tokens, max_tokens: max, overflow, offsets: Some(unit) };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let batch = both.ours.encode(&texts, &options).unwrap();

        let mut rows = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let mut whole = match unit {
                OffsetUnit::Bytes => both.oracle.encode(*text, false).unwrap(),
                OffsetUnit::Characters => both.oracle.encode_char_offsets(*text, false).unwrap(),
            };
            if let Some(max) = max {
                let stride = overflow.unwrap_or(0);
                whole.truncate(max - special, stride, TruncationDirection::Right);
            }
            let whole = both.oracle.post_process(whole, None, special_tokens).unwrap();
            let further: &[_] = if overflow.is_some() { whole.get_overflowing() } else { &[] };
            for encoding in std::iter::once(&whole).chain(further) {
                rows.push((index as u32, encoding.get_ids().to_vec(), offsets(encoding)));
            }
        }
        let ours: Vec<_> = (0..batch.row_ends.len())
            .map(|row| {
                let tokens = batch.row(row);
                (
                    batch.texts[row],
                    batch.ids[tokens.clone()].to_vec(),
                    batch.offsets[tokens].to_vec(),
                )
            })
            .collect();
        prop_assert_eq!(ours, rows);
        prop_assert!(batch.type_ids.is_empty());
    }

    #[test]
    fn pairs(texts in any_texts(), special_tokens in any::<bool>(), max in prop::option::of(4usize..30)) {
        let Both { ours, oracle } = Both::read(&tiny());
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let pairs: Vec<(&str, &str)> = texts.iter().copied().zip(texts.iter().rev().copied()).collect();
        let options = EncodeOptions {
            special_tokens,
            max_tokens: max,
            overflow: None,
            offsets: Some(OffsetUnit::Bytes),
        };
        let batch = ours.encode_pairs(&pairs, &options).unwrap();
        for (row, pair) in pairs.iter().enumerate() {
            // Not by the crate's own truncation: that stops reading a text at the limit, and so may
            // not know which of two long ones is the longer.
            let mut first = oracle.encode(pair.0, false).unwrap();
            let mut second = oracle.encode(pair.1, false).unwrap();
            if let Some(max) = max {
                let params = TruncationParams {
                    max_length: max - if special_tokens { 3 } else { 0 },
                    strategy: TruncationStrategy::LongestFirst,
                    stride: 0,
                    direction: TruncationDirection::Right,
                };
                let (kept, kept_second) =
                    truncate_encodings(first, Some(second), &params).unwrap();
                (first, second) = (kept, kept_second.unwrap());
            }
            let expected = oracle.post_process(first, Some(second), special_tokens).unwrap();
            let tokens = batch.row(row);
            prop_assert_eq!(&batch.ids[tokens.clone()], expected.get_ids());
            prop_assert_eq!(&batch.type_ids[tokens.clone()], expected.get_type_ids());
            prop_assert_eq!(&batch.offsets[tokens], &offsets(&expected)[..]);
            if let Some(max) = max && special_tokens {
                let (ids, type_ids) = ours.ids_pair(pair.0, pair.1, max).unwrap();
                prop_assert_eq!(&ids[..], expected.get_ids());
                prop_assert_eq!(&type_ids[..], expected.get_type_ids());
            }
        }
    }

    #[test]
    fn truncated_texts_end_with_a_token_and_have_as_many_as_fit(
        text in prop_oneof!["[a-eé漢가 .,]{0,60}", "\\PC{0,30}", "([a-z]{1,9} ){0,30}"],
        max in 0usize..20,
    ) {
        let tokenizer = Tokenizer::read(&tiny()).unwrap();
        let end = tokenizer.truncate(&text, max).unwrap();
        let tokens = tokenizer.tokens(&text, OffsetUnit::Bytes).unwrap();
        let count = tokenizer.count(&text[..end]).unwrap();
        if tokens.ids.len() <= max {
            prop_assert_eq!(end, text.len());
        } else {
            prop_assert!(count <= max);
            let ends = tokens.offsets.iter().map(|(_, to)| *to as usize);
            prop_assert!(end == 0 || ends.clone().any(|to| to == end));
            for longer in ends.filter(|to| *to > end) {
                prop_assert!(tokenizer.count(&text[..longer]).unwrap() > max);
            }
        }
    }
}

#[test]
fn batches_of_many_runs_keep_their_order() {
    let both = Both::read(&tiny());
    let texts: Vec<String> = (0..30_000).map(|n| format!("text {n} of the cat")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let batch = both.ours.encode(&texts, &EncodeOptions::default()).unwrap();
    assert_eq!(batch.row_ends.len(), texts.len());
    for row in (0..texts.len()).step_by(997) {
        let expected = both.oracle.encode_fast(texts[row], true).unwrap();
        assert_eq!(&batch.ids[batch.row(row)], expected.get_ids());
        assert_eq!(batch.texts[row] as usize, row);
    }
}

#[test]
fn limits_that_leave_no_room_are_refused() {
    let tokenizer = Tokenizer::read(&tiny()).unwrap();
    let refused = |max_tokens, overflow| {
        let options = EncodeOptions { max_tokens, overflow, ..EncodeOptions::default() };
        matches!(tokenizer.encode(&["a"], &options), Err(Error::Limit(_)))
    };
    assert!(refused(Some(2), None));
    assert!(refused(Some(6), Some(4)));
    assert!(!refused(Some(6), Some(3)));
    assert!(matches!(tokenizer.ids("a", 1), Err(Error::Limit(_))));
    assert!(matches!(tokenizer.ids_pair("a", "b", 3), Err(Error::Limit(_))));
}

#[test]
fn ids_and_tokens_and_text() {
    let Both { ours, oracle } = Both::read(&tiny());
    assert_eq!(ours.vocabulary_size(), oracle.get_vocab_size(true));
    assert_eq!(ours.id_bound(), 179);
    assert_eq!(ours.token_to_id("[SEP]"), Some(3));
    assert_eq!(ours.id_to_token(3).as_deref(), Some("[SEP]"));
    assert_eq!((ours.token_to_id("nothing"), ours.id_to_token(10_000)), (None, None));
    let ids = ours.ids("The cats, searching", 20).unwrap();
    assert_eq!(ours.decode(&ids, true).unwrap(), oracle.decode(&ids, true).unwrap());
    assert_eq!(ours.decode(&ids, false).unwrap(), oracle.decode(&ids, false).unwrap());
}
