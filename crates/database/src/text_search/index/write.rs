//! Writing an index, front to back.

use super::header::{Contents, Header, Identity, IndexKey};
use super::postings::{Posting, PostingsEncoder};
use super::terms::{ends_group, put_blocks, put_inline, put_term};
use crate::error::Result;
use crate::format::NO_TEXT;
use crate::index_file::write::{BUFFER_BYTES, BodyWriter, Target};

/// Writes an index from terms in the order of their bytes.
pub(crate) struct IndexWriter<T> {
    body: BodyWriter<T>,
    identity: Identity,
    key: IndexKey,
    /// Words of each row, or [`NO_TEXT`].
    lengths: Vec<u32>,
    terms: u64,
    term: Vec<u8>,
    /// The blocks of the term that are not written yet.
    blocks: Vec<u8>,
    /// Where the blocks of the term begin.
    blocks_start: u64,
    encoder: PostingsEncoder,
    /// The records of the group's terms.
    group: Vec<u8>,
    groups: Vec<u64>,
}

impl<T: Target> IndexWriter<T> {
    /// For these rows, of so many words each.
    pub(crate) fn new(target: T, identity: Identity, key: IndexKey, lengths: Vec<u32>) -> Self {
        Self {
            body: BodyWriter::new(target),
            identity,
            key,
            lengths,
            terms: 0,
            term: Vec::new(),
            blocks: Vec::new(),
            blocks_start: 0,
            encoder: PostingsEncoder::default(),
            group: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Takes the next posting of the term that [`IndexWriter::end_term`] will name.
    pub(crate) fn posting(&mut self, posting: Posting) -> Result<()> {
        let length = self.lengths[posting.0 as usize];
        self.encoder.push(posting, length, &mut self.blocks);
        match self.blocks.len() >= BUFFER_BYTES {
            true => self.put_blocks(),
            false => Ok(()),
        }
    }

    /// Ends a term; one without postings does not exist.
    pub(crate) fn end_term(&mut self, term: &[u8]) -> Result<()> {
        let postings = self.encoder.postings;
        if postings == 0 {
            return Ok(());
        }
        let before = if self.group.is_empty() { &[] } else { &self.term[..] };
        put_term(&mut self.group, before, term);
        self.term.clear();
        self.term.extend_from_slice(term);
        if let Some(inline) = self.encoder.inline() {
            put_inline(&mut self.group, postings, inline);
        } else {
            let entries = self.encoder.finish(&mut self.blocks).to_vec();
            self.put_blocks()?;
            let bytes = self.body.position() - self.blocks_start;
            put_blocks(&mut self.group, postings, self.blocks_start, bytes);
            self.body.put(&entries)?;
        }
        self.encoder.clear();
        self.blocks_start = self.body.position();
        self.terms += 1;
        if ends_group(self.terms) { self.end_group() } else { Ok(()) }
    }

    /// Writes what is left; returns the bytes, where they are in memory.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        if !self.group.is_empty() {
            self.end_group()?;
        }
        let lengths = std::mem::take(&mut self.lengths);
        let with_text = lengths.iter().filter(|length| **length != NO_TEXT);
        let (texts, words) = with_text
            .fold((0, 0), |(texts, words), length| (texts + 1, words + u64::from(*length)));
        let mut contents = Contents {
            terms: self.terms,
            texts,
            words,
            lengths: self.body.position(),
            ..Contents::default()
        };
        self.put_numbers(lengths.iter().map(|length| length.to_le_bytes()))?;
        contents.groups = self.body.position();
        let groups = std::mem::take(&mut self.groups);
        self.put_numbers(groups.iter().map(|offset| offset.to_le_bytes()))?;
        let Self { body, identity, key, .. } = self;
        body.finish(|body| {
            Header { identity, key, contents: Contents { body, ..contents } }.encode()
        })
    }

    fn put_numbers<const N: usize>(
        &mut self,
        mut numbers: impl Iterator<Item = [u8; N]>,
    ) -> Result<()> {
        numbers.try_for_each(|number| self.body.put(&number))
    }

    fn put_blocks(&mut self) -> Result<()> {
        let blocks = std::mem::take(&mut self.blocks);
        self.body.put(&blocks)?;
        self.blocks = blocks;
        self.blocks.clear();
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        self.groups.push(self.body.position());
        let group = std::mem::take(&mut self.group);
        self.body.put(&(group.len() as u32).to_le_bytes())?;
        self.body.put(&group)?;
        self.group = group;
        self.group.clear();
        self.blocks_start = self.body.position();
        Ok(())
    }
}
