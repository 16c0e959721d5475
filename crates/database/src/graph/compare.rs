//! Near rows of every row, by comparing all rows of a part with each other.
//!
//! Products are those of one-byte codes and each pair is multiplied once, for both of its rows. Where
//! rows are so near to each other that bytes do not tell which are nearest, a part is multiplied again
//! in `f32`.

use kernels::{
    Activation, Backend, Input, Lengths, Output, PackedMatrix, Precision, QuantizedRows,
    Rows as MatrixRows, RowsMut, matmul,
};
use rayon::prelude::*;

use super::error::GraphError;
use super::neighbour_lists::{Candidate, NeighbourLists};
use super::partition::{STRONGEST, gather};
use super::point_codes::{PointCodes, TIGHT};
use super::progress::Phase;
use super::space::{Nearness, Points};

/// Rows that are multiplied at a time: their products with a part stay in the second-level cache until
/// the nearest are found among them. A multiple of every backend's panels.
const ROWS_PER_PRODUCT: usize = 96;

/// Near rows of every row, and for angles those with the greatest dot products.
pub(crate) struct Near {
    pub(crate) nearest: NeighbourLists,
    pub(crate) strongest: NeighbourLists,
}

/// Compares all rows of every part and merges what each row finds, at most `most` a part, into `near`.
pub(crate) fn compare_parts(
    points: &Points,
    codes: &PointCodes<'_>,
    parts: &[Vec<u32>],
    most: usize,
    near: &Near,
    phase: &Phase<'_>,
) -> Result<(), GraphError> {
    parts.par_iter().try_for_each_init(Comparison::default, |comparison, rows| {
        comparison.measure(points, codes, rows);
        let limit = |row| near.nearest.limit(row);
        comparison.nearest.begin(most, rows.iter().map(|&row| limit(row)));
        let angles = points.kind == Nearness::Angle;
        if angles {
            let limit = |row| near.strongest.limit(row);
            comparison.strongest.begin(STRONGEST, rows.iter().map(|&row| limit(row)));
        }
        comparison.compare(&Multiplied::codes(codes, rows), angles);
        let limits = comparison.nearest.limits.iter().zip(&comparison.squares);
        if limits.into_iter().any(|(limit, square)| *limit < TIGHT * square) {
            comparison.nearest.begin(most, rows.iter().map(|&row| limit(row)));
            comparison.compare(&Multiplied::values(points, rows), false);
        }
        let Comparison { nearest, strongest, named, .. } = comparison;
        nearest.merge_into(&near.nearest, rows, named);
        if angles {
            strongest.merge_into(&near.strongest, rows, named);
        }
        phase.advance(rows.len())
    })
}

/// The rows of a part as both sides of a product.
enum Multiplied {
    Codes(QuantizedRows, PackedMatrix),
    Values(Vec<f32>, PackedMatrix),
}

impl Multiplied {
    fn codes(codes: &PointCodes<'_>, rows: &[u32]) -> Self {
        let mut left = QuantizedRows::default();
        left.take_stored(codes.rows(), rows);
        Self::Codes(left, PackedMatrix::of_stored(Backend::active(), codes.rows(), rows))
    }

    fn values(points: &Points, rows: &[u32]) -> Self {
        let mut values = Vec::new();
        gather(points, rows, &mut values);
        let matrix = MatrixRows::new(&values, rows.len(), points.width, points.width);
        let packed = PackedMatrix::new(Backend::active(), Precision::F32, matrix, None);
        Self::Values(values, packed)
    }

    /// The products of `count` rows from `first` on with all rows from `first` on.
    fn products(&self, first: usize, count: usize, products: &mut Vec<f32>) {
        let (Self::Codes(_, packed) | Self::Values(_, packed)) = self;
        let left = match self {
            Self::Codes(rows, _) => Input::Int8(rows.part(first..first + count)),
            Self::Values(values, packed) => {
                let width = packed.depth();
                Input::F32(MatrixRows::new(&values[first * width..], count, width, width))
            }
        };
        let columns = packed.columns() - first;
        products.resize(count * columns, 0.0);
        let out = Output::F32(RowsMut::new(products, count, columns, columns));
        matmul(left, packed, first, Activation::Identity, out);
    }
}

/// Buffers of a thread that compares the rows of parts.
#[derive(Default)]
struct Comparison {
    /// Squared lengths, lifts included; 1 for angles.
    squares: Vec<f32>,
    lifts: Vec<f32>,
    /// Inverse lengths for angles, else 1.
    scales: Vec<f32>,
    products: Vec<f32>,
    distances: Vec<f32>,
    within: Vec<u32>,
    nearest: PartLists,
    strongest: PartLists,
    /// A list whose rows are named, not numbered within the part.
    named: Vec<Candidate>,
    /// As many as there are rows: what products alone depend on besides.
    zeros: Vec<f32>,
    ones: Vec<f32>,
}

impl Comparison {
    /// What distances between the rows of a part depend on besides their products.
    fn measure(&mut self, points: &Points, codes: &PointCodes<'_>, rows: &[u32]) {
        let of = |out: &mut Vec<f32>, measure: &dyn Fn(u32) -> f32| {
            out.clear();
            out.extend(rows.iter().map(|&row| measure(row)));
        };
        of(&mut self.lifts, &|row| points.distinct_lift(row));
        of(&mut self.squares, &|row| codes.square(row) + points.distinct_lift(row).powi(2));
        of(&mut self.scales, &|row| match points.kind {
            Nearness::Distance => 1.0,
            Nearness::Angle => points.inverse_length(row),
        });
        of(&mut self.zeros, &|_| 0.0);
        of(&mut self.ones, &|_| 1.0);
    }

    /// Finds each row's nearest ones, and where `angles` are compared those with the greatest products.
    fn compare(&mut self, multiplied: &Multiplied, angles: bool) {
        let backend = Backend::active();
        let count = self.squares.len();
        self.distances.resize(count, 0.0);
        for first in (0..count).step_by(ROWS_PER_PRODUCT) {
            let here = ROWS_PER_PRODUCT.min(count - first);
            multiplied.products(first, here, &mut self.products);
            let columns = count - first;
            for row in first..first + here {
                // The pairs with rows before it were met from those.
                let rest = row + 1..count;
                let from = (row - first) * columns + rest.start - first;
                let products = &self.products[from..][..rest.len()];
                let distances = &mut self.distances[..rest.len()];
                if angles {
                    let own = Lengths { square: 0.0, lift: 0.0, scale: 0.5 };
                    let (zeros, ones) = (&self.zeros[rest.clone()], &self.ones[rest.clone()]);
                    let others = Lengths { square: zeros, lift: zeros, scale: ones };
                    let within = &mut self.within;
                    self.strongest.look(backend, row, own, others, products, distances, within);
                }
                let own = Lengths {
                    square: self.squares[row],
                    lift: self.lifts[row],
                    scale: self.scales[row],
                };
                let others = Lengths {
                    square: &self.squares[rest.clone()],
                    lift: &self.lifts[rest.clone()],
                    scale: &self.scales[rest],
                };
                let within = &mut self.within;
                self.nearest.look(backend, row, own, others, products, distances, within);
            }
        }
    }
}

/// For each row of a part the few least distances so far and the positions of those rows.
#[derive(Default)]
struct PartLists {
    most: usize,
    /// `most` places a row, of which the first few are taken, least first.
    places: Vec<Candidate>,
    counts: Vec<usize>,
    /// What a distance must be less than to enter the list of a row.
    limits: Vec<f32>,
}

impl PartLists {
    fn begin(&mut self, most: usize, limits: impl Iterator<Item = f32>) {
        self.most = most;
        self.limits.clear();
        self.limits.extend(limits);
        self.counts.clear();
        self.counts.resize(self.limits.len(), 0);
        let nothing = Candidate { distance: 0.0, row: 0 };
        self.places.resize(self.limits.len() * most, nothing);
    }

    /// Looks at the distances between a row and all behind it, for both sides.
    #[expect(clippy::too_many_arguments, reason = "buffers of the caller")]
    fn look(
        &mut self,
        backend: Backend,
        row: usize,
        own: Lengths<f32>,
        others: Lengths<&[f32]>,
        products: &[f32],
        distances: &mut [f32],
        within: &mut Vec<u32>,
    ) {
        let limits = &self.limits[row + 1..];
        let limit = self.limits[row];
        backend.distances_within(own, others, products, limit, limits, distances, within);
        for &at in &*within {
            let (distance, other) = (distances[at as usize], row + 1 + at as usize);
            self.insert(row, distance, other);
            self.insert(other, distance, row);
        }
    }

    #[inline]
    fn insert(&mut self, row: usize, distance: f32, other: usize) {
        if distance >= self.limits[row] {
            return;
        }
        let places = &mut self.places[row * self.most..][..self.most];
        let count = &mut self.counts[row];
        // The last one falls out of a full list.
        let mut at = if *count == self.most { self.most - 1 } else { *count };
        while at > 0 && places[at - 1].distance > distance {
            places[at] = places[at - 1];
            at -= 1;
        }
        places[at] = Candidate { distance, row: other as u32 };
        *count = (*count + 1).min(self.most);
        if *count == self.most {
            self.limits[row] = self.limits[row].min(places[self.most - 1].distance);
        }
    }

    /// Merges every row's list into the lists of all rows.
    fn merge_into(&self, lists: &NeighbourLists, rows: &[u32], named: &mut Vec<Candidate>) {
        for ((&row, &count), found) in
            rows.iter().zip(&self.counts).zip(self.places.chunks(self.most))
        {
            named.clear();
            named.extend(found[..count].iter().map(|found| Candidate {
                distance: found.distance,
                row: rows[found.row as usize],
            }));
            lists.merge(row, named);
        }
    }
}
