//! Search gives what scoring every row gives, to the last bit and in the same order, although it
//! rules most rows out by their codes.

mod common;

use common::open_batch;
use database::{Batch, Filter, Id, Metric, Schema, SearchOptions};
use kernels::Backend;
use proptest::prelude::*;
use serde_json::json;
use tempfile::tempdir;

/// Numbers in -1..1, told by the seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn vector(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.next()).collect()
    }
}

/// Rows around a few centres, `spread` apart, so that many scores lie within the codes' error.
fn rows(numbers: &mut Numbers, count: usize, dimension: usize, spread: f32) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> = (0..3).map(|_| numbers.vector(dimension)).collect();
    (0..count)
        .map(|row| {
            let centre = &centres[row % centres.len()];
            centre.iter().map(|x| x + spread * numbers.next()).collect()
        })
        .collect()
}

/// Larger is better, by the kernels that the search ends with.
fn score(metric: Metric, query: &[f32], row: &[f32]) -> f32 {
    let kernels = Backend::active();
    let inverse = |x: &[f32]| match kernels.norm_widened(x) {
        0.0 => 0.0,
        norm => (1.0 / norm) as f32,
    };
    match metric {
        Metric::Dot => kernels.dot(query, row),
        Metric::L2 => -kernels.squared_l2(query, row),
        Metric::Hamming => unreachable!("tests/hamming.rs is about it"),
        Metric::Cosine => kernels.dot(query, row) * (inverse(row) * inverse(query)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn search_agrees_with_scoring_every_row(
        seed in 1u64..,
        metric in prop::sample::select(vec![Metric::Cosine, Metric::Dot, Metric::L2]),
        dimension in prop::sample::select(vec![1usize, 63, 64, 65, 100, 384]),
        spread in prop::sample::select(vec![0.0f32, 1e-6, 1e-3, 0.1, 1.0]),
        scale in prop::sample::select(vec![1e-6f32, 1.0, 1e6]),
        outlier in prop::sample::select(vec![1.0f32, 1000.0]),
    ) {
        let mut numbers = Numbers(seed);
        let mut rows = rows(&mut numbers, 1500, dimension, spread);
        for row in &mut rows {
            // One large element makes the codes of all the others coarse.
            row[0] *= outlier;
            row.iter_mut().for_each(|x| *x *= scale);
        }
        rows[7].fill(0.0);
        let folder = tempdir().unwrap();
        let database = open_batch(folder.path());
        let records = database.collection("c", Some(Schema::new(dimension, metric))).unwrap();
        records
            .upsert(Batch {
                ids: (0..rows.len() as i64).map(Id::Int).collect(),
                vectors: rows.concat(),
                ..Batch::default()
            })
            .unwrap();
        records.delete(&[Id::Int(3), Id::Int(900)]).unwrap();
        let filter = Filter::parse(&json!({"$id": {"$not": {"$in": [0, 1, 2, 5, 8]}}})).unwrap();

        let mut queries = vec![rows[3].clone(), rows[10].clone(), numbers.vector(dimension)];
        queries.push(vec![0.0; dimension]);
        for (limit, filter) in [(1, None), (10, None), (10, Some(&filter)), (5000, None)] {
            let options = SearchOptions { filter, ..SearchOptions::new(limit) };
            let found = records.search_batch(&queries.concat(), queries.len(), &options).unwrap();
            for (query, found) in queries.iter().zip(found) {
                let mut expected: Vec<(f32, i64)> = (0..rows.len() as i64)
                    .filter(|id| ![3, 900].contains(id))
                    .filter(|id| filter.is_none() || ![0, 1, 2, 5, 8].contains(id))
                    .map(|id| (score(metric, query, &rows[id as usize]) + 0.0, id))
                    .collect();
                expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                expected.truncate(limit);
                let visible = |score: f32| if metric == Metric::L2 { -score + 0.0 } else { score };
                let expected: Vec<_> =
                    expected.into_iter().map(|(score, id)| (Id::Int(id), visible(score))).collect();
                let found: Vec<_> =
                    found.into_iter().map(|found| (found.id, found.score)).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
