//! Writing an index file, front to back.

use std::path::{Path, PathBuf};

use super::Body;
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::files::{sync_directory, unfinished_path};
use crate::format::{CHECKED_PAGE_BYTES, INDEX_FILE_HEADER_BYTES};

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
        Self(vec![0; INDEX_FILE_HEADER_BYTES])
    }
}

impl Target for MemoryTarget {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(mut self, header: &[u8]) -> Result<Vec<u8>> {
        self.0[..INDEX_FILE_HEADER_BYTES].copy_from_slice(header);
        Ok(self.0)
    }
}

/// Bytes collected before they are written.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;

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
            written: INDEX_FILE_HEADER_BYTES as u64,
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

/// Writes the body of an index and a checksum for each of its pages.
pub(crate) struct BodyWriter<T> {
    target: T,
    position: u64,
    page: crc32fast::Hasher,
    /// A checksum for each page that is full.
    table: Vec<u8>,
}

impl<T: Target> BodyWriter<T> {
    pub(crate) fn new(target: T) -> Self {
        Self { target, position: 0, page: crc32fast::Hasher::new(), table: Vec::new() }
    }

    /// Bytes of the body so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Appends to the body.
    pub(crate) fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
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

    /// Writes the checksums and the header; returns the bytes, where they are in memory.
    pub(crate) fn finish(mut self, header: impl FnOnce(Body) -> Vec<u8>) -> Result<Vec<u8>> {
        if !self.position.is_multiple_of(CHECKED_PAGE_BYTES as u64) {
            self.end_page();
        }
        self.target.put(&self.table)?;
        let table_checksum = crc32fast::hash(&self.table);
        self.target.finish(&header(Body { bytes: self.position, table_checksum }))
    }

    fn end_page(&mut self) {
        let page = std::mem::take(&mut self.page);
        self.table.extend_from_slice(&page.finalize().to_le_bytes());
    }
}
