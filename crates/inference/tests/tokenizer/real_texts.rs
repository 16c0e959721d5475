//! Texts that people wrote, by all the tokenizers at hand. `scripts/check-tokenizer.sh` runs the
//! second test over a million of them.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::oracle::{Both, tiny};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of this repository's own sources and texts.
fn own_lines() -> Vec<String> {
    let mut folders = vec![root().join("crates"), root().join("python"), root().join("docs")];
    let mut lines = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                lines.extend(text.lines().map(str::to_owned));
                lines.push(text);
            }
        }
    }
    lines
}

#[test]
fn this_repository() {
    let both = Both::read(&tiny());
    let lines = own_lines();
    assert!(lines.len() > 10_000);
    lines.par_iter().for_each(|line| both.check(line));
}

#[test]
fn tokenizers_of_all_families() {
    let folder = root().join("../shared/models/tiny");
    if !folder.exists() {
        assert!(std::env::var("CI").is_err(), "{} is missing", folder.display());
        return;
    }
    let lines = own_lines();
    let mut fast = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().join("tokenizer.json");
        if path.exists() {
            let both = Both::read(&path);
            fast += usize::from(both.ours.fallback_reason().is_none());
            lines.par_iter().step_by(10).for_each(|line| both.check(line));
        }
    }
    assert_eq!(fast, 5, "BERT, DistilBERT and MPNet");
}

/// `RAC_TOKENIZER` is a `tokenizer.json`, `RAC_TEXTS` a file with a text a line.
#[test]
#[ignore = "needs a file of texts, see scripts/check-tokenizer.sh"]
fn texts_of_a_file() {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("set {name}"));
    let both = Both::read(Path::new(&variable("RAC_TOKENIZER")));
    assert_eq!(both.ours.fallback_reason(), None);
    let texts = std::fs::read(variable("RAC_TEXTS")).unwrap();
    let lines: Vec<&[u8]> = texts.split(|byte| *byte == b'\n').collect();
    lines.par_iter().for_each(|line| both.check(&String::from_utf8_lossy(line)));
    println!("{} texts, {} bytes: all alike", lines.len(), texts.len());
}
