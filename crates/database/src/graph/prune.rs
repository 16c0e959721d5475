//! Which of a node's near rows become its neighbours.
//!
//! A candidate is *diverse* if it is not much nearer to a diverse one before it than to the node:
//! else a walk reaches it through that one (the rule of relative neighbourhood graphs, with the
//! slack of S. J. Subramanya et al., "DiskANN", NeurIPS 2019).

use kernels::Backend;

use super::neighbour_lists::Candidate;
use super::space::Points;

/// How much farther, as a factor of squared distances, an other neighbour may be than the node
/// before it no longer stands for a candidate.
const SLACK: f32 = 1.2;

/// Chooses at most `degree` diverse rows of `candidates`, which are sorted, nearest first, without
/// repetition and without the node.
pub(crate) fn diverse(
    points: &Points,
    backend: Backend,
    candidates: &[Candidate],
    degree: usize,
) -> Vec<Candidate> {
    let mut chosen: Vec<Candidate> = Vec::with_capacity(degree);
    for candidate in candidates {
        if chosen.len() == degree {
            break;
        }
        let hidden = chosen.iter().any(|other| {
            points.distance(backend, candidate.row, other.row) * SLACK < candidate.distance
        });
        if !hidden {
            chosen.push(*candidate);
        }
    }
    chosen
}
