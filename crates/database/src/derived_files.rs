//! Files beside a segment that follow from it: indexes of its words, and of its vectors in fields.
//! One that is missing or damaged is made anew by whoever needs it; they go when the segment goes.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::files::file_names;
use crate::format::{DENSE_INDEX_SUFFIX, SPARSE_INDEX_SUFFIX, TEXT_INDEX_SUFFIX};
use crate::generations::number_of;
use crate::text_search;
use crate::vector_fields;

/// The number of the segment that a file of this name follows from; `None` for any other file.
pub(crate) fn derived_segment(name: &str) -> Option<u64> {
    let (number, kind) = name.split_once('.')?;
    let suffixes = [TEXT_INDEX_SUFFIX, DENSE_INDEX_SUFFIX, SPARSE_INDEX_SUFFIX];
    let is_derived = suffixes.iter().any(|suffix| kind.ends_with(suffix));
    is_derived.then(|| number_of(number, ""))?
}

/// Such files of a folder: their segments' numbers and their names.
pub(crate) fn derived_files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let of = |name: String| Some((derived_segment(&name)?, folder.join(name)));
    Ok(file_names(folder)?.into_iter().filter_map(of).collect())
}

/// Reads all of such a file, to know that it is sound. One of another release is sound.
///
/// # Errors
/// `Corrupt` names what is damaged; `Io`.
pub(crate) fn verify_derived(path: &Path) -> Result<()> {
    match path.to_string_lossy().ends_with(TEXT_INDEX_SUFFIX) {
        true => text_search::verify_index(path),
        false => vector_fields::verify_index(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_of_which_segment_a_file_is() {
        for (name, segment) in [
            ("000001.en.words", Some(1)),
            ("1234567.none-0123456789abcdef.words", Some(1_234_567)),
            ("000012.title.vectors", Some(12)),
            ("000012.vectors", None),
            ("000012.terms.sparse", Some(12)),
            ("000012.terms.sparse.tmp", None),
            ("12.terms.sparse", None),
            ("000001.seg", None),
            ("000001.log", None),
            ("MANIFEST", None),
        ] {
            assert_eq!(derived_segment(name), segment, "{name}");
        }
    }
}
