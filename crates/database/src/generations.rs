//! The files of a collection's folder: one log a generation, of which the newest counts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::file_names;
use crate::format::{GENERATION_DIGITS, LOG_SUFFIX, UNFINISHED_SUFFIX};

/// Where the log of a generation is.
pub(crate) fn log_path(folder: &Path, generation: u64) -> PathBuf {
    numbered_path(folder, generation, LOG_SUFFIX)
}

/// Where the file of a number and a kind is.
pub(crate) fn numbered_path(folder: &Path, number: u64, suffix: &str) -> PathBuf {
    folder.join(format!("{number:0GENERATION_DIGITS$}{suffix}"))
}

/// The generation of a log's file name; `None` for any other file.
fn generation_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(LOG_SUFFIX)?;
    let is_number = digits.len() >= GENERATION_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// Every file with the name of a log is complete: it got that name once it was on the medium.
pub(crate) fn newest_generation(folder: &Path) -> Result<Option<u64>> {
    let mut newest = None;
    for name in file_names(folder)? {
        newest = newest.max(generation_of(&name));
    }
    Ok(newest)
}

/// Removes older generations and unfinished files.
pub(crate) fn remove_older(folder: &Path, generation: u64) -> Result<()> {
    for name in file_names(folder)? {
        let outdated = generation_of(&name).is_some_and(|other| other < generation);
        if outdated || name.ends_with(UNFINISHED_SUFFIX) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(Error::io(&path, "remove the outdated file"))?;
        }
    }
    Ok(())
}
