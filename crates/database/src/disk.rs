//! Every change to the files of a database goes through a [`Disk`], in one of eleven kinds.
//!
//! In production that is the operating system's file interface and one comparison a change. Tests
//! put an [`Interceptor`] in between, which sees each change before it happens, and may keep it
//! from happening: that is how power failures, full and broken disks are tried at every change.
//! Reading does not go through here: whatever is read is compared with its checksum.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::unix::fs::FileExt;
#[cfg(windows)]
use std::os::windows::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something that is about to be done to a file or a folder. Files are named by a number that each
/// opening gives out, because an open file may get another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A file is created, or emptied where there is one.
    Create {
        /// Where.
        path: &'a Path,
        /// Its number from here on.
        file: u64,
    },
    /// A file is opened for writing; nothing changes yet.
    Open {
        /// Where.
        path: &'a Path,
        /// Its number from here on.
        file: u64,
    },
    /// Bytes are written.
    Write {
        /// The file.
        file: u64,
        /// Where in the file.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A file gets another length.
    SetLength {
        /// The file.
        file: u64,
        /// Its new length.
        length: u64,
    },
    /// What was written to a file is put onto the medium.
    SyncFile {
        /// The file.
        file: u64,
    },
    /// A folder is created.
    CreateFolder {
        /// Where.
        path: &'a Path,
    },
    /// What happened to the names in a folder is put onto the medium.
    SyncFolder {
        /// The folder.
        path: &'a Path,
    },
    /// A file or folder gets another name in the same folder, in the place of what has it.
    Rename {
        /// The old name.
        from: &'a Path,
        /// The new name.
        to: &'a Path,
    },
    /// A file gets a second name, in any folder, under which there is nothing.
    Link {
        /// A name that it has.
        from: &'a Path,
        /// Its second one.
        to: &'a Path,
    },
    /// A file is removed.
    RemoveFile {
        /// The file.
        path: &'a Path,
    },
    /// A folder is removed, with all that is in it.
    RemoveFolder {
        /// The folder.
        path: &'a Path,
    },
}

/// Stands between a database and its files.
pub trait Interceptor: Send + Sync {
    /// Is called instead of each change, from any thread; `perform` makes it.
    ///
    /// # Errors
    /// What `perform` says, or whatever else the database shall take for the system's answer.
    fn intercept(
        &self,
        change: &Change<'_>,
        perform: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()>;
}

/// Where a database writes. The default is the operating system's files.
#[derive(Clone, Default)]
pub struct Disk {
    interceptor: Option<Arc<dyn Interceptor>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.interceptor.is_some() { "intercepted" } else { "files" })
    }
}

impl Disk {
    /// The operating system's files behind an interceptor.
    pub fn intercepted(interceptor: Arc<dyn Interceptor>) -> Self {
        Self { interceptor: Some(interceptor) }
    }

    fn change(
        &self,
        change: &Change<'_>,
        mut perform: impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        match &self.interceptor {
            None => perform(),
            Some(interceptor) => interceptor.intercept(change, &mut perform),
        }
    }

    /// Creates a file to read and write, or empties the one that is there.
    pub(crate) fn create(&self, path: &Path) -> io::Result<DiskFile> {
        let open =
            || OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        self.opened(|file| Change::Create { path, file }, open)
    }

    /// Opens a file to read and write.
    pub(crate) fn open(&self, path: &Path) -> io::Result<DiskFile> {
        let open = || OpenOptions::new().read(true).write(true).open(path);
        self.opened(|file| Change::Open { path, file }, open)
    }

    /// Opens a file to read only.
    pub(crate) fn open_read_only(&self, path: &Path) -> io::Result<DiskFile> {
        Ok(DiskFile { file: File::open(path)?, number: next_number(), disk: self.clone() })
    }

    fn opened<'a>(
        &self,
        change: impl FnOnce(u64) -> Change<'a>,
        open: impl Fn() -> io::Result<File>,
    ) -> io::Result<DiskFile> {
        let number = next_number();
        let mut opened = None;
        self.change(&change(number), || {
            opened = Some(open()?);
            Ok(())
        })?;
        let file = opened.ok_or_else(|| io::Error::other("the file was not opened"))?;
        Ok(DiskFile { file, number, disk: self.clone() })
    }

    pub(crate) fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change(&Change::CreateFolder { path }, || fs::create_dir(path))
    }

    /// Makes creations, renames and removals inside the folder survive a power failure. Windows
    /// gives no way to ask for that; its journal orders the renames.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change(&Change::SyncFolder { path }, || match cfg!(unix) {
            true => File::open(path)?.sync_all(),
            false => Ok(()),
        })
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(&Change::Rename { from, to }, || fs::rename(from, to))
    }

    pub(crate) fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(&Change::Link { from, to }, || fs::hard_link(from, to))
    }

    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(&Change::RemoveFile { path }, || fs::remove_file(path))
    }

    /// Removes a folder with all that is in it.
    pub(crate) fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change(&Change::RemoveFolder { path }, || fs::remove_dir_all(path))
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An open file whose changes go through a [`Disk`].
pub(crate) struct DiskFile {
    file: File,
    number: u64,
    disk: Disk,
}

impl DiskFile {
    /// For reading.
    pub(crate) fn as_file(&self) -> &File {
        &self.file
    }

    /// Writes all of `bytes` from `offset` on. After an error, some of them may be there.
    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let change = Change::Write { file: self.number, offset, bytes };
        self.disk.change(&change, || write_all_at(&self.file, bytes, offset))
    }

    /// Has the system begin to put these bytes onto the medium, so that a sync which follows has less
    /// to wait for. Promises nothing, and so is no [`Change`]; what fails is the sync's to tell.
    pub(crate) fn begin_sync(&self, offset: u64, bytes: usize) {
        begin_writing_back(&self.file, offset, bytes);
    }

    pub(crate) fn set_length(&self, length: u64) -> io::Result<()> {
        let change = Change::SetLength { file: self.number, length };
        self.disk.change(&change, || self.file.set_len(length))
    }

    /// Puts everything about the file onto the medium.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        self.disk.change(&Change::SyncFile { file: self.number }, || self.file.sync_all())
    }

    /// As [`DiskFile::sync_all`], but for what reading it does not need, such as its times.
    pub(crate) fn sync_data(&self) -> io::Result<()> {
        self.disk.change(&Change::SyncFile { file: self.number }, || self.file.sync_data())
    }
}

/// Linux begins to write back what it is advised not to keep, and forgets only what is written.
#[cfg(target_os = "linux")]
fn begin_writing_back(file: &File, offset: u64, bytes: usize) {
    let length = std::num::NonZeroU64::new(bytes as u64);
    let _ = rustix::fs::fadvise(file, offset, length, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn begin_writing_back(_: &File, _: u64, _: usize) {}

fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match write_at(file, bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}
