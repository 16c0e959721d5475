//! BM25 (Robertson and Zaragoza 2009): what a posting adds to its row's score.

use super::index::postings::Bounds;

/// How soon further occurrences of a term stop to count.
const K1: f64 = 1.2;

/// How much a text's length counts against it.
const B: f64 = 0.75;

/// Adding this to a number below 2^13 rounds it to a multiple of 2^-38.
const ROUNDING: f64 = 24_576.0;

/// Where a sum of terms counts what it does not know: more than any rounding takes away.
const SLACK: f64 = 1e-9;

/// The weight of a term in one field, and what texts of that field are measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct TermWeight {
    weight: f64,
    /// What a text of no words adds to a count, and each word of a text.
    flat: f64,
    slope: f64,
}

/// The words of a field in all records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FieldStatistics {
    pub(super) texts: u64,
    pub(super) words: u64,
}

impl TermWeight {
    /// Of a term that `found` of the field's texts have, and a query `count` times.
    pub(super) fn new(statistics: FieldStatistics, found: u64, count: u32, field: f32) -> Self {
        let (texts, found) = (statistics.texts as f64, found as f64);
        let rarity = (1.0 + (texts - found + 0.5) / (found + 0.5)).ln();
        let average = (statistics.words as f64 / texts.max(1.0)).max(f64::MIN_POSITIVE);
        Self {
            weight: f64::from(field) * f64::from(count) * rarity * (K1 + 1.0),
            flat: K1 * (1.0 - B),
            slope: K1 * B / average,
        }
    }

    /// What a posting adds to its row's score. A multiple of 2^-38, so that a sum below 2^14 is the
    /// same in whatever order it is made.
    pub(super) fn score(&self, count: u32, length: u32) -> f64 {
        let count = f64::from(count);
        let damping = self.flat + self.slope * f64::from(length);
        let score = self.weight * count / (count + damping);
        (score + ROUNDING) - ROUNDING
    }

    /// What no posting within these bounds exceeds.
    pub(super) fn bound(&self, bounds: Bounds) -> f64 {
        let flat = match bounds.most_count {
            u16::MAX => 0.0,
            count => self.flat / f64::from(count),
        };
        self.weight / (1.0 + flat + self.slope * f64::from(bounds.least_ratio)) * (1.0 + SLACK)
            + SLACK
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_posting_exceeds_the_bound_of_its_block(
            postings in prop::collection::vec((1u32..100_000, 1u32..1_000_000), 1..20),
            texts in 1u64..1_000_000,
            words in 1u64..1_000_000_000,
            found in 1u64..1_000_000,
        ) {
            let statistics = FieldStatistics { texts: texts.max(found), words };
            let weight = TermWeight::new(statistics, found, 1, 1.0);
            let postings: Vec<(u32, u32)> =
                postings.iter().map(|(count, more)| (*count, count.saturating_add(*more))).collect();
            let bounds = postings.iter().fold(Bounds::NONE, |bounds, (count, length)| {
                bounds.or(Bounds::of(*count, *length))
            });
            for (count, length) in postings {
                prop_assert!(weight.score(count, length) <= weight.bound(bounds));
            }
        }
    }
}
