//! Several rankings made one, by reciprocal ranks (Cormack, Clarke and Büttcher 2009): a record's
//! score is the sum of `weight / (constant + rank)` over the rankings that have it.

use std::collections::BTreeMap;

use kernels::TopK;

use crate::error::{Error, Result};
use crate::search::Ranking;
use crate::state::Address;

/// Ranks of each ranking that count at least.
pub(crate) const LEAST_DEPTH: usize = 100;

/// The constant where nobody says another one.
pub(crate) const CONSTANT: f32 = 60.0;

/// # Errors
/// `InvalidArgument` for weights and a constant that make no score.
pub(crate) fn validate(weights: &[f32], constant: f32) -> Result<()> {
    let is_wrong = |number: &f32| !number.is_finite() || *number < 0.0;
    let wrong = if weights.iter().chain([&constant]).any(is_wrong) {
        "weights and the constant of a fusion are finite numbers from 0"
    } else if weights.iter().all(|weight| *weight == 0.0) {
        "one of the weights must be above 0"
    } else {
        return Ok(());
    };
    Err(Error::InvalidArgument(wrong.to_owned()))
}

/// The best `reach` by the fused score. A ranking with a weight of 0 brings nothing in.
pub(crate) fn fuse(
    rankings: impl IntoIterator<Item = (Ranking, f32)>,
    constant: f32,
    reach: usize,
) -> Ranking {
    let mut scores: BTreeMap<Address, f32> = BTreeMap::new();
    for (ranking, weight) in rankings {
        for (rank, (_, address)) in (1..).zip(ranking) {
            *scores.entry(address).or_default() += weight / (constant + rank as f32);
        }
    }
    let mut best = TopK::new(reach);
    let counting = scores.into_iter().filter(|(_, score)| *score > 0.0);
    counting.for_each(|(address, score)| best.push(score, address));
    best.into_sorted()
}
