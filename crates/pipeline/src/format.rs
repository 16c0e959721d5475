//! The file formats, and how a file name tells its format.

use std::path::Path;

/// What kind of file a document was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// CommonMark with tables, footnotes and front matter.
    Markdown,
    /// Prose without markup that we read: `.txt`, `.rst`, `.log`, `.tex` ...
    Text,
    /// HTML and XHTML.
    Html,
    /// Source code and configuration.
    Code,
    /// Delimited values; the delimiter is detected.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON value a line (JSONL, NDJSON).
    JsonLines,
    /// One JSON value a file.
    Json,
}

const MARKDOWN: &[&str] = &["md", "markdown", "mdown", "mkd", "mdx"];
const TEXT: &[&str] =
    &["txt", "text", "rst", "log", "tex", "adoc", "asciidoc", "org", "textile", "srt", "vtt"];
const HTML: &[&str] = &["html", "htm", "xhtml"];
const CODE: &[&str] = &[
    "py",
    "pyi",
    "pyx",
    "rs",
    "c",
    "h",
    "cc",
    "cpp",
    "cxx",
    "hh",
    "hpp",
    "hxx",
    "m",
    "mm",
    "java",
    "js",
    "jsx",
    "mjs",
    "cjs",
    "ts",
    "tsx",
    "go",
    "rb",
    "php",
    "cs",
    "fs",
    "kt",
    "kts",
    "swift",
    "scala",
    "sh",
    "bash",
    "zsh",
    "fish",
    "ps1",
    "bat",
    "sql",
    "lua",
    "r",
    "jl",
    "pl",
    "pm",
    "ex",
    "exs",
    "erl",
    "hs",
    "ml",
    "mli",
    "clj",
    "el",
    "lisp",
    "vim",
    "dart",
    "zig",
    "nim",
    "v",
    "sv",
    "vhd",
    "f90",
    "asm",
    "s",
    "proto",
    "graphql",
    "css",
    "scss",
    "less",
    "vue",
    "svelte",
    "toml",
    "yaml",
    "yml",
    "ini",
    "cfg",
    "conf",
    "properties",
    "xml",
    "cmake",
    "gradle",
    "tf",
    "nix",
    "diff",
    "patch",
];
const CSV: &[&str] = &["csv"];
const TSV: &[&str] = &["tsv", "tab"];
const JSON_LINES: &[&str] = &["jsonl", "ndjson"];
const JSON: &[&str] = &["json", "geojson"];

const BY_EXTENSION: [(Format, &[&str]); 8] = [
    (Format::Markdown, MARKDOWN),
    (Format::Text, TEXT),
    (Format::Html, HTML),
    (Format::Code, CODE),
    (Format::Csv, CSV),
    (Format::Tsv, TSV),
    (Format::JsonLines, JSON_LINES),
    (Format::Json, JSON),
];

/// Files that carry no extension by custom, in lower case.
const BY_NAME: [(&str, Format); 12] = [
    ("readme", Format::Text),
    ("license", Format::Text),
    ("licence", Format::Text),
    ("copying", Format::Text),
    ("notice", Format::Text),
    ("authors", Format::Text),
    ("changelog", Format::Text),
    ("changes", Format::Text),
    ("todo", Format::Text),
    ("makefile", Format::Code),
    ("dockerfile", Format::Code),
    ("rakefile", Format::Code),
];

impl Format {
    /// The format that the file name says, by extension or by a well-known bare name, in any case
    /// of letters; `None` when the name says nothing.
    pub fn from_path(path: &Path) -> Option<Format> {
        let Some(extension) = path.extension() else {
            let name = path.file_name()?.to_str()?.to_ascii_lowercase();
            return BY_NAME.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
        };
        let extension = extension.to_str()?.to_ascii_lowercase();
        BY_EXTENSION
            .iter()
            .find(|(_, extensions)| extensions.contains(&extension.as_str()))
            .map(|(format, _)| *format)
    }

    /// The name that records carry in their metadata.
    pub fn name(self) -> &'static str {
        match self {
            Format::Markdown => "markdown",
            Format::Text => "text",
            Format::Html => "html",
            Format::Code => "code",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "jsonl",
            Format::Json => "json",
        }
    }

    /// The format of this name (the inverse of [`Format::name`]).
    pub fn from_name(name: &str) -> Option<Format> {
        BY_EXTENSION.iter().map(|(format, _)| *format).find(|format| format.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_decides_in_any_case() {
        let of = |name: &str| Format::from_path(Path::new(name));
        assert_eq!(of("a/b.MD"), Some(Format::Markdown));
        assert_eq!(of("b.tar.rst"), Some(Format::Text));
        assert_eq!(of("index.HTM"), Some(Format::Html));
        assert_eq!(of("x.ndjson"), Some(Format::JsonLines));
        assert_eq!(of("Makefile"), Some(Format::Code));
        assert_eq!(of("LICENSE"), Some(Format::Text));
        assert_eq!(of("photo.jpeg"), None);
        assert_eq!(of("unknown"), None);
    }

    #[test]
    fn no_extension_is_listed_twice_and_names_round_trip() {
        let mut all: Vec<&str> = BY_EXTENSION.iter().flat_map(|(_, e)| e.iter().copied()).collect();
        let listed = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), listed);
        for (format, _) in BY_EXTENSION {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("pdf"), None);
    }
}
