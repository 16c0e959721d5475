//! The score of rows against a query. Inside the crate a larger score is always better.

use std::sync::OnceLock;

use kernels::{Backend, ElementType, Measure, QuantizedQuery, RowFactors, StoredRows};

use crate::schema::Metric;

/// Norms outside of this range are left to double precision: squares of smaller numbers vanish in
/// single precision, those of larger ones overflow.
const SAFE_NORMS: std::ops::RangeInclusive<f64> = 1e-15..=1e15;

/// One over a vector's length; 0 for a zero vector, so that its cosine is 0; NaN for a vector
/// that single precision cannot handle, which sends its rows down the exact path.
pub(crate) fn inverse_norm(vector: &[f32]) -> f32 {
    let norm = Backend::active().norm_widened(vector);
    if norm == 0.0 {
        0.0
    } else if SAFE_NORMS.contains(&norm) {
        (1.0 / norm) as f32
    } else {
        f32::NAN
    }
}

/// A query, prepared to meet many rows.
pub struct Query<'a> {
    vector: &'a [f32],
    metric: Metric,
    inverse_norm: f32,
    /// Made when codes are first met: a search of graphs alone never does.
    quantized: OnceLock<QuantizedQuery>,
    /// For Hamming, the vector's packed bits.
    bits: Vec<u8>,
}

impl<'a> Query<'a> {
    /// A vector of finite numbers; for Hamming, of bytes.
    pub fn new(vector: &'a [f32], metric: Metric) -> Self {
        let inverse_norm = match metric {
            Metric::Cosine => inverse_norm(vector),
            Metric::Dot | Metric::L2 | Metric::Hamming => 1.0,
        };
        let bits = match metric {
            Metric::Hamming => packed(vector),
            Metric::Cosine | Metric::Dot | Metric::L2 => Vec::new(),
        };
        Self { vector, metric, inverse_norm, quantized: OnceLock::new(), bits }
    }

    /// The vector as it was given.
    pub(crate) fn vector(&self) -> &'a [f32] {
        self.vector
    }

    /// The best score that each row can have, from its codes alone, which takes a quarter of the
    /// memory traffic of scoring it. NaN and infinity mean that the codes do not tell.
    pub(crate) fn ceilings(
        &self,
        codes: &[i8],
        factors: &[RowFactors],
        inverse_norms: &[f32],
        ceilings: &mut [f32],
    ) {
        let quantized = self.quantized.get_or_init(|| QuantizedQuery::new(self.vector));
        Backend::active().estimate_dots(quantized, codes, factors, ceilings);
        match self.metric {
            Metric::Dot => {
                for (ceiling, row) in ceilings.iter_mut().zip(factors) {
                    *ceiling = quantized.dot_ceiling(*ceiling, row);
                }
            }
            Metric::Cosine => {
                for ((ceiling, row), inverse) in ceilings.iter_mut().zip(factors).zip(inverse_norms)
                {
                    let dot = quantized.dot_ceiling(*ceiling, row);
                    *ceiling = dot * inverse * self.inverse_norm;
                }
            }
            Metric::L2 => {
                for (ceiling, row) in ceilings.iter_mut().zip(factors) {
                    *ceiling = -quantized.squared_l2_floor(*ceiling, row);
                }
            }
            Metric::Hamming => ceilings.fill(f32::INFINITY),
        }
    }

    /// Scores row-major `rows`; `inverse_norms` holds one a row for cosine and is not read for
    /// the other metrics. No score is NaN.
    pub(crate) fn score_rows(&self, rows: &[f32], inverse_norms: &[f32], scores: &mut [f32]) {
        let dimension = self.vector.len();
        match self.metric {
            Metric::Dot => Backend::active().dot_many(self.vector, rows, scores),
            Metric::Cosine => {
                Backend::active().dot_many(self.vector, rows, scores);
                for (score, inverse_norm) in scores.iter_mut().zip(inverse_norms) {
                    *score *= inverse_norm * self.inverse_norm;
                }
            }
            Metric::L2 => {
                Backend::active().squared_l2_many(self.vector, rows, scores);
                for score in scores.iter_mut() {
                    *score = -*score;
                }
            }
            Metric::Hamming => self.score_bits(&packed(rows), scores),
        }
        for (score, row) in scores.iter_mut().zip(rows.chunks_exact(dimension)) {
            if !score.is_finite() {
                *score = exact_score(self.vector, row, self.metric);
            }
        }
    }

    /// As [`Query::score_rows`], of rows as they are stored.
    pub(crate) fn score_stored(
        &self,
        element: ElementType,
        stored: &[u8],
        inverse_norms: &[f32],
        scores: &mut [f32],
    ) {
        if element == ElementType::Bits {
            return self.score_bits(stored, scores);
        }
        let kernels = Backend::active();
        let dimension = self.vector.len();
        let rows = StoredRows::new(element, dimension, element.row_bytes(dimension), stored);
        let measure = match self.metric {
            Metric::Dot | Metric::Cosine => Measure::Dot,
            Metric::L2 => Measure::SquaredL2,
            Metric::Hamming => unreachable!("a schema has this metric for packed bits alone"),
        };
        kernels.row_scorer(element, measure, self.vector).score_from(rows, 0, scores);
        match self.metric {
            Metric::Dot | Metric::Hamming => {}
            Metric::Cosine => {
                for (score, inverse_norm) in scores.iter_mut().zip(inverse_norms) {
                    *score *= inverse_norm * self.inverse_norm;
                }
            }
            Metric::L2 => scores.iter_mut().for_each(|score| *score = -*score),
        }
        for (row, score) in scores.iter_mut().enumerate() {
            if !score.is_finite() {
                let mut vector = vec![0.0; dimension];
                kernels.decode_row(element, rows.row(row), &mut vector);
                *score = exact_score(self.vector, &vector, self.metric);
            }
        }
    }

    /// Scores rows of packed bits, one after the other.
    fn score_bits(&self, rows: &[u8], scores: &mut [f32]) {
        let mut differing = [0u32; ROWS_AT_ONCE];
        let of_block = self.bits.len() * ROWS_AT_ONCE;
        for (rows, scores) in rows.chunks(of_block).zip(scores.chunks_mut(ROWS_AT_ONCE)) {
            let differing = &mut differing[..scores.len()];
            Backend::active().hamming_many(&self.bits, rows, differing);
            for (score, &differing) in scores.iter_mut().zip(&*differing) {
                *score = -(differing as f32);
            }
        }
    }
}

/// Distances of packed bits that are counted before they become scores.
const ROWS_AT_ONCE: usize = 64;

/// The bytes that numbers stand for.
fn packed(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().map(|&number| number as u8).collect()
}

/// In double precision, where nothing of single precision's range can overflow or vanish.
#[cold]
pub(crate) fn exact_score(query: &[f32], row: &[f32], metric: Metric) -> f32 {
    let kernels = Backend::active();
    let score = match metric {
        Metric::Dot => kernels.dot_widened(query, row),
        Metric::Cosine => kernels.cosine_widened(query, row),
        Metric::L2 => -kernels.squared_l2_widened(query, row),
        Metric::Hamming => -(kernels.hamming(&packed(query), &packed(row)) as f64),
    };
    score as f32
}

/// Turns what the user sees into a score.
pub(crate) fn inner(visible: f32, metric: Metric) -> f32 {
    match metric {
        Metric::Cosine | Metric::Dot => visible,
        Metric::L2 | Metric::Hamming => -visible,
    }
}

/// Turns a score into what the user sees: for L2 and Hamming, the distance itself.
pub(crate) fn visible(score: f32, metric: Metric) -> f32 {
    match metric {
        Metric::Cosine | Metric::Dot => score,
        // Adding zero keeps an exact match from showing as -0.
        Metric::L2 | Metric::Hamming => -score + 0.0,
    }
}
