//! What a filter asks for, as a text: filters of one name accept the same records.

use std::cmp::Ordering;
use std::fmt::Write;

use super::{Filter, Key, Node, Test};

/// A longer name costs more to compare than it saves.
const LONGEST: usize = 1024;

impl Filter {
    pub(crate) fn new(root: Node) -> Self {
        let mut name = String::new();
        let is_short = root.write_name(&mut name).is_ok();
        Self { root, name: is_short.then(|| name.into()) }
    }

    /// The same for filters that differ in the order of their parts alone; `None` for long ones.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// The name has become too long.
struct TooLong;

impl From<std::fmt::Error> for TooLong {
    fn from(_: std::fmt::Error) -> Self {
        TooLong
    }
}

impl Node {
    fn write_name(&self, out: &mut String) -> Result<(), TooLong> {
        match self {
            Node::All(nodes) => write_parts("all", nodes, out)?,
            Node::Any(nodes) => write_parts("any", nodes, out)?,
            Node::Not(node) => {
                out.push('!');
                node.write_name(out)?;
            }
            Node::Test { key, test } => {
                // Quoted, as the operands are: no text can look like the end of its own quotes.
                match key {
                    Key::Metadata(_) => write!(out, "{:?}", key.name())?,
                    Key::Id | Key::Source | Key::Line => out.push_str(key.name()),
                }
                test.write_name(out)?;
            }
        }
        if out.len() > LONGEST { Err(TooLong) } else { Ok(()) }
    }
}

fn write_parts(kind: &str, nodes: &[Node], out: &mut String) -> Result<(), TooLong> {
    let mut names = Vec::with_capacity(nodes.len());
    let mut length = out.len();
    for node in nodes {
        let mut name = String::new();
        node.write_name(&mut name)?;
        length += name.len();
        if length > LONGEST {
            return Err(TooLong);
        }
        names.push(name);
    }
    names.sort_unstable();
    write!(out, "{kind}({})", names.join(","))?;
    Ok(())
}

impl Test {
    fn write_name(&self, out: &mut String) -> Result<(), TooLong> {
        match self {
            Test::Equal(operand) => write!(out, "={operand}")?,
            Test::OneOf(operands) => {
                out.push_str("in[");
                for operand in operands {
                    write!(out, "{operand},")?;
                    if out.len() > LONGEST {
                        return Err(TooLong);
                    }
                }
                out.push(']');
            }
            Test::Ordered { operand, matches } => {
                // What tells one order from another is what it accepts.
                let accepted = [Ordering::Less, Ordering::Equal, Ordering::Greater].map(matches);
                for (sign, accepted) in ["<", "=", ">"].into_iter().zip(accepted) {
                    out.push_str(if accepted { sign } else { "_" });
                }
                write!(out, "{operand}")?;
            }
            Test::Exists => out.push('?'),
            Test::Contains(operand) => write!(out, "has{operand}")?,
        }
        Ok(())
    }
}
