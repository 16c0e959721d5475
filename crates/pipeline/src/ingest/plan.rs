//! From what the caller gives to the list of sources to ingest, and the list to waves.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{IngestError, IngestOptions, Inputs};
use crate::{Format, Skipped, walk};

/// Something to ingest.
pub(super) struct Item {
    /// Its name in the database.
    pub(super) source: String,
    pub(super) origin: Origin,
    pub(super) bytes: u64,
    pub(super) format: Format,
}

pub(super) enum Origin {
    File(PathBuf),
    Text(String),
}

/// Everything to ingest, in order.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) unknown: usize,
}

pub(super) fn plan(inputs: Inputs, options: &IngestOptions) -> Result<Plan, IngestError> {
    match inputs {
        Inputs::Path(root) => plan_path(&root, options),
        Inputs::Texts(texts) => plan_texts(texts, options),
    }
}

fn plan_path(root: &Path, options: &IngestOptions) -> Result<Plan, IngestError> {
    let found = walk(root, &options.walk)?;
    let named = |source: String| format!("{}{source}", options.source_prefix);
    Ok(Plan {
        items: found
            .files
            .into_iter()
            .map(|file| Item {
                source: named(file.source),
                origin: Origin::File(file.path),
                bytes: file.bytes,
                format: file.format,
            })
            .collect(),
        skipped: found
            .skipped
            .into_iter()
            .map(|skipped| Skipped { source: named(skipped.source), ..skipped })
            .collect(),
        unknown: found.unknown,
    })
}

fn plan_texts(texts: Vec<(String, String)>, options: &IngestOptions) -> Result<Plan, IngestError> {
    let mut names = HashSet::new();
    if let Some((name, _)) = texts.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(IngestError::Options(format!("two texts are named {name:?}")));
    }
    let items = texts.into_iter().map(|(name, text)| Item {
        source: format!("{}{name}", options.source_prefix),
        bytes: text.len() as u64,
        format: Format::from_path(Path::new(&name)).unwrap_or(Format::Text),
        origin: Origin::Text(text),
    });
    Ok(Plan { items: items.collect(), ..Plan::default() })
}

/// Cuts the list into waves: as many items as the options allow in files and in bytes, and at
/// least one.
pub(super) fn waves(items: Vec<Item>, options: &IngestOptions) -> impl Iterator<Item = Vec<Item>> {
    let (most_files, most_bytes) = (options.wave_files.max(1), options.wave_bytes);
    let mut items = items.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut wave = vec![items.next()?];
        let mut bytes = wave[0].bytes;
        while let Some(item) =
            items.next_if(|next| wave.len() < most_files && bytes + next.bytes <= most_bytes)
        {
            bytes += item.bytes;
            wave.push(item);
        }
        Some(wave)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_keep_to_both_limits_and_never_stand_still() {
        let options = IngestOptions { wave_files: 3, wave_bytes: 10, ..IngestOptions::default() };
        let items = [4u64, 4, 4, 99, 1, 1, 1, 1].map(|bytes| Item {
            source: String::new(),
            origin: Origin::Text(String::new()),
            bytes,
            format: Format::Text,
        });
        let sizes: Vec<Vec<u64>> = waves(items.into(), &options)
            .map(|wave| wave.iter().map(|item| item.bytes).collect())
            .collect();
        assert_eq!(sizes, [vec![4, 4], vec![4], vec![99], vec![1, 1, 1], vec![1]]);
    }
}
