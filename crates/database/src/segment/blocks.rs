//! The blocks of a mapped segment, each checked against its checksum when it is first touched.
//!
//! Checking a whole segment would read all of it to open it. Instead a bit a block says whether
//! the block was found to be what was written. The checksums stand in the file's last section,
//! whose blocks hold their own.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernels::Backend;

use super::header::checksum_matches;
use crate::error::{Error, Result};
use crate::format::SEGMENT_BLOCK_BYTES;
use crate::mapping::Mapping;

const BLOCK: u64 = SEGMENT_BLOCK_BYTES as u64;

/// Checksums in one block of the checksum section; the block's own stands behind them.
const CHECKSUMS_A_BLOCK: u64 = BLOCK / 4 - 1;

/// How many blocks the checksum section has that starts at this block. The header, which is block
/// 0, has its own checksum.
pub(super) fn checksum_blocks(first: u64) -> u64 {
    first.saturating_sub(1).div_ceil(CHECKSUMS_A_BLOCK)
}

/// The checksums of one file: each begins with the file's salt.
#[derive(Clone, Copy)]
pub(super) struct Checksum {
    salted: u32,
}

impl Checksum {
    pub(super) fn new(salt: u64) -> Self {
        Self { salted: crc32fast::hash(&salt.to_le_bytes()) }
    }

    pub(super) fn of(self, parts: &[&[u8]]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.salted);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

/// The checksum section for these blocks' checksums, to be written at `offset`.
pub(super) fn encode_checksums(checksums: &[u32], offset: u64, checksum: Checksum) -> Vec<u8> {
    let mut section = Vec::new();
    for checksums in checksums.chunks(CHECKSUMS_A_BLOCK as usize) {
        let block_offset = offset + section.len() as u64;
        let mut block: Vec<u8> = checksums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        block.resize(SEGMENT_BLOCK_BYTES - 4, 0);
        let own = checksum.of(&[&block_offset.to_le_bytes(), &block]);
        section.extend_from_slice(&block);
        section.extend_from_slice(&own.to_le_bytes());
    }
    section
}

/// A mapped file.
pub(super) struct Blocks {
    path: PathBuf,
    mapping: Arc<Mapping>,
    checksum: Checksum,
    /// The first block of the checksum section, which is the file's last.
    first_checksum_block: u64,
    /// A bit a block: it was checked. Nothing is published by a bit but itself, since the bytes
    /// never change: so no order is needed.
    checked: Box<[AtomicU64]>,
}

impl Blocks {
    /// The caller has read the header: `checksums` is the last section of the file.
    pub(super) fn new(
        path: &Path,
        mapping: Arc<Mapping>,
        salt: u64,
        checksums: Range<u64>,
    ) -> Self {
        let words = (checksums.end / BLOCK).div_ceil(64);
        Self {
            path: path.to_owned(),
            mapping,
            checksum: Checksum::new(salt),
            first_checksum_block: checksums.start / BLOCK,
            checked: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn checksum(&self) -> Checksum {
        self.checksum
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    pub(super) fn corrupt(&self, offset: u64, reason: impl Into<String>) -> Error {
        Error::corrupt(&self.path, offset, reason)
    }

    /// Bytes that are what was written.
    ///
    /// # Errors
    /// `Corrupt` where they are not, or where the file ends before them.
    pub(super) fn read(&self, range: Range<u64>) -> Result<&[u8]> {
        let bytes = self.read_unchecked(range.clone())?;
        if !bytes.is_empty() {
            for block in range.start / BLOCK..range.end.div_ceil(BLOCK) {
                self.check(block)?;
            }
        }
        Ok(bytes)
    }

    /// Bytes as they are, for a reader that has other means of knowing them to be right.
    ///
    /// # Errors
    /// `Corrupt` where the file ends before them.
    pub(super) fn read_unchecked(&self, range: Range<u64>) -> Result<&[u8]> {
        usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .and_then(|(start, end)| self.mapping.bytes().get(start..end))
            .ok_or_else(|| self.corrupt(range.start, "something is said to be where no file is"))
    }

    /// Hints that these bytes, if they exist, will be read soon.
    pub(super) fn expect(&self, offset: u64, length: u64) {
        if let Ok(bytes) = self.read_unchecked(offset..offset.saturating_add(length)) {
            Backend::active().prefetch(bytes);
        }
    }

    pub(super) fn read_u64(&self, offset: u64) -> Result<u64> {
        let bytes = self.read(offset..offset.saturating_add(8))?;
        Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// Reads numbers that mostly stand near one another.
    pub(super) fn reader(&self) -> BlockReader<'_> {
        BlockReader { blocks: self, start: 0, bytes: &[] }
    }

    fn check(&self, block: u64) -> Result<()> {
        // The header was checked when the file was opened.
        let Some(index) = block.checked_sub(1) else {
            return Ok(());
        };
        let (word, bit) = (&self.checked[(block / 64) as usize], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.check_now(block, index)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    #[cold]
    fn check_now(&self, block: u64, index: u64) -> Result<()> {
        if block >= self.first_checksum_block {
            return self.check_checksums(block);
        }
        let checksum_block = self.first_checksum_block + index / CHECKSUMS_A_BLOCK;
        self.check(checksum_block)?;
        self.compare(block, checksum_block, index)
    }

    fn check_checksums(&self, block: u64) -> Result<()> {
        let offset = block * BLOCK;
        let bytes = self.read_unchecked(offset..offset + BLOCK)?;
        let (content, own) = bytes.split_at(bytes.len() - 4);
        if self.checksum.of(&[&offset.to_le_bytes(), content]).to_le_bytes() != own {
            return Err(self.corrupt(offset, "a block of checksums changed on the medium"));
        }
        Ok(())
    }

    /// Compares a block with its checksum in a checksum block that is known to be right.
    fn compare(&self, block: u64, checksum_block: u64, index: u64) -> Result<()> {
        let offset = block * BLOCK;
        let place = checksum_block * BLOCK + index % CHECKSUMS_A_BLOCK * 4;
        let bytes = self.read_unchecked(offset..offset + BLOCK)?;
        let expected = self.read_unchecked(place..place + 4)?;
        if self.checksum.of(&[bytes]).to_le_bytes() != expected {
            return Err(self.corrupt(offset, "a block changed on the medium"));
        }
        Ok(())
    }

    /// Compares every block with its checksum, and remembers which are what was written, also those
    /// whose checksum stands in a block that is not. Returns the runs of the others, in bytes; the
    /// header may be one.
    pub(super) fn damaged_runs(&self) -> Vec<Range<u64>> {
        let mut damaged: Vec<Range<u64>> = Vec::new();
        let is_whole = self.mapping.bytes().first_chunk().is_some_and(checksum_matches);
        if !is_whole {
            damaged.push(0..BLOCK);
        }
        let blocks = self.mapping.bytes().len() as u64 / BLOCK;
        for block in 1..blocks {
            let index = block - 1;
            let checksum_block = self.first_checksum_block + index / CHECKSUMS_A_BLOCK;
            let compared = match block < self.first_checksum_block {
                true => self.compare(block, checksum_block, index),
                false => self.check_checksums(block),
            };
            let (word, bit) = (&self.checked[(block / 64) as usize], 1 << (block % 64));
            if compared.is_ok() {
                word.fetch_or(bit, Ordering::Relaxed);
                continue;
            }
            word.fetch_and(!bit, Ordering::Relaxed);
            match damaged.last_mut() {
                Some(run) if run.end == block * BLOCK => run.end += BLOCK,
                _ => damaged.push(block * BLOCK..(block + 1) * BLOCK),
            }
        }
        damaged
    }

    /// Compares every block with its checksum, whether it was checked before or not, and tells the
    /// offset of each run of damaged blocks and what is wrong there. The pages that it read do not
    /// stay in memory.
    pub(super) fn verify(&self, report: &mut dyn FnMut(u64, String)) {
        if !self.mapping.bytes().first_chunk().is_some_and(checksum_matches) {
            report(0, "the header changed on the medium".to_owned());
        }
        for number in 0..checksum_blocks(self.first_checksum_block) {
            let checksum_block = self.first_checksum_block + number;
            let first = 1 + number * CHECKSUMS_A_BLOCK;
            let blocks = first..(first + CHECKSUMS_A_BLOCK).min(self.first_checksum_block);
            if let Err(error) = self.check_checksums(checksum_block) {
                report(checksum_block * BLOCK, reason(error));
                continue;
            }
            let bytes = (blocks.start * BLOCK) as usize..(blocks.end * BLOCK) as usize;
            self.mapping.will_need(bytes.clone());
            let mut damaged: Vec<Range<u64>> = Vec::new();
            for block in blocks {
                if self.compare(block, checksum_block, block - 1).is_ok() {
                    continue;
                }
                match damaged.last_mut() {
                    Some(run) if run.end == block => run.end += 1,
                    _ => damaged.push(block..block + 1),
                }
            }
            for run in damaged {
                let bytes = (run.end - run.start) * BLOCK;
                report(run.start * BLOCK, format!("{bytes} bytes changed on the medium"));
            }
            self.mapping.dont_need(bytes);
        }
    }
}

/// Keeps the block that it read last.
pub(super) struct BlockReader<'a> {
    blocks: &'a Blocks,
    start: u64,
    bytes: &'a [u8],
}

impl BlockReader<'_> {
    /// A number at a multiple of 8.
    ///
    /// # Errors
    /// As [`Blocks::read`].
    pub(super) fn read_u64(&mut self, offset: u64) -> Result<u64> {
        let within = |start: u64| offset.wrapping_sub(start) as usize;
        if within(self.start) >= self.bytes.len() {
            self.start = offset - offset % BLOCK;
            self.bytes = self.blocks.read(self.start..self.start + BLOCK)?;
        }
        let number = self.bytes.get(within(self.start)..).and_then(|bytes| bytes.first_chunk());
        number.map(|bytes| u64::from_le_bytes(*bytes)).ok_or_else(|| {
            self.blocks.corrupt(offset, "a number is said to stand across two blocks")
        })
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::Corrupt { reason, .. } => reason,
        other => other.to_string(),
    }
}
