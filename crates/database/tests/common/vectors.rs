//! Vectors, and what the rows nearest to one of them are.

use database::Metric;
use database::graph::Rows;

pub(crate) struct Vectors {
    pub(crate) values: Vec<f32>,
    pub(crate) dimension: usize,
}

impl Rows for Vectors {
    fn count(&self) -> u32 {
        self.len()
    }
    fn copy(&self, row: u32, out: &mut [f32]) {
        out.copy_from_slice(self.get(row));
    }
}

impl Vectors {
    pub(crate) fn len(&self) -> u32 {
        (self.values.len() / self.dimension) as u32
    }

    pub(crate) fn get(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.dimension..][..self.dimension]
    }
}

/// Reproducible and roughly normal.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
    pub(crate) fn vector(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.normal()).collect()
    }
}

pub(crate) fn normal(count: usize, dimension: usize, seed: u64) -> Vectors {
    let mut noise = Noise(seed | 1 << 40);
    Vectors { values: noise.vector(count * dimension), dimension }
}

/// As embeddings are: many overlapping groups.
pub(crate) fn grouped(
    count: usize,
    dimension: usize,
    groups: usize,
    spread: f32,
    seed: u64,
) -> Vectors {
    let mut noise = Noise(seed | 1 << 40);
    let centres: Vec<Vec<f32>> = (0..groups).map(|_| noise.vector(dimension)).collect();
    let mut values = Vec::new();
    for row in 0..count {
        values.extend(centres[row % groups].iter().map(|x| x + spread * noise.normal()));
    }
    Vectors { values, dimension }
}

pub(crate) const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

pub(crate) fn score(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    match metric {
        Metric::Dot => dot(a, b),
        Metric::Cosine => {
            let norms = (dot(a, a) * dot(b, b)).sqrt();
            if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
        }
        Metric::L2 => {
            -a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>()
        }
        Metric::Hamming => unreachable!("no index is made for it"),
    }
}

/// The mean of what `recall` says of each query.
pub(crate) fn mean(queries: &Vectors, recall: impl FnMut(&[f32]) -> f64) -> f64 {
    let sum: f64 = (0..queries.len()).map(|row| queries.get(row)).map(recall).sum();
    sum / f64::from(queries.len())
}

/// The part of `limit` rows whose true score reaches that of the true `limit`-th: equal scores are
/// equally right.
pub(crate) fn recall(
    rows: &Vectors,
    metric: Metric,
    query: &[f32],
    found: &[(f32, u32)],
    limit: usize,
    accept: impl Fn(u32) -> bool,
) -> f64 {
    let mut exact: Vec<f64> = (0..rows.count())
        .filter(|&row| accept(row))
        .map(|row| score(metric, query, rows.get(row)))
        .collect();
    exact.sort_by(|a, b| b.total_cmp(a));
    let limit = limit.min(exact.len());
    assert_eq!(found.len(), limit, "as many as there are");
    if limit == 0 {
        return 1.0;
    }
    let size = exact.iter().fold(1e-30f64, |most, score| most.max(score.abs()));
    let mut hits = 0;
    for (index, &(found_score, row)) in found.iter().enumerate() {
        assert!(accept(row), "row {row} is refused");
        assert!(found[..index].iter().all(|other| other.1 != row), "row {row} comes twice");
        let exact_score = score(metric, query, rows.get(row));
        assert!((f64::from(found_score) - exact_score).abs() <= 1e-5 * size, "score of {row}");
        hits += usize::from(exact_score >= exact[limit - 1] - 1e-6 * size);
    }
    assert!(found.windows(2).all(|pair| pair[0].0 >= pair[1].0), "best first");
    hits as f64 / limit as f64
}
