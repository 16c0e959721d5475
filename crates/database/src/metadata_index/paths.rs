//! The keys under which a filter finds the entries of metadata.
//!
//! A filter takes the whole key where it is there, else what follows the first dot inside of what
//! comes before it. So an entry is found under its key, behind the keys of the objects around it
//! and a dot each, if none of those has a dot itself; and where several entries share such a path,
//! the one in fewer objects wins.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::format::MAX_INDEXED_KEY_BYTES;

/// Calls `visit` with the path and value of each entry, those in fewer objects first: of two with
/// one path, a filter sees the first. Gives back whether there are paths that are too long.
pub(super) fn for_each_path<'a>(
    metadata: &'a Value,
    mut visit: impl FnMut(&str, &'a Value),
) -> bool {
    let Value::Object(metadata) = metadata else { return false };
    let mut has_too_long = false;
    let mut path = String::new();
    let mut objects: VecDeque<(String, &Map<String, Value>)> = [(String::new(), metadata)].into();
    while let Some((before, object)) = objects.pop_front() {
        for (key, value) in object {
            // A filter has no key that starts with a dollar but those of its own.
            if before.is_empty() && key.starts_with('$') {
                continue;
            }
            if before.len() + key.len() > MAX_INDEXED_KEY_BYTES {
                has_too_long = true;
                continue;
            }
            path.clear();
            path.push_str(&before);
            path.push_str(key);
            visit(&path, value);
            if let Value::Object(inner) = value
                && !key.contains('.')
            {
                objects.push_back((format!("{path}."), inner));
            }
        }
    }
    has_too_long
}
