//! Our tokenizer and the crate's, made from the same `tokenizer.json`.

use std::path::{Path, PathBuf};

use inference::{OffsetUnit, Tokenizer, Tokens};
use serde_json::{Map, Value, json};

pub(crate) struct Both {
    pub(crate) ours: Tokenizer,
    pub(crate) oracle: tokenizers::Tokenizer,
}

impl Both {
    pub(crate) fn read(path: &Path) -> Both {
        let mut oracle = tokenizers::Tokenizer::from_file(path).unwrap();
        oracle.with_truncation(None).unwrap();
        oracle.with_padding(None);
        Both { ours: Tokenizer::read(path).unwrap(), oracle }
    }

    /// From the contents of a file.
    pub(crate) fn of(tokenizer: &Value) -> Both {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.to_string()).unwrap();
        Both::read(&path)
    }

    /// Panics where the two differ in anything about a text.
    pub(crate) fn check(&self, text: &str) {
        let (bytes, characters) = self.expected(text);
        compare(text, &self.ours.tokens(text, OffsetUnit::Bytes).unwrap(), &bytes);
        compare(text, &self.ours.tokens(text, OffsetUnit::Characters).unwrap(), &characters);
        assert_eq!(self.ours.count(text).unwrap(), bytes.ids.len(), "{text:?}");
    }

    fn expected(&self, text: &str) -> (Tokens, Tokens) {
        let tokens = |encoding: tokenizers::Encoding| Tokens {
            ids: encoding.get_ids().to_vec(),
            offsets: encoding
                .get_offsets()
                .iter()
                .map(|&(from, to)| (from as u32, to as u32))
                .collect(),
        };
        (
            tokens(self.oracle.encode(text, false).unwrap()),
            tokens(self.oracle.encode_char_offsets(text, false).unwrap()),
        )
    }
}

/// Panics with the first token that differs, and as much of the text as one can read.
fn compare(text: &str, ours: &Tokens, expected: &Tokens) {
    if ours == expected {
        return;
    }
    let list = |tokens: &Tokens| -> Vec<_> {
        tokens.ids.iter().copied().zip(tokens.offsets.iter().copied()).collect()
    };
    let (ours, expected) = (list(ours), list(expected));
    let same = ours.iter().zip(&expected).take_while(|(a, b)| a == b).count();
    let near = same.saturating_sub(1);
    let start: String = text.chars().take(300).collect();
    panic!(
        "token {same} of {} (expected {}): {:?} is not {:?} in {start:?}",
        ours.len(),
        expected.len(),
        &ours[near..ours.len().min(same + 2)],
        &expected[near..expected.len().min(same + 2)],
    );
}

/// The tokenizer of the repository's tiny model.
pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny-bert/tokenizer.json")
}

/// The file of the tiny model's tokenizer, to be changed.
pub(crate) fn tiny_json() -> Value {
    serde_json::from_slice(&std::fs::read(tiny()).unwrap()).unwrap()
}

/// The tiny model's tokenizer with another vocabulary behind its special tokens.
pub(crate) fn with_vocabulary(entries: impl Iterator<Item = String>) -> Value {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let mut vocabulary = Map::new();
    for entry in special.into_iter().chain(entries) {
        let id = vocabulary.len();
        vocabulary.entry(entry).or_insert(json!(id));
    }
    let mut tokenizer = tiny_json();
    tokenizer["model"]["vocab"] = Value::Object(vocabulary);
    tokenizer
}

/// Sets how text is normalised.
pub(crate) fn with_normalizer(
    mut tokenizer: Value,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
) -> Value {
    tokenizer["normalizer"] = json!({
        "type": "BertNormalizer",
        "clean_text": clean_text,
        "handle_chinese_chars": handle_chinese_chars,
        "strip_accents": strip_accents,
        "lowercase": lowercase,
    });
    tokenizer
}

/// An added token as `tokenizer.json` has it.
pub(crate) fn added_token(id: u32, content: &str) -> Value {
    json!({
        "id": id,
        "content": content,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": false,
        "special": true,
    })
}
