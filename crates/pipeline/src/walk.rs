//! Finds the files to ingest, in the same order every time.

use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::{DirEntry, WalkBuilder};

use crate::Format;

/// Which files of a folder to take.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// Patterns as in `.gitignore` (`*.md`, `docs/`, `/a/**/b.txt`); when there are any, only files
    /// that match one are taken, also files whose format we do not know, as plain text.
    pub include: Vec<String>,
    /// Patterns of files and folders to leave out; they win over `include`.
    pub exclude: Vec<String>,
    /// Leave out what `.gitignore` files (and git's own exclude files) name.
    pub respect_gitignore: bool,
    /// Take files and enter folders whose names begin with a dot.
    pub hidden: bool,
    /// Larger files are reported and left out, in bytes.
    pub max_file_bytes: u64,
}

impl Default for WalkOptions {
    fn default() -> WalkOptions {
        WalkOptions {
            include: Vec::new(),
            exclude: Vec::new(),
            respect_gitignore: false,
            hidden: false,
            max_file_bytes: 50 << 20,
        }
    }
}

/// A file to ingest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the database: its path below the root, with `/`; for a root that is a file, its
    /// file name.
    pub source: String,
    /// Its size when it was found.
    pub bytes: u64,
    /// What to read it as.
    pub format: Format,
}

/// A file or folder that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name, as in [`SourceFile::source`].
    pub source: String,
    /// The reason, for a person.
    pub reason: String,
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The files, ordered by source.
    pub files: Vec<SourceFile>,
    /// What could not be read, was too large, or was a symbolic link.
    pub skipped: Vec<Skipped>,
    /// How many files were passed over because their names do not tell a format we know.
    pub unknown: usize,
}

/// Why a walk could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The root is not there or cannot be looked at.
    #[error("cannot read {}: {source}", path.display())]
    Root {
        /// The root as given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An `include` or `exclude` pattern is not a pattern.
    #[error("bad pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Finds the files under `root`, a folder or a file. Symbolic links below the root are not
/// followed; databases of this project are not entered. A root that is a file is taken whatever
/// the patterns say.
///
/// # Errors
/// [`WalkError`], before anything is read. What cannot be read later is in [`Walk::skipped`].
pub fn walk(root: &Path, options: &WalkOptions) -> Result<Walk, WalkError> {
    let include = patterns(root, &options.include)?;
    let exclude = patterns(root, &options.exclude)?;
    let metadata = std::fs::metadata(root)
        .map_err(|source| WalkError::Root { path: root.to_owned(), source })?;
    let mut collector = Collector {
        root,
        include: (!options.include.is_empty()).then_some(include),
        max_file_bytes: options.max_file_bytes,
        walk: Walk::default(),
    };
    if metadata.is_file() {
        let format = Format::from_path(root).unwrap_or(Format::Text);
        collector.take(root, file_name(root), metadata.len(), format);
        return Ok(collector.walk);
    }
    let entries = WalkBuilder::new(root)
        .standard_filters(false)
        .hidden(!options.hidden)
        .git_ignore(options.respect_gitignore)
        .git_global(options.respect_gitignore)
        .git_exclude(options.respect_gitignore)
        .parents(options.respect_gitignore)
        .require_git(false)
        .follow_links(false)
        .filter_entry(move |entry| is_wanted(entry, &exclude))
        .build();
    for entry in entries {
        match entry {
            Ok(entry) => collector.visit(&entry),
            Err(error) => collector.fail(&error),
        }
    }
    Ok(collector.finish())
}

fn patterns(root: &Path, globs: &[String]) -> Result<Gitignore, WalkError> {
    let mut builder = GitignoreBuilder::new(root);
    let bad = |pattern: &str, error: ignore::Error| WalkError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    };
    for glob in globs {
        builder.add_line(None, glob).map_err(|error| bad(glob, error))?;
    }
    builder.build().map_err(|error| bad(&globs.join(" "), error))
}

fn is_wanted(entry: &DirEntry, exclude: &Gitignore) -> bool {
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    if entry.depth() == 0 {
        return true;
    }
    let database = is_folder
        && entry.path().join("FORMAT").is_file()
        && entry.path().join("collections").is_dir();
    !database && !exclude.matched(entry.path(), is_folder).is_ignore()
}

struct Collector<'a> {
    root: &'a Path,
    include: Option<Gitignore>,
    max_file_bytes: u64,
    walk: Walk,
}

impl Collector<'_> {
    fn visit(&mut self, entry: &DirEntry) {
        let Some(kind) = entry.file_type().filter(|kind| !kind.is_dir()) else {
            return;
        };
        let path = entry.path();
        let included = match &self.include {
            Some(include) => include.matched_path_or_any_parents(path, false).is_ignore(),
            None => true,
        };
        if !included {
            return;
        }
        let format = match (Format::from_path(path), &self.include) {
            (Some(format), _) => format,
            (None, Some(_)) => Format::Text,
            (None, None) => {
                self.walk.unknown += usize::from(kind.is_file());
                return;
            }
        };
        let source = self.source_of(path);
        if kind.is_symlink() {
            self.skip(source, "a symbolic link; links are not followed".to_owned());
        } else if kind.is_file() {
            match entry.metadata() {
                Ok(metadata) => self.take(path, source, metadata.len(), format),
                Err(error) => self.skip(source, error.to_string()),
            }
        }
    }

    fn take(&mut self, path: &Path, source: String, bytes: u64, format: Format) {
        if bytes > self.max_file_bytes {
            let limit = self.max_file_bytes;
            self.skip(source, format!("{bytes} bytes, more than the limit of {limit}"));
        } else {
            self.walk.files.push(SourceFile { path: path.to_owned(), source, bytes, format });
        }
    }

    fn skip(&mut self, source: String, reason: String) {
        self.walk.skipped.push(Skipped { source, reason });
    }

    fn fail(&mut self, error: &ignore::Error) {
        let source = path_of(error).map_or_else(String::new, |path| self.source_of(path));
        let reason = match error.io_error() {
            Some(error) => error.to_string(),
            None => error.to_string(),
        };
        self.skip(source, reason);
    }

    fn source_of(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        let names: Vec<_> =
            below.components().map(|component| component.as_os_str().to_string_lossy()).collect();
        match names.is_empty() {
            true => file_name(self.root),
            false => names.join("/"),
        }
    }

    /// Orders everything. Two files can only share a name where names are not Unicode.
    fn finish(mut self) -> Walk {
        self.walk.files.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
        let mut files: Vec<SourceFile> = Vec::with_capacity(self.walk.files.len());
        for file in std::mem::take(&mut self.walk.files) {
            if files.last().is_some_and(|last| last.source == file.source) {
                let reason = "its name is not Unicode and reads like another file's".to_owned();
                self.skip(file.source, reason);
            } else {
                files.push(file);
            }
        }
        self.walk.files = files;
        self.walk.skipped.sort_by(|a, b| a.source.cmp(&b.source));
        self.walk
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        ignore::Error::Loop { child, .. } => Some(child),
        ignore::Error::Partial(errors) => errors.iter().find_map(path_of),
        _ => None,
    }
}
