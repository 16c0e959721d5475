//! The folder of a database: what makes it one, who has it locked, which collections are in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{file_names, sync_directory, unfinished_path};
use crate::format::{
    DATABASE_MAGIC, DROPPED_PREFIX, FORMAT_FILE, FORMAT_FILE_BYTES, FORMAT_VERSION, LOCK_FILE,
    MAX_NAME_BYTES, NEW_PREFIX,
};
use crate::index_options::IndexOptions;
use crate::schema::Schema;
use crate::store::Store;

/// Creates the folder where there is nothing.
pub(crate) fn prepare_folder(disk: &Disk, path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            // Before the lock file is created, so that a foreign folder stays untouched.
            match written_version(path)? {
                Some(_) => Ok(()),
                // Whoever created it may have been killed before its name was on the medium.
                None => path.parent().map_or(Ok(()), |parent| sync_readable(disk, parent)),
            }
        }
        Ok(_) => Err(Error::NotADatabase {
            path: path.to_owned(),
            reason: "it is a file, and a database is a folder",
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => create_with_parents(disk, path),
        Err(error) => Err(Error::io(path, "look at")(error)),
    }
}

fn create_with_parents(disk: &Disk, path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.exists()) {
        create_with_parents(disk, parent)?;
    }
    match disk.create_folder(path) {
        // Somebody else may be creating the same folder.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created.map_err(Error::io(path, "create"))?,
    }
    parent.map_or(Ok(()), |parent| sync_directory(disk, parent))
}

/// Where somebody may not read a folder, the names in it are somebody else's to look after.
fn sync_readable(disk: &Disk, folder: &Path) -> Result<()> {
    match sync_directory(disk, folder) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// The format version of a database that this build reads; `None` for a folder that has yet to
/// become one.
pub(crate) fn written_version(path: &Path) -> Result<Option<u32>> {
    if let Some(version) = read_format_file(&path.join(FORMAT_FILE))? {
        return Ok(Some(version));
    }
    let unfinished = unfinished_path(Path::new(FORMAT_FILE));
    let foreign = |name: &String| Path::new(name) != unfinished && name != LOCK_FILE;
    if file_names(path)?.iter().any(foreign) {
        return Err(Error::NotADatabase {
            path: path.to_owned(),
            reason: "the folder is not empty and has no file FORMAT",
        });
    }
    Ok(None)
}

/// The content of `FORMAT` as this build writes it.
pub(crate) fn format_file() -> Vec<u8> {
    format_file_of(FORMAT_VERSION)
}

fn format_file_of(version: u32) -> Vec<u8> {
    let mut content = DATABASE_MAGIC.to_vec();
    content.extend_from_slice(&version.to_le_bytes());
    content.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    content
}

/// The version in such a file, if there is one; an error if this build cannot read it.
pub(crate) fn read_format_file(path: &Path) -> Result<Option<u32>> {
    let mut content = Vec::new();
    match File::open(path) {
        Ok(file) => file
            .take(FORMAT_FILE_BYTES as u64 + 1)
            .read_to_end(&mut content)
            .map_err(Error::io(path, "read"))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, "open")(error)),
    };
    if !content.starts_with(&DATABASE_MAGIC) {
        let folder = path.parent().unwrap_or(path);
        let reason = "its file FORMAT is somebody else's";
        return Err(Error::NotADatabase { path: folder.to_owned(), reason });
    }
    let corrupt = |reason: &str| Error::Corrupt {
        path: path.to_owned(),
        offset: 0,
        reason: reason.to_owned(),
    };
    let version = content
        .get(DATABASE_MAGIC.len()..)
        .and_then(|rest| rest.first_chunk())
        .map(|bytes| u32::from_le_bytes(*bytes))
        .ok_or_else(|| corrupt("the file ends too early"))?;
    if version > FORMAT_VERSION {
        return Err(Error::Version {
            path: path.to_owned(),
            found: version,
            supported: FORMAT_VERSION,
        });
    }
    if version == 0 || content != format_file_of(version) {
        return Err(corrupt("the checksum does not match"));
    }
    Ok(Some(version))
}

/// Locks the database against other writers, until the returned file is dropped.
pub(crate) fn take_lock(path: &Path) -> Result<File> {
    let lock_path = path.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(Error::io(&lock_path, "open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The holder may be writing its number right now: then nobody is named.
            let _ = file.take(32).read_to_string(&mut pid);
            return Err(Error::Locked { path: path.to_owned(), pid: pid.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(Error::io(&lock_path, "lock")(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Error::io(&lock_path, "write to"))?;
    Ok(file)
}

/// The folder gets its name when it is complete and flushed.
pub(crate) fn create_collection(
    disk: &Disk,
    folder: &Path,
    name: &str,
    schema: &Schema,
    index: IndexOptions,
) -> Result<()> {
    let complete = folder.join(name);
    if complete.is_dir() {
        // It got its name in an attempt before this one, which failed to flush the folder.
        return sync_directory(disk, folder);
    }
    let new = folder.join(format!("{NEW_PREFIX}{name}"));
    if new.exists() {
        remove_folder(disk, &new)?;
    }
    disk.create_folder(&new).map_err(Error::io(&new, "create"))?;
    Store::create(disk, &new, schema, index)?;
    disk.rename(&new, &complete).map_err(Error::io(&complete, "rename a folder to"))?;
    sync_directory(disk, folder)
}

/// The folders that are collections.
pub(crate) fn collection_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = file_names(folder)?;
    names.retain(|name| check_name(name).is_ok() && folder.join(name).is_dir());
    Ok(names)
}

/// What an interrupted creation or deletion left.
pub(crate) fn remove_leftovers(disk: &Disk, folder: &Path) -> Result<()> {
    for name in file_names(folder)? {
        if name.starts_with(NEW_PREFIX) || name.starts_with(DROPPED_PREFIX) {
            remove_folder(disk, &folder.join(name))?;
        }
    }
    Ok(())
}

pub(crate) fn remove_folder(disk: &Disk, folder: &Path) -> Result<()> {
    disk.remove_folder(folder).map_err(Error::io(folder, "remove"))
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('.')
    {
        Ok(())
    } else {
        Err(Error::InvalidName { name: name.to_owned() })
    }
}
