//! Rows found by their codes against exact search, over dimensions, metrics and data that is hard to
//! code.

mod common;

use std::cell::Cell;
use std::ops::ControlFlow;

use common::vectors::{METRICS, Vectors, grouped, mean, normal, recall, score};
use database::Metric;
use database::graph::{BuildOptions, CodedRows, GraphError, SearchOptions};

fn coded(rows: &Vectors, metric: Metric) -> CodedRows {
    let options = BuildOptions::new(rows.dimension, metric);
    CodedRows::new(rows, &options, &|_, _| ControlFlow::Continue(())).expect("coded")
}

/// What a search for the ten best finds, and how many rows it scored.
fn search(
    rows: &Vectors,
    codes: &CodedRows,
    metric: Metric,
    query: &[f32],
    floor: f32,
    accept: impl Fn(u32) -> bool,
) -> (Vec<(f32, u32)>, u32) {
    let scored = Cell::new(0);
    let score_row = |row: u32| {
        scored.set(scored.get() + 1);
        Ok::<_, ()>(score(metric, query, rows.get(row)) as f32)
    };
    let options = SearchOptions::new(10, rows.dimension);
    let prepared = codes.prepare(query);
    let found = codes.search(&prepared, &options, floor, accept, |_| (), score_row);
    (found.expect("scores do not fail"), scored.get())
}

fn mean_recall(
    rows: &Vectors,
    metric: Metric,
    queries: &Vectors,
    accept: impl Fn(u32) -> bool + Copy,
) -> f64 {
    let codes = coded(rows, metric);
    mean(queries, |query| {
        let (found, _) = search(rows, &codes, metric, query, f32::NEG_INFINITY, accept);
        recall(rows, metric, query, &found, 10, accept)
    })
}

#[test]
fn every_dimension_and_metric_finds_nearly_all() {
    for dimension in [1, 2, 3, 7, 63, 64, 65, 100, 384, 768, 1000] {
        let rows = grouped(4096, dimension, 40, 0.5, 1);
        let queries = grouped(40, dimension, 40, 0.5, 1);
        for metric in METRICS {
            let recall = mean_recall(&rows, metric, &queries, |_| true);
            assert!(recall >= 0.985, "{dimension} {metric:?}: {recall}");
        }
    }
}

#[test]
fn few_rows_and_refused_rows_cost_no_results() {
    for count in [0, 1, 2, 31, 32, 33, 200] {
        for metric in METRICS {
            let rows = normal(count, 5, 3);
            let recall = mean_recall(&rows, metric, &normal(10, 5, 4), |_| true);
            assert!(recall >= 0.99, "{count} {metric:?}: {recall}");
        }
    }
    let rows = grouped(4000, 48, 60, 0.6, 5);
    let queries = grouped(50, 48, 60, 0.6, 5);
    for share in [2, 10, 300] {
        let recall = mean_recall(&rows, Metric::L2, &queries, |row| row % share == 1);
        assert!(recall >= 0.99, "one in {share}: {recall}");
    }
    assert_eq!(mean_recall(&rows, Metric::L2, &queries, |_| false), 1.0);
}

#[test]
fn unequal_lengths_zeros_and_copies_keep_their_recall() {
    for metric in METRICS {
        let mut rows = grouped(3000, 64, 50, 0.5, 6);
        let queries = grouped(50, 64, 50, 0.5, 6);
        for (row, vector) in rows.values.chunks_mut(64).enumerate() {
            let length = if row % 7 == 0 { 0.0 } else { 1.5f32.powi(row as i32 % 10 - 5) };
            vector.iter_mut().for_each(|x| *x *= length);
        }
        let recall = mean_recall(&rows, metric, &queries, |_| true);
        assert!(recall >= 0.98, "lengths {metric:?}: {recall}");
        let copy = rows.get(1).to_vec();
        rows.values.chunks_mut(64).skip(1000).for_each(|row| row.copy_from_slice(&copy));
        let recall = mean_recall(&rows, metric, &queries, |_| true);
        assert!(recall >= 0.95, "copies {metric:?}: {recall}");
        let zero_query = Vectors { values: vec![0.0; 64], dimension: 64 };
        assert!(mean_recall(&rows, metric, &zero_query, |_| true) >= 0.98, "{metric:?}");
    }
}

#[test]
fn a_floor_leaves_out_what_is_worse_and_spares_the_scores() {
    let rows = grouped(4096, 384, 64, 0.5, 9);
    let queries = grouped(64, 384, 64, 0.5, 9);
    let codes = coded(&rows, Metric::Cosine);
    let (mut all, mut few) = (0, 0);
    for row in 0..queries.len() {
        let query = queries.get(row);
        let (found, scored) =
            search(&rows, &codes, Metric::Cosine, query, f32::NEG_INFINITY, |_| true);
        all += scored;
        let floor = found[2].0;
        let (above, _) = search(&rows, &codes, Metric::Cosine, query, floor, |_| true);
        let expected: Vec<_> = found.into_iter().filter(|(score, _)| *score >= floor).collect();
        assert_eq!(above, expected);
        let (none, scored) = search(&rows, &codes, Metric::Cosine, query, 1.5, |_| true);
        assert_eq!(none, []);
        few += scored;
    }
    assert!(all < queries.len() * rows.len() / 8, "{all} rows scored");
    assert_eq!(few, 0, "rows that cannot have such scores");
}

#[test]
fn errors_and_the_wish_to_stop_come_through() {
    let rows = normal(100, 16, 13);
    let codes = coded(&rows, Metric::L2);
    let query = codes.prepare(rows.get(0));
    let options = SearchOptions::new(10, 16);
    let failing = |row| if row == 0 { Err("damaged") } else { Ok(0.0) };
    let found = codes.search(&query, &options, f32::NEG_INFINITY, |_| true, |_| (), failing);
    assert_eq!(found, Err("damaged"));
    let stopped =
        CodedRows::new(&rows, &BuildOptions::new(16, Metric::L2), &|_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(GraphError::Interrupted)));
}
