//! Many texts at a time, as a model wants them.

use std::ops::Range;

use rayon::prelude::*;

use super::bert::Scratch;
use super::template::{Part, Template};
use super::truncation::{longest_first, windows};
use super::{OffsetUnit, Tokenizer, Tokens};
use crate::error::{Error, Result};

/// Texts are shared out to threads in runs of about this many bytes. A call with less stays on its
/// thread.
const RUN_BYTES: usize = 64 << 10;

/// How texts are to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions {
    /// Whether the tokens that the model wants around a text are added.
    pub special_tokens: bool,
    /// Most tokens of a row, special ones included.
    pub max_tokens: Option<usize>,
    /// What does not fit into a text's first row goes into further rows, each of which repeats this
    /// many tokens of the one before. Without it, it is dropped.
    pub overflow: Option<usize>,
    /// Whether offsets are wanted, and in what.
    pub offsets: Option<OffsetUnit>,
}

impl Default for EncodeOptions {
    /// All tokens with special ones, without offsets.
    fn default() -> Self {
        EncodeOptions { special_tokens: true, max_tokens: None, overflow: None, offsets: None }
    }
}

/// The tokens of many texts, one row behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenBatch {
    /// The ids of all rows.
    pub ids: Vec<u32>,
    /// For each token which text of its pair it is of, as the model counts; empty for single texts
    /// where all are 0.
    pub type_ids: Vec<u32>,
    /// For each token where it begins and ends in its text, 0 and 0 for special ones; empty if not
    /// asked for.
    pub offsets: Vec<[u32; 2]>,
    /// Where each row ends.
    pub row_ends: Vec<usize>,
    /// The text, or pair, that each row is of.
    pub texts: Vec<u32>,
}

impl TokenBatch {
    /// The tokens of a row.
    pub fn row(&self, row: usize) -> Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.row_ends[before]);
        start..self.row_ends[row]
    }

    /// The rows of all batches. Each row's text is numbered as in its own batch.
    fn concatenate(batches: Vec<TokenBatch>) -> TokenBatch {
        let mut batches = batches.into_iter();
        let Some(mut whole) = batches.next() else {
            return TokenBatch::default();
        };
        let rest = batches.as_slice();
        whole.ids.reserve_exact(rest.iter().map(|batch| batch.ids.len()).sum());
        whole.type_ids.reserve_exact(rest.iter().map(|batch| batch.type_ids.len()).sum());
        whole.offsets.reserve_exact(rest.iter().map(|batch| batch.offsets.len()).sum());
        for batch in batches {
            let before = whole.ids.len();
            whole.ids.extend(batch.ids);
            whole.type_ids.extend(batch.type_ids);
            whole.offsets.extend(batch.offsets);
            whole.row_ends.extend(batch.row_ends.iter().map(|end| before + end));
            whole.texts.extend(batch.texts);
        }
        whole
    }
}

impl Tokenizer {
    /// Encodes texts on the threads of the ambient rayon pool.
    ///
    /// # Errors
    /// The tokenizer refuses a text; [`Error::Limit`] for limits that leave no room.
    pub fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<TokenBatch> {
        let work = Work::new(self, false, options)?;
        work.run(texts, |text| text.len(), |rows, index, text| rows.add(index, text))
    }

    /// Encodes pairs of texts; of what is too long, the longer text is cut first.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; the tokenizer does not take pairs; `overflow` is asked for.
    pub fn encode_pairs(
        &self,
        pairs: &[(&str, &str)],
        options: &EncodeOptions,
    ) -> Result<TokenBatch> {
        if options.overflow.is_some() {
            return Err(Error::Limit("what overflows of a pair cannot be kept".to_owned()));
        }
        let work = Work::new(self, true, options)?;
        let bytes = |(first, second): &(&str, &str)| first.len() + second.len();
        work.run(pairs, bytes, |rows, index, pair| rows.add_pair(index, *pair))
    }
}

/// What all texts of a call have in common.
pub(super) struct Work<'a> {
    tokenizer: &'a Tokenizer,
    template: &'a Template,
    /// Most tokens of a row, special ones not counted.
    content_tokens: usize,
    overflow: Option<usize>,
    offsets: Option<OffsetUnit>,
    type_ids: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        tokenizer: &'a Tokenizer,
        pair: bool,
        options: &EncodeOptions,
    ) -> Result<Work<'a>> {
        let template = tokenizer.templates(pair)?.get(options.special_tokens);
        let special = template.special_tokens;
        let content_tokens = match options.max_tokens {
            None => usize::MAX,
            Some(max) if max > special => max - special,
            Some(max) => {
                return Err(Error::Limit(format!(
                    "{special} special tokens leave no room for a text in {max} tokens"
                )));
            }
        };
        if options.overflow.is_some_and(|stride| stride >= content_tokens) {
            return Err(Error::Limit(format!(
                "rows of {content_tokens} tokens cannot repeat as many or more of the last row"
            )));
        }
        Ok(Work {
            tokenizer,
            template,
            content_tokens,
            overflow: options.overflow,
            offsets: options.offsets,
            type_ids: pair || template.has_type_ids(),
        })
    }

    /// The rows of one text, on this thread.
    pub(super) fn one(&self, text: &str) -> std::result::Result<TokenBatch, String> {
        self.tokenizer.with_scratch(|scratch| {
            let mut rows = Rows::new(self, scratch);
            rows.add(0, text)?;
            Ok(rows.batch)
        })
    }

    /// Calls `add` for every item, on all threads, and puts the rows together in order.
    fn run<Item: Sync>(
        &self,
        items: &[Item],
        bytes: impl Fn(&Item) -> usize,
        add: impl Fn(&mut Rows<'_>, usize, &Item) -> std::result::Result<(), String> + Sync,
    ) -> Result<TokenBatch> {
        let rows_of = |run: Range<usize>| {
            self.tokenizer.with_scratch(|scratch| {
                let mut rows = Rows::new(self, scratch);
                for index in run {
                    add(&mut rows, index, &items[index])
                        .map_err(|reason| Error::Tokenize { index, reason })?;
                }
                Ok(rows.batch)
            })
        };
        Ok(TokenBatch::concatenate(in_runs(items, bytes, rows_of)?))
    }
}

/// The results of `work` on runs of about [`RUN_BYTES`] of the items, in order, from all threads.
pub(super) fn in_runs<Item, T: Send>(
    items: &[Item],
    bytes: impl Fn(&Item) -> usize,
    work: impl Fn(Range<usize>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut runs = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, item) in items.iter().enumerate() {
        size += bytes(item);
        if size >= RUN_BYTES {
            runs.push(start..index + 1);
            (start, size) = (index + 1, 0);
        }
    }
    runs.push(start..items.len());
    match &runs[..] {
        [only] => Ok(vec![work(only.clone())?]),
        _ => runs.into_par_iter().map(&work).collect(),
    }
}

/// The rows that one thread makes.
struct Rows<'a> {
    work: &'a Work<'a>,
    scratch: &'a mut Scratch,
    batch: TokenBatch,
    /// The tokens of the item at hand.
    tokens: Tokens,
}

impl<'a> Rows<'a> {
    fn new(work: &'a Work<'a>, scratch: &'a mut Scratch) -> Rows<'a> {
        Rows { work, scratch, batch: TokenBatch::default(), tokens: Tokens::default() }
    }

    fn add(&mut self, index: usize, text: &str) -> std::result::Result<(), String> {
        self.tokens.ids.clear();
        self.tokens.offsets.clear();
        let limit =
            if self.work.overflow.is_some() { usize::MAX } else { self.work.content_tokens };
        let length = self.tokenize(text, limit)?;
        let Work { content_tokens, overflow, .. } = *self.work;
        let most = if overflow.is_some() { usize::MAX } else { 1 };
        for window in windows(length, content_tokens, overflow.unwrap_or(0)).take(most) {
            self.row(index, window, 0..0);
        }
        Ok(())
    }

    fn add_pair(
        &mut self,
        index: usize,
        (first, second): (&str, &str),
    ) -> std::result::Result<(), String> {
        self.tokens.ids.clear();
        self.tokens.offsets.clear();
        // Which text is cut by how much depends on which is longer, however long they are.
        let first = self.tokenize(first, usize::MAX)?;
        let second = self.tokenize(second, usize::MAX)?;
        let (kept, second_kept) = longest_first(first, second, self.work.content_tokens);
        self.row(index, 0..kept, first..first + second_kept);
        Ok(())
    }

    /// Appends the tokens of a text to the item's, all or the first `limit` and perhaps some more,
    /// and says how many.
    fn tokenize(&mut self, text: &str, limit: usize) -> std::result::Result<usize, String> {
        let Work { tokenizer, offsets, .. } = *self.work;
        let Tokens { ids, offsets: places } = &mut self.tokens;
        let before = ids.len();
        match offsets {
            Some(unit) => {
                tokenizer.append_tokens(text, unit, limit, self.scratch, ids, places)?;
            }
            None => tokenizer.append_ids(text, limit, self.scratch, ids)?,
        }
        Ok(ids.len() - before)
    }

    /// Adds a row of these tokens of the item's first text and of its second.
    fn row(&mut self, index: usize, first: Range<usize>, second: Range<usize>) {
        let TokenBatch { ids, type_ids, offsets, row_ends, texts } = &mut self.batch;
        for part in &self.work.template.parts {
            match *part {
                Part::Special { token, .. } => {
                    ids.push(token);
                    if self.work.offsets.is_some() {
                        offsets.push([0, 0]);
                    }
                }
                Part::Text { second: of_second, .. } => {
                    let range = if of_second { second.clone() } else { first.clone() };
                    ids.extend_from_slice(&self.tokens.ids[range.clone()]);
                    if self.work.offsets.is_some() {
                        let places = &self.tokens.offsets[range];
                        offsets.extend(places.iter().map(|&(start, end)| [start, end]));
                    }
                }
            }
            if self.work.type_ids {
                type_ids.resize(ids.len(), part.type_id());
            }
        }
        row_ends.push(ids.len());
        texts.push(index as u32);
    }
}
