//! Which tokenizers our own WordPiece stands in for, and that the others are the crate's.

use inference::Tokenizer;
use serde_json::{Value, json};

use crate::oracle::{Both, added_token, tiny_json};

fn reason(change: impl FnOnce(&mut Value)) -> Option<String> {
    let mut tokenizer = tiny_json();
    change(&mut tokenizer);
    let both = Both::of(&tokenizer);
    for text in ["Hello the [SEP] cats", "naïve 漢字 x\u{1d165}\u{301}", "the the\u{a0}the", ""]
    {
        both.check(text);
    }
    both.ours.fallback_reason().map(str::to_owned)
}

#[test]
fn berts_word_piece_is_recognized() {
    assert_eq!(reason(|_| ()), None);
    assert_eq!(reason(|t| t["post_processor"] = Value::Null), None);
    let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
    assert_eq!(reason(|t| t["post_processor"] = bert), None);
    assert_eq!(reason(|t| t["model"]["continuing_subword_prefix"] = "@@".into()), None);
    assert_eq!(reason(|t| t["decoder"] = Value::Null), None);
}

#[test]
fn what_differs_in_any_part_is_left_to_the_crate() {
    let said = |change: fn(&mut Value)| reason(change).unwrap();
    assert!(said(|t| t["normalizer"] = Value::Null).contains("normaliser"));
    assert!(said(|t| t["normalizer"] = json!({"type": "NFC"})).contains("normaliser"));
    assert!(said(|t| t["pre_tokenizer"] = json!({"type": "Whitespace"})).contains("pre-tokenizer"));
    assert!(said(|t| t["model"]["type"] = "WordLevel".into()).contains("WordPiece"));
    assert!(
        said(|t| {
            t["post_processor"] = json!({
                "type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2],
                "trim_offsets": true, "add_prefix_space": false,
            })
        })
        .contains("post-processor")
    );
    let added: [fn(&mut Value); 4] = [
        |token| token["normalized"] = true.into(),
        |token| token["single_word"] = true.into(),
        |token| token["content"] = "the".into(),
        |token| token["content"] = "<a b>".into(),
    ];
    for change in added {
        let reason = reason(|t| {
            let mut token = added_token(300, "<new>");
            change(&mut token);
            t["added_tokens"].as_array_mut().unwrap().push(token);
        });
        assert!(reason.unwrap().contains("its token"));
    }
}

#[test]
fn files_that_are_no_tokenizer_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::read(folder.path()).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, "{}").unwrap();
    let error = Tokenizer::read(&path).err().unwrap().to_string();
    assert!(error.contains("is damaged"), "{error}");
}
