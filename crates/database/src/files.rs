//! The few file operations whose order and durability matter.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::unix::fs::FileExt;
#[cfg(windows)]
use std::os::windows::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::UNFINISHED_SUFFIX;

/// Makes creations, renames and removals inside `folder` survive a power failure.
pub(crate) fn sync_directory(disk: &Disk, folder: &Path) -> Result<()> {
    disk.sync_folder(folder).map_err(Error::io(folder, "flush the folder"))
}

/// What a file is called until it is complete.
pub(crate) fn unfinished_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED_SUFFIX);
    name.into()
}

/// Creates or replaces a small file: after a crash it has the old content or the new one.
pub(crate) fn write_atomically(disk: &Disk, path: &Path, content: &[u8]) -> Result<()> {
    put_in_place(disk, path, content)?;
    match path.parent() {
        Some(folder) => sync_directory(disk, folder),
        None => Ok(()),
    }
}

/// As [`write_atomically`], but for flushing the folder, which is the caller's to do.
pub(crate) fn put_in_place(disk: &Disk, path: &Path, content: &[u8]) -> Result<()> {
    let unfinished = unfinished_path(path);
    let file = disk.create(&unfinished).map_err(Error::io(&unfinished, "create"))?;
    file.write_all_at(content, 0)
        .and_then(|()| file.sync_all())
        .map_err(Error::io(&unfinished, "write to"))?;
    disk.rename(&unfinished, path).map_err(Error::io(path, "rename a file to"))
}

/// Copied at a time.
const CHUNK_BYTES: u64 = 4 << 20;

/// Copies a file and flushes the copy. The folder is the caller's to flush.
pub(crate) fn copy_file(disk: &Disk, from: &Path, to: &Path) -> Result<()> {
    let source = File::open(from).map_err(Error::io(from, "open"))?;
    let bytes = source.metadata().map_err(Error::io(from, "find the size of"))?.len();
    let file = disk.create(to).map_err(Error::io(to, "create"))?;
    let mut offset = 0;
    while offset < bytes {
        let mut chunk = vec![0; CHUNK_BYTES.min(bytes - offset) as usize];
        read_exact_at(&source, &mut chunk, offset).map_err(Error::io(from, "read"))?;
        file.write_all_at(&chunk, offset).map_err(Error::io(to, "write to"))?;
        offset += chunk.len() as u64;
    }
    file.sync_all().map_err(Error::io(to, "flush"))
}

/// The names in a folder, sorted. One that is not UTF-8, as all of ours are, comes altered.
pub(crate) fn file_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "list"))? {
        let entry = entry.map_err(Error::io(folder, "list"))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Fills `buffer` from `offset` on.
///
/// # Errors
/// `UnexpectedEof` where the file ends first.
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match read_at(file, buffer, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a file front to back by offset, so that nobody else's cursor moves.
pub(crate) struct Sequential<'a> {
    pub(crate) file: &'a File,
    pub(crate) offset: u64,
}

impl io::Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}
