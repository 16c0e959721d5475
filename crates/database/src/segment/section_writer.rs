//! Writes the sections of a segment one after the other, and their blocks' checksums.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::blocks::{Checksum, encode_checksums};
use super::header::{Header, Section};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::files::{sync_directory, unfinished_path};
use crate::format::{SECTION_CHECKSUMS, SEGMENT_BLOCK_BYTES};
use crate::schema::Schema;

const BLOCK: u64 = SEGMENT_BLOCK_BYTES as u64;

/// Bytes collected before they are written: a multiple of the block.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes after which the file is flushed, so that the flush of a log by another thread never
/// queues behind gigabytes.
const FLUSH_BYTES: u64 = 32 << 20;

/// A segment in the making, under an unfinished name until [`SectionWriter::publish`]. Holds a
/// buffer and four bytes for each block written.
pub(super) struct SectionWriter {
    path: PathBuf,
    unfinished: PathBuf,
    disk: Disk,
    file: DiskFile,
    salt: u64,
    checksum: Checksum,
    /// What comes behind the bytes that are written.
    buffer: Vec<u8>,
    /// Where the buffer's first byte goes: a multiple of the block.
    written: u64,
    flushed: u64,
    /// A checksum a block, from the second block of the file on.
    checksums: Vec<u32>,
    sections: Vec<Section>,
}

impl SectionWriter {
    pub(super) fn create(disk: &Disk, path: &Path) -> Result<Self> {
        let unfinished = unfinished_path(path);
        let file = disk.create(&unfinished).map_err(Error::io(&unfinished, "create"))?;
        // The standard library seeds each `RandomState` differently.
        let salt = RandomState::new().hash_one(path);
        Ok(Self {
            path: path.to_owned(),
            unfinished,
            disk: disk.clone(),
            file,
            salt,
            checksum: Checksum::new(salt),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            written: BLOCK,
            flushed: 0,
            checksums: Vec::new(),
            sections: Vec::new(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn salt(&self) -> u64 {
        self.salt
    }

    pub(super) fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Writes a section: all that `content` puts into the writer.
    pub(super) fn section(
        &mut self,
        kind: u32,
        content: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.pad()?;
        let start = self.position();
        content(self)?;
        self.sections.push(Section { kind, range: start..self.position() });
        Ok(())
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = BUFFER_BYTES - self.buffer.len();
            let (fitting, rest) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(fitting);
            bytes = rest;
            if self.buffer.len() == BUFFER_BYTES {
                self.write_buffer()?;
            }
        }
        Ok(())
    }

    /// Writes the checksums and the header, and gives the segment its name once all is flushed.
    ///
    /// # Errors
    /// `Io`. Only where the folder cannot be flushed has the file got its name all the same.
    pub(super) fn publish(mut self, number: u64, rows: u32, schema: &Schema) -> Result<()> {
        self.pad()?;
        self.write_buffer()?;
        let start = self.written;
        let checksums = encode_checksums(&self.checksums, start, self.checksum);
        self.write_at(&checksums, start)?;
        let range = start..start + checksums.len() as u64;
        self.sections.push(Section { kind: SECTION_CHECKSUMS, range });
        let header = Header {
            number,
            salt: self.salt,
            rows,
            dimension: schema.dimension,
            metric: schema.metric,
            element: schema.element,
            sections: std::mem::take(&mut self.sections),
        };
        self.write_at(&header.encode(), 0)?;
        self.file.sync_all().map_err(Error::io(&self.unfinished, "flush"))?;
        self.disk
            .rename(&self.unfinished, &self.path)
            .map_err(Error::io(&self.path, "rename a file to"))?;
        self.path.parent().map_or(Ok(()), |folder| sync_directory(&self.disk, folder))
    }

    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn pad(&mut self) -> Result<()> {
        let padding = self.position().next_multiple_of(BLOCK) - self.position();
        self.put(&[0; SEGMENT_BLOCK_BYTES][..padding as usize])
    }

    /// The buffer holds whole blocks.
    fn write_buffer(&mut self) -> Result<()> {
        let blocks = self.buffer.chunks(SEGMENT_BLOCK_BYTES);
        self.checksums.extend(blocks.map(|block| self.checksum.of(&[block])));
        self.write_at(&self.buffer, self.written)?;
        // In one go at the end, it would hold up whoever flushes a log.
        self.file.begin_sync(self.written, self.buffer.len());
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.flushed >= FLUSH_BYTES {
            self.file.sync_data().map_err(Error::io(&self.unfinished, "flush"))?;
            self.flushed = self.written;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(Error::io(&self.unfinished, "write to"))
    }
}

/// For sections that other modules write. The error of a failed write holds ours.
impl Write for SectionWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
