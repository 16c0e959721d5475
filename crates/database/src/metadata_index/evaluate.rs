//! From a filter to the rows that it accepts.

use roaring::RoaringBitmap;

use super::dictionary::{Checksums, Strings};
use super::postings::Union;
use super::select::Place;
use super::{FieldSource, MetadataIndex};
use crate::error::Result;
use crate::filter::{Filter, Key, Node, Test};

/// What the index knows of a filter, or a part of it. No row is in both sets.
struct Known {
    /// These rows pass.
    surely: RoaringBitmap,
    /// These may pass, and no others.
    maybe: RoaringBitmap,
}

impl<B: AsRef<[u8]>> MetadataIndex<B> {
    /// The rows that a filter accepts, of `among` or of all.
    ///
    /// `source` is asked only for rows about which the index cannot tell (see the module), and
    /// each of them once.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are damaged, and what `source` returns.
    pub fn evaluate(
        &self,
        filter: &Filter,
        among: Option<&RoaringBitmap>,
        source: &dyn FieldSource,
    ) -> Result<RoaringBitmap> {
        let Known { mut surely, mut maybe } = self.known(&filter.root)?;
        if let Some(among) = among {
            surely &= among;
            maybe &= among;
        }
        for row in maybe {
            source.with_fields(row, &mut |fields| {
                if filter.accepts(fields) {
                    surely.insert(row);
                }
            })?;
        }
        Ok(surely)
    }

    fn known(&self, node: &Node) -> Result<Known> {
        match node {
            Node::All(nodes) => self.known_of_all(nodes),
            Node::Any(nodes) => {
                let mut any = Known::none();
                for node in nodes {
                    let Known { surely, maybe } = self.known(node)?;
                    any.surely |= surely;
                    any.maybe |= maybe;
                }
                any.maybe -= &any.surely;
                Ok(any)
            }
            Node::Not(node) => {
                let Known { surely, maybe } = self.known(node)?;
                Ok(Known { surely: self.all_rows() - surely - &maybe, maybe })
            }
            Node::Test { key, test } => self.known_of_test(key, test),
        }
    }

    /// The narrowest first: where nothing is left, the others are not read.
    fn known_of_all(&self, nodes: &[Node]) -> Result<Known> {
        let mut order = Vec::with_capacity(nodes.len());
        for node in nodes {
            // With one node there is nothing to choose.
            let most = if nodes.len() > 1 { self.estimate_node(node)?.at_most } else { 0 };
            order.push((most, node));
        }
        order.sort_by_key(|(most, _)| *most);
        let mut order = order.into_iter();
        let Some((_, first)) = order.next() else {
            return Ok(Known { surely: self.all_rows(), maybe: RoaringBitmap::new() });
        };
        let mut all = self.known(first)?;
        for (_, node) in order {
            if all.surely.is_empty() && all.maybe.is_empty() {
                break;
            }
            let known = self.known(node)?;
            // What may pass both: all of the one, all of the other, without what passes both.
            let possible = (&all.surely | &all.maybe) & (&known.surely | &known.maybe);
            all.surely &= known.surely;
            all.maybe = possible - &all.surely;
        }
        Ok(all)
    }

    fn known_of_test(&self, key: &Key, test: &Test) -> Result<Known> {
        let Some(parts) = self.parts(key)? else {
            return Ok(Known { surely: RoaringBitmap::new(), maybe: self.unindexed()? });
        };
        let selection = self.select(&parts, test)?;
        let surely = self.rows_in(&selection.surely)?;
        let maybe = self.rows_in(&selection.maybe)? - &surely;
        Ok(Known { surely, maybe })
    }

    /// All rows of some places.
    pub(super) fn rows_in(&self, places: &[Place]) -> Result<RoaringBitmap> {
        let postings = self.postings();
        let sets = places.iter().map(|place| match place {
            Place::Set(_) => 1,
            Place::Entries(_, range) => range.end - range.start,
            Place::Containing(part, _) => part.entries,
        });
        match places {
            [] => return Ok(RoaringBitmap::new()),
            [Place::Set(reference)] => return postings.bitmap(*reference),
            _ => {}
        }
        let mut union = Union::new(&postings, sets.fold(0, u64::saturating_add));
        for place in places {
            match place {
                Place::Set(reference) => union.add(*reference)?,
                Place::Entries(part, range) => {
                    // References stand alike in dictionaries of all kinds.
                    let dictionary = self.dictionary::<Checksums>(*part);
                    for entry in range.clone() {
                        union.add(dictionary.reference(entry)?)?;
                    }
                }
                Place::Containing(part, text) => {
                    let dictionary = self.dictionary::<Strings>(*part);
                    let finder = memchr::memmem::Finder::new(text);
                    for entry in 0..dictionary.entries() {
                        if finder.find(dictionary.value(entry)?.as_bytes()).is_some() {
                            union.add(dictionary.reference(entry)?)?;
                        }
                    }
                }
            }
        }
        Ok(union.finish())
    }
}

impl Known {
    fn none() -> Self {
        Self { surely: RoaringBitmap::new(), maybe: RoaringBitmap::new() }
    }
}
