//! Text to token ids.
//!
//! [`Tokenizer`] gives what the `tokenizers` crate gives. It is that crate, except where
//! [`recognize`] finds BERT's WordPiece: then [`bert`] does the same in one pass over the text,
//! with tables of what happens to each character ([`characters`], [`ascii`]), of whole words
//! ([`word_table`]) and of their pieces ([`word_piece`], [`trie`]). [`template`] knows the tokens
//! that a model wants around a text, [`truncation`] what is left of long ones, [`batch`] does many.

mod added_tokens;
mod ascii;
mod batch;
mod bert;
mod characters;
mod characters_of_bytes;
mod limited;
mod recognize;
mod sink;
mod template;
mod trie;
mod truncation;
mod word;
mod word_piece;
mod word_table;

use std::path::{Path, PathBuf};

use tokenizers::PaddingParams;

use self::batch::Work;
pub use self::batch::{EncodeOptions, TokenBatch};
pub(crate) use self::limited::LimitedTokenizer;

use self::bert::{Bert, Scratch};
use self::sink::{Count, Ids, Lists};
use self::template::Template;
use crate::error::{Error, Result};
use crate::spares::Spares;

/// What a token's offsets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetUnit {
    /// Bytes of UTF-8, as Rust slices.
    Bytes,
    /// Unicode scalar values, as Python slices.
    Characters,
}

/// The tokens of a text, without those that a model adds around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The tokens' ids.
    pub ids: Vec<u32>,
    /// For each token, where it begins and ends in the text.
    pub offsets: Vec<(u32, u32)>,
}

/// A tokenizer from a `tokenizer.json`. It may be used from many threads at a time.
///
/// The padding and truncation that such a file may carry are dropped: all-MiniLM-L6-v2's would pad
/// everything to 128 tokens.
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    bert: std::result::Result<Bert, String>,
    single: Templates,
    pair: std::result::Result<Templates, String>,
    /// Buffers of threads that are done, for the next ones.
    scratches: Spares<Scratch>,
}

/// What a model sees of texts, with its special tokens and without.
struct Templates {
    special: Template,
    plain: Template,
}

impl Templates {
    fn of(tokenizer: &tokenizers::Tokenizer, pair: bool) -> std::result::Result<Templates, String> {
        Ok(Templates {
            special: Template::of(tokenizer, pair, true)?,
            plain: Template::of(tokenizer, pair, false)?,
        })
    }

    fn get(&self, special: bool) -> &Template {
        if special { &self.special } else { &self.plain }
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or that of a folder.
    ///
    /// # Errors
    /// The file cannot be read, or the `tokenizers` crate does not understand it.
    pub fn read(path: &Path) -> Result<Tokenizer> {
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
        let bytes =
            std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let malformed = |reason: String| Error::Malformed { path: path.clone(), reason };
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| malformed(error.to_string()))?;
        inner.with_truncation(None).map_err(|error| malformed(error.to_string()))?;
        inner.with_padding(None::<PaddingParams>);
        Ok(Tokenizer {
            bert: recognize::recognize(&inner),
            single: Templates::of(&inner, false).map_err(malformed)?,
            pair: Templates::of(&inner, true),
            scratches: Spares::default(),
            inner,
            path,
        })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why this tokenizer is the `tokenizers` crate and not our own WordPiece; `None` where it is
    /// our own.
    pub fn fallback_reason(&self) -> Option<&str> {
        self.bert.as_ref().err().map(String::as_str)
    }

    /// Tokens that the vocabulary has, added ones included.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Greatest id + 1.
    pub fn id_bound(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// The token of an id.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of ids, as far as it can be told; without special tokens on request.
    ///
    /// # Errors
    /// The tokenizer's decoder refuses them.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.inner
            .decode(ids, skip_special_tokens)
            .map_err(|error| Error::Tokenize { index: 0, reason: error.to_string() })
    }

    /// How many tokens a model adds around a text, or around a pair.
    ///
    /// # Errors
    /// The tokenizer's post-processor does not take pairs.
    pub fn special_tokens(&self, pair: bool) -> Result<usize> {
        Ok(self.templates(pair)?.special.special_tokens)
    }

    /// The tokens of a text, special ones left out, nothing cut.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn tokens(&self, text: &str, unit: OffsetUnit) -> Result<Tokens> {
        self.plain_tokens(text, unit).map_err(|reason| Error::Tokenize { index: 0, reason })
    }

    fn plain_tokens(&self, text: &str, unit: OffsetUnit) -> std::result::Result<Tokens, String> {
        let mut tokens = Tokens::default();
        self.with_scratch(|scratch| {
            let Tokens { ids, offsets } = &mut tokens;
            self.append_tokens(text, unit, usize::MAX, scratch, ids, offsets)
        })?;
        Ok(tokens)
    }

    /// How many tokens [`Tokenizer::tokens`] gives.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn count(&self, text: &str) -> Result<usize> {
        self.with_scratch(|scratch| self.count_with(text, scratch))
            .map_err(|reason| Error::Tokenize { index: 0, reason })
    }

    /// [`Tokenizer::count`] of many texts, on the threads of the ambient rayon pool.
    ///
    /// # Errors
    /// The tokenizer refuses a text.
    pub fn count_all(&self, texts: &[&str]) -> Result<Vec<usize>> {
        batch::in_runs(
            texts,
            |text| text.len(),
            |run| {
                self.with_scratch(|scratch| {
                    let count = |index: usize| {
                        self.count_with(texts[index], scratch)
                            .map_err(|reason| Error::Tokenize { index, reason })
                    };
                    run.map(count).collect::<Result<Vec<usize>>>()
                })
            },
        )
        .map(|counts| counts.concat())
    }

    /// The end, in bytes, of the longest beginning of the text that has at most `max` tokens and
    /// ends where one of the text's tokens ends; the text's own if it has no more tokens.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn truncate(&self, text: &str, max: usize) -> Result<usize> {
        self.with_scratch(|scratch| {
            let (mut ids, mut offsets) = (Vec::new(), Vec::new());
            let limit = max.saturating_add(1);
            self.append_tokens(text, OffsetUnit::Bytes, limit, scratch, &mut ids, &mut offsets)?;
            if ids.len() <= max {
                return Ok(text.len());
            }
            // The beginning is a text of its own, and may have more tokens than its part had.
            for (_, end) in offsets[..max].iter().rev() {
                let end = *end as usize;
                if self.count_with(&text[..end], scratch)? <= max {
                    return Ok(end);
                }
            }
            Ok(0)
        })
        .map_err(|reason| Error::Tokenize { index: 0, reason })
    }

    /// The ids that a model sees of a text: special tokens added, cut on the right to `max_tokens`.
    ///
    /// # Errors
    /// The tokenizer refuses the text; `max_tokens` leaves no room.
    pub fn ids(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>> {
        let options = EncodeOptions { max_tokens: Some(max_tokens), ..EncodeOptions::default() };
        let row = Work::new(self, false, &options)?.one(text);
        Ok(row.map_err(|reason| Error::Tokenize { index: 0, reason })?.ids)
    }

    /// The ids and type ids that a model sees of two texts: special tokens added, cut to
    /// `max_tokens`, the longer text first, as a cross-encoder of sentence-transformers does.
    ///
    /// # Errors
    /// The tokenizer refuses a text or does not take pairs; `max_tokens` leaves no room.
    pub fn ids_pair(
        &self,
        first: &str,
        second: &str,
        max_tokens: usize,
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let options = EncodeOptions { max_tokens: Some(max_tokens), ..EncodeOptions::default() };
        let batch = self.encode_pairs(&[(first, second)], &options)?;
        Ok((batch.ids, batch.type_ids))
    }

    fn templates(&self, pair: bool) -> Result<&Templates> {
        if !pair {
            return Ok(&self.single);
        }
        self.pair.as_ref().map_err(|reason| Error::Unsupported {
            path: self.path.clone(),
            reason: format!("pairs of texts need another tokenizer: {reason}"),
        })
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        self.scratches.lend(work)
    }

    /// Appends the text's ids, or the first `limit` and perhaps some more.
    fn append_ids(
        &self,
        text: &str,
        limit: usize,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> std::result::Result<(), String> {
        let before = ids.len();
        if let Ok(bert) = &self.bert
            && bert.tokenize(text, scratch, &mut Ids::new(ids, limit)).is_ok()
        {
            return Ok(());
        }
        ids.truncate(before);
        let encoding = self.inner.encode_fast(text, false).map_err(|error| error.to_string())?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    /// Appends the text's ids and offsets, or the first `limit` and perhaps some more.
    fn append_tokens(
        &self,
        text: &str,
        unit: OffsetUnit,
        limit: usize,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
        offsets: &mut Vec<(u32, u32)>,
    ) -> std::result::Result<(), String> {
        if u32::try_from(text.len()).is_err() {
            return Err(format!("it has {} bytes, and offsets have 32 bits", text.len()));
        }
        let before = ids.len();
        if let Ok(bert) = &self.bert
            && bert.tokenize(text, scratch, &mut Lists::new(ids, offsets, limit)).is_ok()
        {
            if unit == OffsetUnit::Characters {
                characters_of_bytes::to_characters(text, &mut offsets[before..]);
            }
            return Ok(());
        }
        ids.truncate(before);
        offsets.truncate(before);
        let encoding = match unit {
            OffsetUnit::Bytes => self.inner.encode(text, false),
            OffsetUnit::Characters => self.inner.encode_char_offsets(text, false),
        };
        let encoding = encoding.map_err(|error| error.to_string())?;
        ids.extend_from_slice(encoding.get_ids());
        offsets.extend(encoding.get_offsets().iter().map(|&(from, to)| (from as u32, to as u32)));
        Ok(())
    }

    fn count_with(&self, text: &str, scratch: &mut Scratch) -> std::result::Result<usize, String> {
        let mut count = Count::default();
        if let Ok(bert) = &self.bert
            && bert.tokenize(text, scratch, &mut count).is_ok()
        {
            return Ok(count.0);
        }
        let encoding = self.inner.encode_fast(text, false).map_err(|error| error.to_string())?;
        Ok(encoding.len())
    }
}
