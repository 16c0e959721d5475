//! The tokenizer against the `tokenizers` crate, whose word is law: the same ids and the same
//! offsets, in bytes and in characters, whatever the text and the settings.

mod any_text;
mod characters;
mod options;
mod oracle;
mod real_texts;
mod recognition;
