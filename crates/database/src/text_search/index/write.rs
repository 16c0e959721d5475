//! Writing an index, front to back.

use std::path::{Path, PathBuf};

use super::header::{Contents, Header, Identity, IndexKey};
use super::postings::{Posting, PostingsEncoder};
use super::terms::{ends_group, put_blocks, put_inline, put_term};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::files::{sync_directory, unfinished_path};
use crate::format::{CHECKED_PAGE_BYTES, NO_TEXT, TEXT_INDEX_HEADER_BYTES};

/// Where the bytes of an index go. The header, which is known last, is written last.
pub(crate) trait Target {
    /// Takes the next bytes behind the header.
    fn put(&mut self, bytes: &[u8]) -> Result<()>;

    /// Takes the header.
    fn finish(self, header: &[u8]) -> Result<Vec<u8>>;
}

/// An index in memory.
pub(crate) struct MemoryTarget(Vec<u8>);

impl MemoryTarget {
    pub(crate) fn new() -> Self {
        Self(vec![0; TEXT_INDEX_HEADER_BYTES])
    }
}

impl Target for MemoryTarget {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(mut self, header: &[u8]) -> Result<Vec<u8>> {
        self.0[..TEXT_INDEX_HEADER_BYTES].copy_from_slice(header);
        Ok(self.0)
    }
}

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes after which the file is flushed, so that the flush of a log by another thread never
/// queues behind gigabytes.
const FLUSH_BYTES: u64 = 32 << 20;

/// A file, under an unfinished name until it is complete and on the medium.
pub(crate) struct FileTarget {
    disk: Disk,
    path: PathBuf,
    file: DiskFile,
    buffer: Vec<u8>,
    /// Where the buffer's first byte goes.
    written: u64,
    flushed: u64,
}

impl FileTarget {
    pub(crate) fn create(disk: &Disk, path: &Path) -> Result<Self> {
        let unfinished = unfinished_path(path);
        let file = disk.create(&unfinished).map_err(Error::io(&unfinished, "create"))?;
        Ok(Self {
            disk: disk.clone(),
            path: path.to_owned(),
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            written: TEXT_INDEX_HEADER_BYTES as u64,
            flushed: 0,
        })
    }

    fn write_buffer(&mut self) -> Result<()> {
        self.write_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.flushed >= FLUSH_BYTES {
            self.file.sync_data().map_err(Error::io(&self.path, "flush"))?;
            self.flushed = self.written;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(Error::io(&self.path, "write to"))
    }
}

impl Target for FileTarget {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer()?;
        }
        Ok(())
    }

    fn finish(mut self, header: &[u8]) -> Result<Vec<u8>> {
        self.write_buffer()?;
        self.write_at(header, 0)?;
        self.file.sync_all().map_err(Error::io(&self.path, "flush"))?;
        self.disk
            .rename(&unfinished_path(&self.path), &self.path)
            .map_err(Error::io(&self.path, "rename a file to"))?;
        self.path.parent().map_or(Ok(()), |folder| sync_directory(&self.disk, folder))?;
        Ok(Vec::new())
    }
}

/// Writes an index from terms in the order of their bytes.
pub(crate) struct IndexWriter<T> {
    target: T,
    identity: Identity,
    key: IndexKey,
    /// Words of each row, or [`NO_TEXT`].
    lengths: Vec<u32>,
    position: u64,
    page: crc32fast::Hasher,
    /// A checksum for each page that is full.
    table: Vec<u8>,
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
            target,
            identity,
            key,
            lengths,
            position: 0,
            page: crc32fast::Hasher::new(),
            table: Vec::new(),
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
            let bytes = self.position - self.blocks_start;
            put_blocks(&mut self.group, postings, self.blocks_start, bytes);
            self.put(&entries)?;
        }
        self.encoder.clear();
        self.blocks_start = self.position;
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
            lengths: self.position,
            ..Contents::default()
        };
        self.put_numbers(lengths.iter().map(|length| length.to_le_bytes()))?;
        contents.groups = self.position;
        let groups = std::mem::take(&mut self.groups);
        self.put_numbers(groups.iter().map(|offset| offset.to_le_bytes()))?;
        contents.body_bytes = self.position;
        if !self.position.is_multiple_of(CHECKED_PAGE_BYTES as u64) {
            self.end_page();
        }
        contents.table_checksum = crc32fast::hash(&self.table);
        self.target.put(&self.table)?;
        let header = Header { identity: self.identity, key: self.key, contents };
        self.target.finish(&header.encode())
    }

    fn put_numbers<const N: usize>(
        &mut self,
        mut numbers: impl Iterator<Item = [u8; N]>,
    ) -> Result<()> {
        numbers.try_for_each(|number| self.put(&number))
    }

    fn put_blocks(&mut self) -> Result<()> {
        let blocks = std::mem::take(&mut self.blocks);
        self.put(&blocks)?;
        self.blocks = blocks;
        self.blocks.clear();
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        self.groups.push(self.position);
        let group = std::mem::take(&mut self.group);
        self.put(&(group.len() as u32).to_le_bytes())?;
        self.put(&group)?;
        self.group = group;
        self.group.clear();
        self.blocks_start = self.position;
        Ok(())
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.target.put(bytes)?;
        while !bytes.is_empty() {
            let room = CHECKED_PAGE_BYTES - (self.position % CHECKED_PAGE_BYTES as u64) as usize;
            let (fitting, rest) = bytes.split_at(bytes.len().min(room));
            self.page.update(fitting);
            self.position += fitting.len() as u64;
            if fitting.len() == room {
                self.end_page();
            }
            bytes = rest;
        }
        Ok(())
    }

    fn end_page(&mut self) {
        let page = std::mem::take(&mut self.page);
        self.table.extend_from_slice(&page.finalize().to_le_bytes());
    }
}
