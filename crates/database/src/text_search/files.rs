//! The files of text indexes, each beside the segment that it is of: what they are called, and what
//! they are indexes of.

use std::fs::File;
use std::hash::Hasher;
use std::io::Read;
use std::path::{Path, PathBuf};

use siphasher::sip::SipHasher13;

use super::index::TextIndex;
use super::index::header::{Header, IndexKey};
use crate::error::{Error, Result};
use crate::files::file_names;
use crate::filter::Key;
use crate::format::{INDEX_FILE_HEADER_BYTES, TEXT_INDEX_SUFFIX};
use crate::generations::numbered_path;
use crate::index_file::bytes::IndexBytes;

/// Where the index of a segment's words is. A field is named by a hash, since not every name can be
/// one of a file; the header has the name itself.
pub(super) fn index_path(folder: &Path, number: u64, key: &IndexKey) -> PathBuf {
    let language = key.language.code();
    let field = key.field.as_ref().map_or(String::new(), |field| {
        let mut hasher = SipHasher13::new();
        hasher.write(Key::name(field).as_bytes());
        format!("-{:016x}", hasher.finish())
    });
    numbered_path(folder, number, &format!(".{language}{field}{TEXT_INDEX_SUFFIX}"))
}

/// What the indexes of a folder are indexes of. One that cannot be read is passed over.
pub(crate) fn indexed_keys(folder: &Path) -> Result<Vec<IndexKey>> {
    let mut keys = Vec::new();
    for name in file_names(folder)?.iter().filter(|name| name.ends_with(TEXT_INDEX_SUFFIX)) {
        let path = folder.join(name);
        if let Ok(header) = read_header(&path)
            && !keys.contains(&header.key)
        {
            keys.push(header.key);
        }
    }
    Ok(keys)
}

fn read_header(path: &Path) -> Result<Header> {
    let mut bytes = Vec::with_capacity(INDEX_FILE_HEADER_BYTES);
    File::open(path)
        .and_then(|file| file.take(INDEX_FILE_HEADER_BYTES as u64).read_to_end(&mut bytes))
        .map_err(Error::io(path, "read"))?;
    Header::read(path, &bytes)
}

/// Maps an index.
pub(super) fn open_index(path: &Path) -> Result<TextIndex<IndexBytes>> {
    TextIndex::open(IndexBytes::map(path)?, path)
}

/// Reads all of an index, to know that it is sound. One of another release is sound.
///
/// # Errors
/// `Corrupt` names what is damaged; `Io`.
pub(crate) fn verify_index(path: &Path) -> Result<()> {
    match open_index(path) {
        Err(Error::Version { .. }) => Ok(()),
        opened => opened?.verify(),
    }
}
