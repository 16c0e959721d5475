//! Filters: which records a search or a deletion is about.

pub(crate) mod compare;
pub(crate) mod datetime;
mod evaluate;
mod fields;
mod name;
pub(crate) mod number;
mod parse;
pub(crate) mod sorted_value;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde_json::Value;

pub use fields::{Fields, Key};

/// A parsed filter: which records a search or a deletion is about.
///
/// A filter is a JSON object. `{"lang": "en"}` asks for equality; `{"year": {"$gte": 2020,
/// "$lt": 2023}}` combines tests of one key; several keys must all match; `$and`, `$or` and `$not`
/// combine filters. `$not` also stands in front of the tests of one key.
///
/// * A key names an entry of the metadata. A dot leads into a nested object (`"author.name"`),
///   unless the whole key is there literally. `$id`, `$source` and `$line` name the record's own
///   id and the source and line of its place.
/// * Numbers compare with numbers, by value and without rounding, strings with strings, booleans
///   with booleans (false before true). Values of different kinds are never equal and in no order;
///   that is no error.
/// * `$gt`, `$gte`, `$lt` and `$lte` order strings by code point, except that dates and times in
///   ISO 8601 form count as the moment they name: `2024-05-01T12:00+02:00` is before
///   `2024-05-01T11:00Z`. Without a zone a time is UTC, and a date alone is its first moment.
///   Recognised are `YYYY-MM-DD` and `YYYY-MM-DDTHH:MM[:SS[.fraction]][zone]`, with a space or `t`
///   for the `T`, up to nine digits of fraction, and `Z`, `+HH:MM`, `+HHMM` or `+HH` as zone.
///   Against any other string such a text stands where its shortest UTC form would
///   (`2024-05-01T10`, or `2024-05-01` for midnight), so the order of strings is one order
///   whatever is mixed, and `2024` or `2024-05` do as bounds.
/// * `$eq`, `$ne`, `$in`, `$nin` and `$contains` compare texts as they are written: two ways to
///   write a moment are `$gte` and `$lte` each other, but not `$eq`.
/// * `$eq` and `$in` take an array or an object as a whole: all elements in order, all entries in
///   any order.
/// * `$ne`, `$nin` and `$not` match exactly the records that `$eq`, `$in` and the negated filter
///   do not: also those without the key. `$eq: null` asks for an explicit null.
/// * `$contains` looks for a string inside a string, or for an element of an array. It looks at
///   the array's own elements, not inside of them.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(crate) root: Node,
    name: Option<Box<str>>,
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
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test { key: Key, test: Test },
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
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
