//! From token vectors to a text's vector.

use kernels::Backend;

/// How token vectors become a text's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean over all tokens, special ones included.
    Mean,
    /// The vector of the first token.
    Cls,
    /// The vector of the last token.
    Last,
    /// The greatest value of all tokens, number by number.
    Max,
    /// The sum over all tokens, divided by the square root of their number.
    MeanSqrtLen,
}

impl Pooling {
    /// A text's vector from its token vectors, of unit length if `normalize`; zeros for a text
    /// without any token.
    pub(crate) fn pool(self, states: &[f32], normalize: bool, vector: &mut [f32]) {
        if states.is_empty() {
            return;
        }
        let backend = Backend::active();
        let width = vector.len();
        let tokens = states.chunks_exact(width);
        let count = tokens.len() as f32;
        match self {
            Pooling::Cls => vector.copy_from_slice(&states[..width]),
            Pooling::Last => vector.copy_from_slice(&states[states.len() - width..]),
            Pooling::Max => {
                vector.fill(f32::NEG_INFINITY);
                for token in tokens {
                    vector.iter_mut().zip(token).for_each(|(most, x)| *most = most.max(*x));
                }
            }
            Pooling::Mean | Pooling::MeanSqrtLen => {
                tokens.for_each(|token| backend.add_assign(vector, token));
                let mean = self == Pooling::Mean;
                let divisor = if mean { count } else { count.sqrt() };
                vector.iter_mut().for_each(|x| *x /= divisor);
            }
        }
        if normalize {
            self::normalize(vector);
        }
    }
}

/// Gives a vector unit length. The lower limit is the one of torch's normalize.
pub(crate) fn normalize(vector: &mut [f32]) {
    let norm = Backend::active().norm(vector).max(1e-12);
    vector.iter_mut().for_each(|x| *x /= norm);
}
