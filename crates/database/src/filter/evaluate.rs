//! Does a record match?

use serde_json::Value;

use super::compare::{equal, order};
use super::{Fields, Filter, Node, Test};
use crate::records::StoredRecord;

impl Filter {
    /// Whether the record with these fields matches.
    pub fn accepts(&self, fields: &Fields<'_>) -> bool {
        self.root.accepts(fields)
    }

    /// Whether the record matches.
    pub(crate) fn matches(&self, record: &StoredRecord) -> bool {
        self.accepts(&record.into())
    }
}

impl Node {
    fn accepts(&self, fields: &Fields<'_>) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.accepts(fields)),
            Node::Any(nodes) => nodes.iter().any(|node| node.accepts(fields)),
            Node::Not(node) => !node.accepts(fields),
            Node::Test { key, test } => key.value(fields).is_some_and(|value| test.accepts(&value)),
        }
    }
}

impl Test {
    /// Whether a value that is there passes. One that is missing never does.
    pub(crate) fn accepts(&self, value: &Value) -> bool {
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
