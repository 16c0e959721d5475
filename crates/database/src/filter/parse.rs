//! From JSON to a filter, with errors that say what would have been right.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{Filter, FilterError, Key, Node, Test};
use crate::validate::kind_of;

/// Filters nest no deeper, so that no filter can exhaust the stack.
const MAX_DEPTH: usize = 64;

const OPERATORS: &str = "$eq, $ne, $in, $nin, $gt, $gte, $lt, $lte, $exists, $contains and $not";

type Result<T> = std::result::Result<T, FilterError>;

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// [`FilterError`] names the faulty place and what is allowed there.
    pub fn parse(filter: &Value) -> Result<Self> {
        parse_filter(filter, &At { before: None, step: Step::Key("") }).map(Self::new)
    }
}

/// The way to the present place. Turned into words only for an error.
struct At<'a> {
    before: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    fn key(&'a self, key: &'a str) -> At<'a> {
        At { before: Some(self), step: Step::Key(key) }
    }

    fn item(&'a self, index: usize) -> At<'a> {
        At { before: Some(self), step: Step::Item(index) }
    }

    fn depth(&self) -> usize {
        self.before.map_or(0, |before| before.depth() + 1)
    }

    fn words(&self) -> String {
        let before = self.before.map_or(String::new(), At::words);
        match self.step {
            Step::Key(key) if before.is_empty() => key.to_owned(),
            Step::Key(key) => format!("{before}.{key}"),
            Step::Item(index) => format!("{before}[{index}]"),
        }
    }

    fn error<T>(&self, problem: String) -> Result<T> {
        Err(FilterError { at: self.words(), problem })
    }
}

fn parse_filter(filter: &Value, at: &At<'_>) -> Result<Node> {
    if at.depth() > MAX_DEPTH {
        return at.error(format!("filters are nested at most {MAX_DEPTH} levels deep"));
    }
    let Value::Object(map) = filter else {
        return at
            .error(format!("expected an object like {{\"key\": value}}, not {}", kind_of(filter)));
    };
    let mut nodes = Vec::with_capacity(map.len());
    for (key, value) in map {
        let at = at.key(key);
        nodes.push(match key.as_str() {
            "$and" => Node::All(parse_filters(value, &at)?),
            "$or" => Node::Any(parse_filters(value, &at)?),
            "$not" => Node::Not(Box::new(parse_filter(value, &at)?)),
            name => match Key::parse(name) {
                Ok(key) => parse_tests(key, value, &at)?,
                Err(_) => {
                    return at.error(format!(
                        "unknown key '{name}': use a metadata key, $id, $source, $line, $and, $or or $not"
                    ));
                }
            },
        });
    }
    Ok(all(nodes))
}

fn parse_filters(filters: &Value, at: &At<'_>) -> Result<Vec<Node>> {
    match filters {
        Value::Array(filters) if !filters.is_empty() => filters
            .iter()
            .enumerate()
            .map(|(index, filter)| parse_filter(filter, &at.item(index)))
            .collect(),
        Value::Array(_) => at.error("expected at least one filter in the array".to_owned()),
        other => at.error(format!("expected an array of filters, not {}", kind_of(other))),
    }
}

/// The tests of one key: an object of operators, or a value that stands for `$eq`.
fn parse_tests(key: Key, tests: &Value, at: &At<'_>) -> Result<Node> {
    let Value::Object(tests) = tests else {
        return Ok(Node::Test { key, test: Test::Equal(tests.clone()) });
    };
    if at.depth() > MAX_DEPTH {
        return at.error(format!("filters are nested at most {MAX_DEPTH} levels deep"));
    }
    if tests.is_empty() {
        return at.error(format!("expected an operator: {OPERATORS}"));
    }
    parse_operators(key, tests, at)
}

fn parse_operators(key: Key, tests: &Map<String, Value>, at: &At<'_>) -> Result<Node> {
    let mut nodes = Vec::with_capacity(tests.len());
    for (operator, operand) in tests {
        let at = at.key(operator);
        let test = |test| Node::Test { key: key.clone(), test };
        let not = |node| Node::Not(Box::new(node));
        nodes.push(match operator.as_str() {
            "$eq" => test(Test::Equal(operand.clone())),
            "$ne" => not(test(Test::Equal(operand.clone()))),
            "$in" => test(Test::OneOf(array(operand, &at)?)),
            "$nin" => not(test(Test::OneOf(array(operand, &at)?))),
            "$gt" => test(ordered(operand, Ordering::is_gt, &at)?),
            "$gte" => test(ordered(operand, Ordering::is_ge, &at)?),
            "$lt" => test(ordered(operand, Ordering::is_lt, &at)?),
            "$lte" => test(ordered(operand, Ordering::is_le, &at)?),
            "$exists" => match operand {
                Value::Bool(true) => test(Test::Exists),
                Value::Bool(false) => not(test(Test::Exists)),
                other => return at.error(format!("expected true or false, not {}", kind_of(other))),
            },
            "$contains" => test(Test::Contains(scalar(operand, &at)?)),
            "$not" => not(match operand {
                Value::Object(_) => parse_tests(key.clone(), operand, &at)?,
                other => {
                    return at.error(format!(
                        "expected an object of operators, like {{\"$gt\": 5}}, not {}",
                        kind_of(other)
                    ));
                }
            }),
            other => {
                return at.error(format!(
                    "unknown operator '{other}': use {OPERATORS} (a nested key is written with a dot)"
                ));
            }
        });
    }
    Ok(all(nodes))
}

fn array(operand: &Value, at: &At<'_>) -> Result<Vec<Value>> {
    match operand {
        Value::Array(items) => Ok(items.clone()),
        other => at.error(format!("expected an array of values, not {}", kind_of(other))),
    }
}

fn ordered(operand: &Value, matches: fn(Ordering) -> bool, at: &At<'_>) -> Result<Test> {
    match operand {
        Value::Number(_) | Value::String(_) | Value::Bool(_) => {
            Ok(Test::Ordered { operand: operand.clone(), matches })
        }
        other => at.error(format!(
            "expected a number, a string or a boolean to compare with, not {}",
            kind_of(other)
        )),
    }
}

fn scalar(operand: &Value, at: &At<'_>) -> Result<Value> {
    match operand {
        Value::Array(_) | Value::Object(_) => at.error(format!(
            "expected a string, a number, a boolean or null to look for, not {}",
            kind_of(operand)
        )),
        scalar => Ok(scalar.clone()),
    }
}

fn all(mut nodes: Vec<Node>) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => Node::All(nodes),
    }
}
