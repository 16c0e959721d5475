//! How many rows a filter accepts, without collecting them.

use super::MetadataIndex;
use super::dictionary::{Checksums, Strings};
use super::select::Place;
use crate::error::Result;
use crate::filter::{Filter, Node};

/// Strings that are looked at to estimate how many contain a text.
const SAMPLED_STRINGS: u64 = 64;

/// How many rows a filter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// No fewer than this many.
    pub at_least: u64,
    /// No more than this many.
    pub at_most: u64,
    /// About this many: as if tests were independent of one another, a sample of strings stood for
    /// all, and half of the rows passed about which the index cannot tell.
    pub expected: u64,
}

impl<B: AsRef<[u8]>> MetadataIndex<B> {
    /// How many rows a filter accepts: a few binary searches for each of its tests. For one test of
    /// `$eq`, `$in`, an order or `$exists` on indexed values the answer is exact, that is,
    /// `at_least == at_most`.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged.
    pub fn estimate(&self, filter: &Filter) -> Result<Estimate> {
        self.estimate_node(&filter.root)
    }

    pub(super) fn estimate_node(&self, node: &Node) -> Result<Estimate> {
        let rows = u64::from(self.rows());
        let none = Estimate { at_least: 0, at_most: 0, expected: 0 };
        let all = Estimate { at_least: rows, at_most: rows, expected: rows };
        let complement = |estimate: Estimate| Estimate {
            at_least: rows - estimate.at_most,
            at_most: rows - estimate.at_least,
            expected: rows - estimate.expected,
        };
        match node {
            Node::All(nodes) => nodes
                .iter()
                .try_fold(all, |all, node| Ok(self.both(all, self.estimate_node(node)?))),
            // Any of them: all but those that none of them accepts.
            Node::Any(nodes) => nodes.iter().try_fold(none, |any, node| {
                let other = self.estimate_node(node)?;
                Ok(complement(self.both(complement(any), complement(other))))
            }),
            Node::Not(node) => Ok(complement(self.estimate_node(node)?)),
            Node::Test { key, test } => {
                let Some(parts) = self.parts(key)? else {
                    let at_most = self.postings().count(self.contents.unindexed)?.min(rows);
                    return Ok(Estimate { at_least: 0, at_most, expected: at_most / 2 });
                };
                let selection = self.select(&parts, test)?;
                let surely = self.sum(&selection.surely)?;
                let maybe = self.sum(&selection.maybe)?;
                let at_least = surely.at_least.min(rows);
                let at_most = surely.at_most.saturating_add(maybe.at_most).min(rows);
                let expected = surely.expected.saturating_add(maybe.expected / 2);
                // Damaged counts could cross; the bounds never do.
                let at_most = at_most.max(at_least);
                Ok(Estimate { at_least, at_most, expected: expected.clamp(at_least, at_most) })
            }
        }
    }

    /// What two tests accept: at worst as different, at best as alike as they can be.
    fn both(&self, a: Estimate, b: Estimate) -> Estimate {
        let rows = u64::from(self.rows());
        let at_least = (a.at_least + b.at_least).saturating_sub(rows);
        let at_most = a.at_most.min(b.at_most);
        let independent = match rows {
            0 => 0,
            rows => (u128::from(a.expected) * u128::from(b.expected) / u128::from(rows)) as u64,
        };
        Estimate { at_least, at_most, expected: independent.clamp(at_least, at_most) }
    }

    fn sum(&self, places: &[Place]) -> Result<Estimate> {
        places.iter().try_fold(Estimate { at_least: 0, at_most: 0, expected: 0 }, |sum, place| {
            let place = self.estimate_place(place)?;
            Ok(Estimate {
                at_least: sum.at_least.saturating_add(place.at_least),
                at_most: sum.at_most.saturating_add(place.at_most),
                expected: sum.expected.saturating_add(place.expected),
            })
        })
    }

    fn estimate_place(&self, place: &Place) -> Result<Estimate> {
        let postings = self.postings();
        let exactly = |rows| Estimate { at_least: rows, at_most: rows, expected: rows };
        match place {
            Place::Set(reference) => Ok(exactly(postings.count(*reference)?)),
            Place::Entries(part, range) => {
                // References stand alike in dictionaries of all kinds.
                let dictionary = self.dictionary::<Checksums>(*part);
                Ok(exactly(dictionary.rows_in(range.clone(), &postings)?))
            }
            Place::Containing(part, text) => {
                let dictionary = self.dictionary::<Strings>(*part);
                let at_most = dictionary.rows_in(0..part.entries, &postings)?;
                let samples = part.entries.min(SAMPLED_STRINGS);
                let (mut at_least, mut seen) = (0u64, 0u64);
                for sample in 0..samples {
                    let entry = (u128::from(sample) * u128::from(part.entries)
                        / u128::from(samples)) as u64;
                    let rows = postings.count(dictionary.reference(entry)?)?;
                    seen = seen.saturating_add(rows);
                    if dictionary.value(entry)?.contains(text.as_str()) {
                        at_least = at_least.saturating_add(rows);
                    }
                }
                let expected = match seen {
                    0 => 0,
                    seen => (u128::from(at_least) * u128::from(at_most) / u128::from(seen)) as u64,
                };
                Ok(Estimate { at_least, at_most, expected })
            }
        }
    }
}
