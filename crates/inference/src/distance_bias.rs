//! MPNet's attention bias: a number a head for how far, and on which side, a key is from a query.

use kernels::RelativeBias;

/// Distances of this and more share the last bucket of their side.
const FARTHEST: f32 = 128.0;

/// The bias of every distance, in the order of the distance from key to query.
pub(crate) struct DistanceBias {
    /// `heads x (2 * longest - 1)`: for each head the bias of key - query = 1 - longest, and up.
    table: Vec<f32>,
    /// Tokens of the longest sequence.
    longest: usize,
}

impl DistanceBias {
    /// From `buckets x heads` biases, for sequences of up to `longest` tokens.
    pub(crate) fn new(biases: &[f32], heads: usize, longest: usize) -> DistanceBias {
        let buckets = biases.len() / heads;
        let reach = longest as isize - 1;
        let table = (0..heads)
            .flat_map(|head| {
                (-reach..=reach)
                    .map(move |distance| biases[bucket(distance, buckets) * heads + head])
            })
            .collect();
        DistanceBias { table, longest }
    }

    /// As attention takes it.
    pub(crate) fn view(&self) -> RelativeBias<'_> {
        RelativeBias { table: &self.table, longest: self.longest }
    }
}

/// The bucket of key - query: half of them for keys behind the query, half for it and those before;
/// of each half, one a distance for the near ones, then logarithmically wider ones.
fn bucket(distance: isize, buckets: usize) -> usize {
    let side = buckets / 2;
    let first = if distance > 0 { side } else { 0 };
    let distance = distance.unsigned_abs();
    let near = side / 2;
    if distance < near {
        return first + distance;
    }
    let ratio = (distance as f32 / near as f32).ln() / (FARTHEST / near as f32).ln();
    first + (near + (ratio * (side - near) as f32) as usize).min(side - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_exact_when_near_and_wider_when_far() {
        // Of 32: 16 a side, 8 exact, then 8 for the distances 8 to 128 and beyond.
        let before = [0, -1, -7, -8, -11, -12, -90, -91, -500].map(|d| bucket(d, 32));
        assert_eq!(before, [0, 1, 7, 8, 8, 9, 14, 15, 15]);
        assert_eq!([1, 7, 8, 127, 500].map(|d| bucket(d, 32)), [17, 23, 24, 31, 31]);
    }

    #[test]
    fn a_row_holds_the_bias_of_each_key() {
        let biases: Vec<f32> = (0..64).map(|n| n as f32).collect();
        let table = DistanceBias::new(&biases, 2, 200);
        let RelativeBias { table, longest } = table.view();
        for (head, query) in [(0, 0), (1, 0), (0, 199), (1, 57)] {
            for key in 0..200 {
                let bucket = bucket(key as isize - query as isize, 32);
                let place = head * (2 * longest - 1) + key + longest - 1 - query;
                assert_eq!(table[place], biases[bucket * 2 + head]);
            }
        }
    }
}
