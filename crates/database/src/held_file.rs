//! Noticing that a path leads elsewhere than it did.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file or folder that is kept open, so that its number is given to no other file meanwhile: the
/// path leads to it for exactly as long as it leads to a file of this number.
pub(crate) struct HeldFile {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
}

impl HeldFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?)?;
        Ok(Self { path: path.to_owned(), file, identity })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the path still leads here.
    pub(crate) fn is_current(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(identity(&metadata)? == self.identity),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> io::Result<(u64, u64)> {
    Err(io::Error::new(ErrorKind::Unsupported, "files have no numbers on this system"))
}
