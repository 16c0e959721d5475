//! From a backup to a database to work with.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::copying::{Copying, UnfinishedFolder};
use crate::derived_files::{derived_segment, verify_derived};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{file_names, read_exact_at};
use crate::folder::{collection_names, read_format_file};
use crate::format::{
    COLLECTIONS_FOLDER, FORMAT_FILE, LOCK_FILE, MANIFEST_COPY_FILE, MANIFEST_FILE, SEGMENT_SUFFIX,
};
use crate::generations::{generation_of, number_of};
use crate::upkeep::Progress;

/// Copies a database that nobody writes to, such as a backup, to a folder that does not exist, or
/// is empty. `progress` is told the bytes copied and checked, and those in all.
///
/// Every byte is copied, so that the two have nothing in common afterwards; the folder appears under
/// its name after all of it was flushed, and read and checked. What fails or is interrupted leaves
/// nothing.
///
/// # Errors
/// `NotADatabase` for anything else, `InvalidArgument` for a target that is taken, `Locked` while
/// somebody writes to the backup, `Corrupt` naming the damaged file of the backup, `Version` for a
/// newer release's, `Io`, `Interrupted`.
pub fn restore(
    backup: impl AsRef<Path>,
    target: impl AsRef<Path>,
    progress: Progress<'_>,
) -> Result<()> {
    restore_on(&Disk::default(), backup, target, progress)
}

/// As [`restore`], to where tests put something between the target and its files.
///
/// # Errors
/// As [`restore`].
pub fn restore_on(
    disk: &Disk,
    backup: impl AsRef<Path>,
    target: impl AsRef<Path>,
    progress: Progress<'_>,
) -> Result<()> {
    let (backup, target) = (backup.as_ref(), target.as_ref());
    if read_format_file(&backup.join(FORMAT_FILE))?.is_none() {
        let reason = "there is no file FORMAT";
        return Err(Error::NotADatabase { path: backup.to_owned(), reason });
    }
    let _lock = share_lock(backup)?;
    let files = database_files(backup)?;
    let bytes = files.iter().map(|(_, bytes)| bytes).sum();
    let mut copying = Copying::new(format!("restoring {}", target.display()), bytes, progress);
    let folder = UnfinishedFolder::create(disk, target)?;
    for name in names_of_collections(backup)? {
        folder.create_collection(&name)?;
    }
    for (path, bytes) in files {
        let from = backup.join(&path);
        let file = File::open(&from).map_err(Error::io(&from, "open"))?;
        copying.write(disk, &folder.path().join(&path), bytes, |offset, chunk| {
            read_exact_at(&file, chunk, offset).map_err(Error::io(&from, "read"))
        })?;
    }
    copying.check(folder.path(), backup, |_| true)?;
    folder.complete()
}

/// Keeps writers out of the backup. A backup that was never opened has no lock file.
fn share_lock(backup: &Path) -> Result<Option<File>> {
    let path = backup.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(&path, "open")(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: backup.to_owned(), pid: None }),
        Err(TryLockError::Error(error)) => Err(Error::io(&path, "lock")(error)),
    }
}

fn names_of_collections(backup: &Path) -> Result<Vec<String>> {
    let folder = backup.join(COLLECTIONS_FOLDER);
    if folder.exists() { collection_names(&folder) } else { Ok(Vec::new()) }
}

/// The files that a database consists of, relative to its folder, and their lengths.
fn database_files(backup: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut paths = vec![PathBuf::from(FORMAT_FILE)];
    for collection in names_of_collections(backup)? {
        let folder = Path::new(COLLECTIONS_FOLDER).join(collection);
        let is_ours = |name: &String| {
            [MANIFEST_FILE, MANIFEST_COPY_FILE].contains(&name.as_str())
                || generation_of(name).is_some()
                || number_of(name, SEGMENT_SUFFIX).is_some()
        };
        let names = file_names(&backup.join(&folder))?;
        // An index of words or of a field that is damaged is made anew by whoever searches the copy.
        let is_index = |name: &String| {
            derived_segment(name).is_some()
                && verify_derived(&backup.join(&folder).join(name)).is_ok()
        };
        let wanted = names.iter().filter(|name| is_ours(name) || is_index(name));
        paths.extend(wanted.map(|name| folder.join(name)));
    }
    let length = |path: PathBuf| {
        let full = backup.join(&path);
        let metadata = fs::metadata(&full).map_err(Error::io(&full, "look at"))?;
        Ok((path, metadata.len()))
    };
    paths.into_iter().map(length).collect()
}
