//! What is kept of texts that are too long, as the `tokenizers` crate decides it.

use std::ops::Range;

/// Lengths to cut two texts to so that they have `max` tokens together, if they have more: the longer
/// one gives first, then both give alike.
pub(super) fn longest_first(first: usize, second: usize, max: usize) -> (usize, usize) {
    if first + second <= max {
        return (first, second);
    }
    let shorter = first.min(second);
    let (shorter, longer) =
        if 2 * shorter <= max { (shorter, max - shorter) } else { (max / 2, max - max / 2) };
    if first > second { (longer, shorter) } else { (shorter, longer) }
}

/// Windows of at most `max` tokens that cover `length` tokens; each begins with the last `stride`
/// tokens of the one before. A text without tokens has one window.
pub(super) fn windows(
    length: usize,
    max: usize,
    stride: usize,
) -> impl Iterator<Item = Range<usize>> {
    debug_assert!(stride < max);
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = length.min(start + max);
        next = (end < length).then(|| start + max - stride);
        Some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::{
        Encoding, Token, TruncationDirection, TruncationParams, TruncationStrategy,
        truncate_encodings,
    };

    use super::*;

    fn encoding(length: usize) -> Encoding {
        let token = |index| Token::new(index as u32, String::new(), (0, 0));
        Encoding::from_tokens((0..length).map(token).collect(), 0)
    }

    proptest! {
        #[test]
        fn pairs_are_cut_as_the_crate_cuts_them(
            first in 0usize..40,
            second in 0usize..40,
            max in 1usize..60,
        ) {
            let params = TruncationParams {
                max_length: max,
                strategy: TruncationStrategy::LongestFirst,
                stride: 0,
                direction: TruncationDirection::Right,
            };
            let (a, b) =
                truncate_encodings(encoding(first), Some(encoding(second)), &params).unwrap();
            prop_assert_eq!(longest_first(first, second, max), (a.len(), b.unwrap().len()));
        }

        #[test]
        fn windows_are_the_crates(length in 0usize..100, max in 1usize..30, stride in 0usize..30) {
            let stride = stride % max;
            let mut whole = encoding(length);
            whole.truncate(max, stride, TruncationDirection::Right);
            let of = |encoding: &Encoding| encoding.get_ids().to_vec();
            let expected: Vec<Vec<u32>> = std::iter::once(of(&whole))
                .chain(whole.get_overflowing().iter().map(of))
                .collect();
            let ours: Vec<Vec<u32>> = windows(length, max, stride)
                .map(|window| window.map(|index| index as u32).collect())
                .collect();
            prop_assert_eq!(ours, expected);
        }
    }
}
