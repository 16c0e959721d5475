//! Does a record match?

use serde_json::Value;

use super::compare::{equal, order};
use super::{Filter, Key, Node, Test};
use crate::record::Id;
use crate::records::StoredRecord;

impl Filter {
    /// Whether the record matches.
    pub(crate) fn matches(&self, record: &StoredRecord) -> bool {
        self.root.matches(record)
    }
}

impl Node {
    fn matches(&self, record: &StoredRecord) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.matches(record)),
            Node::Any(nodes) => nodes.iter().any(|node| node.matches(record)),
            Node::Not(node) => !node.matches(record),
            Node::Test { key, test } => match key {
                Key::Metadata(key) => {
                    let metadata = record.metadata.as_deref();
                    metadata
                        .and_then(|metadata| find(metadata, key))
                        .is_some_and(|v| test.matches(v))
                }
                Key::Id => test.matches(&match &record.id {
                    Id::Int(number) => Value::from(*number),
                    Id::Str(text) => Value::from(&**text),
                }),
                Key::Source => record
                    .place
                    .as_ref()
                    .is_some_and(|place| test.matches(&Value::from(&*place.source))),
                Key::Line => record
                    .place
                    .as_ref()
                    .is_some_and(|place| test.matches(&Value::from(place.line))),
            },
        }
    }
}

impl Test {
    /// Whether a value that is there passes. One that is missing never does.
    fn matches(&self, value: &Value) -> bool {
        match self {
            Test::Equal(operand) => equal(value, operand),
            Test::OneOf(operands) => operands.iter().any(|operand| equal(value, operand)),
            Test::Ordered { operand, matches } => order(value, operand).is_some_and(matches),
            Test::Exists => true,
            Test::Contains(operand) => match (value, operand) {
                (Value::String(text), Value::String(part)) => text.contains(part),
                (Value::Array(items), _) => items.iter().any(|item| equal(item, operand)),
                _ => false,
            },
        }
    }
}

/// The entry of a key: the whole key where it is there, else what follows the first dot inside of
/// what comes before it.
fn find<'a>(mut value: &'a Value, mut key: &str) -> Option<&'a Value> {
    loop {
        let map = value.as_object()?;
        if let Some(found) = map.get(key) {
            return Some(found);
        }
        let (first, rest) = key.split_once('.')?;
        value = map.get(first)?;
        key = rest;
    }
}
