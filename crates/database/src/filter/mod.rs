//! Filters: which records a search or a deletion is about.

mod compare;
mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde_json::Value;

/// A parsed filter: which records a search or a deletion is about.
///
/// A filter is a JSON object. `{"lang": "en"}` asks for equality; `{"year": {"$gte": 2020,
/// "$lt": 2023}}` combines tests of one key; several keys must all match; `$and`, `$or` and `$not`
/// combine filters. `$not` also stands in front of the tests of one key.
///
/// * A key names an entry of the metadata. A dot leads into a nested object (`"author.name"`),
///   unless the whole key is there literally. `$id`, `$source` and `$line` name the record's own
///   id and the source and line of its place.
/// * Numbers compare with numbers, by value and without rounding, strings with strings (by code
///   point), booleans with booleans (false before true). Values of different kinds are never
///   equal and in no order; that is no error.
/// * `$ne`, `$nin` and `$not` match exactly the records that `$eq`, `$in` and the negated filter
///   do not: also those without the key. `$eq: null` asks for an explicit null.
/// * `$contains` looks for a string inside a string, or for an element of an array.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Node,
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter{}: {problem}", if .at.is_empty() { String::new() } else { format!(" at {}", .at) })]
pub struct FilterError {
    /// The way to the fault: `$and[1].year`. Empty for the filter itself.
    pub at: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

#[derive(Clone, Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test { key: Key, test: Test },
}

#[derive(Clone, Debug)]
enum Key {
    Id,
    Source,
    Line,
    Metadata(String),
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Value),
    OneOf(Vec<Value>),
    /// Compares with the operand; the ordering is that of the record's value to it.
    Ordered {
        operand: Value,
        matches: fn(Ordering) -> bool,
    },
    Exists,
    Contains(Value),
}
