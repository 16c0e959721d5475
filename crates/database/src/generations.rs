//! The logs of a collection's folder, one a generation.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::files::file_names;
use crate::format::{GENERATION_DIGITS, LOG_SUFFIX};

/// Where the log of a generation is.
pub(crate) fn log_path(folder: &Path, generation: u64) -> PathBuf {
    numbered_path(folder, generation, LOG_SUFFIX)
}

/// Where the file of a number and a kind is.
pub(crate) fn numbered_path(folder: &Path, number: u64, suffix: &str) -> PathBuf {
    folder.join(format!("{number:0GENERATION_DIGITS$}{suffix}"))
}

/// The generation of a log's file name; `None` for any other file.
pub(crate) fn generation_of(name: &str) -> Option<u64> {
    number_of(name, LOG_SUFFIX)
}

/// The number in a file name of at least [`GENERATION_DIGITS`] digits and this suffix.
pub(crate) fn number_of(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let is_number = digits.len() >= GENERATION_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// The generations in a folder, oldest first. Every file with the name of a log is complete: it
/// got that name once it was on the medium.
pub(crate) fn generations(folder: &Path) -> Result<Vec<u64>> {
    let mut found: Vec<u64> =
        file_names(folder)?.iter().filter_map(|name| generation_of(name)).collect();
    found.sort_unstable();
    Ok(found)
}
