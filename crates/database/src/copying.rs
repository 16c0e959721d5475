//! Making a folder of database files that appears as a whole or not at all.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{file_names, sync_directory, unfinished_path};
use crate::format::COLLECTIONS_FOLDER;
use crate::upkeep::Progress;
use crate::verify::{CollectionReport, Problem, verify_each};

/// Copied at a time.
const CHUNK_BYTES: usize = 4 << 20;

/// A folder that gets its name once it is complete and on the medium. Dropped before that, it is
/// removed with all that is in it.
pub(crate) struct UnfinishedFolder {
    disk: Disk,
    path: PathBuf,
    target: PathBuf,
    is_complete: bool,
}

impl UnfinishedFolder {
    /// # Errors
    /// `InvalidArgument` where there is something at `target` but an empty folder, or somebody is
    /// at work on the same target, or was and was killed.
    pub(crate) fn create(disk: &Disk, target: &Path) -> Result<Self> {
        let target = std::path::absolute(target).map_err(Error::io(target, "find"))?;
        let is_taken = match fs::symlink_metadata(&target) {
            Ok(metadata) => !metadata.is_dir() || !file_names(&target)?.is_empty(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(Error::io(&target, "look at")(error)),
        };
        if is_taken {
            return Err(Error::InvalidArgument(format!(
                "{} exists; name a folder that does not exist, or is empty",
                target.display()
            )));
        }
        let path = unfinished_path(&target);
        match disk.create_folder(&path) {
            Ok(()) => Ok(Self { disk: disk.clone(), path, target, is_complete: false }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::InvalidArgument(format!(
                    "{} is there: another process is copying to the same place, or was killed \
                     while it did; in that case remove it",
                    path.display()
                )))
            }
            Err(error) => Err(Error::io(&path, "create")(error)),
        }
    }

    /// What changes in it go through.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Where it is until it is complete.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the folder of a collection is in it, which is created.
    pub(crate) fn create_collection(&self, name: &str) -> Result<PathBuf> {
        let collections = self.path.join(COLLECTIONS_FOLDER);
        let folder = collections.join(name);
        for folder in [&collections, &folder] {
            match self.disk.create_folder(folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                created => created.map_err(Error::io(folder, "create"))?,
            }
        }
        Ok(folder)
    }

    /// Gives it its name, once every file in it was flushed.
    pub(crate) fn complete(mut self) -> Result<()> {
        let collections = self.path.join(COLLECTIONS_FOLDER);
        if collections.exists() {
            for name in file_names(&collections)? {
                sync_directory(&self.disk, &collections.join(name))?;
            }
            sync_directory(&self.disk, &collections)?;
        }
        sync_directory(&self.disk, &self.path)?;
        let named = self.disk.rename(&self.path, &self.target);
        named.map_err(Error::io(&self.target, "rename to"))?;
        self.is_complete = true;
        self.target.parent().map_or(Ok(()), |parent| sync_directory(&self.disk, parent))
    }
}

impl Drop for UnfinishedFolder {
    fn drop(&mut self) {
        if !self.is_complete {
            // Where this fails, its name says what it is, and the next attempt names it.
            let _ = self.disk.remove_folder(&self.path);
        }
    }
}

/// How far a copy is: bytes copied and bytes checked afterwards.
pub(crate) struct Copying<'a> {
    doing: String,
    done: u64,
    total: u64,
    progress: Progress<'a>,
}

impl<'a> Copying<'a> {
    /// `doing` is what was interrupted, if it is; `bytes` are copied and then checked.
    pub(crate) fn new(doing: String, bytes: u64, progress: Progress<'a>) -> Self {
        Self { doing, done: 0, total: bytes * 2, progress }
    }

    /// # Errors
    /// `Interrupted` where somebody wants it to stop.
    pub(crate) fn advance(&mut self, bytes: u64) -> Result<()> {
        self.done = (self.done + bytes).min(self.total);
        match (self.progress)(self.done, self.total).is_break() {
            true => Err(Error::Interrupted { doing: self.doing.clone() }),
            false => Ok(()),
        }
    }

    /// Writes a new file of so many bytes, which `read` fills in from an offset on, and flushes it.
    pub(crate) fn write(
        &mut self,
        disk: &Disk,
        to: &Path,
        bytes: u64,
        read: impl Fn(u64, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let file = disk.create(to).map_err(Error::io(to, "create"))?;
        let mut chunk = vec![0; CHUNK_BYTES.min(bytes as usize)];
        let mut offset = 0;
        while offset < bytes {
            let length = (chunk.len() as u64).min(bytes - offset) as usize;
            read(offset, &mut chunk[..length])?;
            file.write_all_at(&chunk[..length], offset).map_err(Error::io(to, "write to"))?;
            offset += length as u64;
            self.advance(length as u64)?;
        }
        file.sync_all().map_err(Error::io(to, "flush"))
    }

    /// Checks every byte of what was copied to `folder` from the collections at `source`.
    ///
    /// # Errors
    /// `Corrupt`, which names the file that it was copied from.
    pub(crate) fn check(
        &mut self,
        folder: &Path,
        source: &Path,
        is_as_expected: impl Fn(&CollectionReport) -> bool,
    ) -> Result<()> {
        let corrupt = |problem: Problem| {
            let copied = problem.file.strip_prefix(folder).unwrap_or(&problem.file);
            Error::corrupt(&source.join(copied), problem.offset, problem.what)
        };
        let outside = verify_each(folder, |report| {
            let as_expected = is_as_expected(&report);
            if let Some(problem) = report.problems.into_iter().next() {
                return Err(corrupt(problem));
            }
            if !as_expected {
                let file = folder.join(COLLECTIONS_FOLDER).join(report.name);
                let what = "the copy has other records".to_owned();
                return Err(corrupt(Problem { file, offset: 0, what }));
            }
            self.advance(report.bytes)
        })?;
        if let Some(problem) = outside.into_iter().next() {
            return Err(corrupt(problem));
        }
        self.advance(self.total - self.done)
    }
}
