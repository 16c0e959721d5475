//! A query, prepared to meet a graph.

use kernels::{Backend, Measure, Rotation, RowScorer, ScanTables};

use super::header::Header;
use crate::schema::Metric;

/// A query of one graph.
pub struct Query<'q> {
    pub(crate) vector: &'q [f32],
    pub(crate) scorer: RowScorer<'q>,
    pub(crate) tables: ScanTables,
    /// One over the vector's length, 0 for a zero vector.
    pub(crate) inverse_norm: f32,
    /// Turns a score into the similarity that walks compare.
    pub(crate) key_scale: f64,
    /// Similarity of the centre of all rows, on which estimates of entry points stand.
    pub(crate) entry_base: f32,
    /// Distance from that centre.
    pub(crate) distance: f32,
    /// Relative to that centre, rotated.
    pub(crate) point: Vec<f32>,
}

impl<'q> Query<'q> {
    /// `vector` is of the graph's dimension and finite.
    pub(crate) fn new(
        vector: &'q [f32],
        header: &Header,
        rotation: &Rotation,
        centre: &[f32],
        backend: Backend,
    ) -> Self {
        let metric = header.layout.metric;
        let norm = backend.norm_widened(vector);
        let inverse_norm = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        let unit = f64::from(header.unit);
        // A dot product's order does not depend on the query's length, its estimates do: they are
        // best where the query is about as long as rows are.
        let dot_scale = f64::from(header.typical) * inverse_norm;
        let (scale, key_scale) = match metric {
            Metric::Cosine => (inverse_norm, 2.0),
            Metric::Dot => (dot_scale, 2.0 * dot_scale / unit),
            Metric::L2 | Metric::Hamming => (1.0 / unit, 1.0 / (unit * unit)),
        };
        let scaled: Vec<f32> = vector.iter().map(|&x| (f64::from(x) * scale) as f32).collect();
        let mut point = vec![0.0; centre.len()];
        backend.rotate(rotation, &scaled, &mut point);
        for (x, centre) in point.iter_mut().zip(centre) {
            *x -= centre;
        }
        let mut tables = ScanTables::default();
        tables.prepare(backend, &point[..header.layout.coded]);
        let lengths = match metric {
            Metric::Cosine | Metric::Dot => backend.dot(&scaled, &scaled) + 1.0,
            Metric::L2 | Metric::Hamming => 0.0,
        };
        let measure = match metric {
            Metric::Cosine | Metric::Dot => Measure::Dot,
            Metric::L2 | Metric::Hamming => Measure::SquaredL2,
        };
        let scorer = backend.row_scorer(header.layout.element, measure, vector);
        let squared = backend.dot(&point, &point);
        Self {
            vector,
            scorer,
            tables,
            inverse_norm: inverse_norm as f32,
            key_scale,
            entry_base: lengths - squared,
            distance: squared.sqrt(),
            point,
        }
    }
}
