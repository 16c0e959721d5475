//! Writes the seeds that the fuzzer begins with: the parts of a sound database.
//!
//!     cargo run --release --example seeds

use std::fs;
use std::path::Path;

use database::format::{SECTION_GRAPH, SECTION_METADATA_INDEX};
use rac_fuzz::{Sound, pack};

const FILTERS: [&str; 6] = [
    r#"{"a": 1, "b.c": {"$contains": "x"}}"#,
    r#"{"$or": [{"a": {"$gt": 0.5}}, {"$not": {"d": {"$exists": true}}}]}"#,
    r#"{"d": {"$gte": "2024-01-01", "$lt": "2025-01-01T00:00:00+02:00"}}"#,
    r#"{"$and": [{"$id": 3}, {"$line": {"$lte": 9}}, {"$source": {"$in": ["notes.md", null]}}]}"#,
    r#"{"a": {"$nin": [[1, 2], {"k": true}]}}"#,
    r#"{"a": {"$eq": 1}, "b": {"$ne": null}}"#,
];

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).expect("create");
    fs::write(folder.join(name), bytes).expect("write");
}

fn with_first(first: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend_from_slice(rest);
    bytes
}

fn put_segment(name: &str, bytes: &[u8]) {
    put("segment", name, &with_first(1, &pack(bytes)));
    let number = |at: usize, length: usize| {
        let digits = bytes[at..at + length].iter().rev();
        digits.fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    for section in 0..number(12, 4) {
        let at = 56 + section * 24;
        let content = &bytes[number(at + 8, 8)..][..number(at + 16, 8)];
        match number(at, 4) as u32 {
            SECTION_GRAPH => put("graph", name, &with_first(1, &pack(content))),
            SECTION_METADATA_INDEX => put("metadata_index", name, content),
            _ => {}
        }
    }
}

fn put_index(target: &str, name: &str, choices: &[u8], bytes: &[u8]) {
    for choices in choices {
        put(target, &format!("{name}-{choices}"), &with_first(*choices, bytes));
    }
}

fn main() {
    for (path, bytes) in &Sound::get().files {
        let name = path.file_name().map_or_else(String::new, |name| {
            name.to_string_lossy().replace('.', "-").to_lowercase()
        });
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("seg") => put_segment(&name, bytes),
            Some("log") => put("log", &name, &with_first(1, bytes)),
            // Of their segment, with checksums made right; the first index there is, and the next.
            Some("words") => put_index("text_index", &name, &[1, 3, 5], bytes),
            Some("sparse") => put_index("sparse_index", &name, &[1, 3, 5], bytes),
            Some("vectors") => put_index("dense_index", &name, &[1, 3, 5], bytes),
            _ if name == "manifest" => put("manifest", &name, bytes),
            _ => {}
        }
    }
    for (number, filter) in FILTERS.iter().enumerate() {
        put("filter", &format!("{number}.json"), filter.as_bytes());
    }
}
