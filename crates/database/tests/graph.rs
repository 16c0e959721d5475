//! The graph against exact search, over dimensions, metrics, sizes and data that is hard to index;
//! and what becomes of damaged bytes.

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use common::vectors::{METRICS, Noise, Vectors, grouped, mean, normal, recall};
use database::Metric;
use database::graph::{
    BuildOptions, ElementType, Graph, GraphError, Rows, Scratch, SearchOptions, build, layout,
};

fn region(rows: &Vectors, metric: Metric) -> Vec<u8> {
    let mut region = Vec::new();
    let options = BuildOptions::new(rows.dimension, metric);
    build(rows, &options, &|_, _| ControlFlow::Continue(()), &mut region).expect("build");
    region
}

fn mean_recall(
    rows: &Vectors,
    metric: Metric,
    queries: &Vectors,
    accept: impl Fn(u32) -> bool + Copy,
) -> f64 {
    let bytes = region(rows, metric);
    let graph = Graph::open(bytes.as_slice()).expect("open");
    let mut scratch = Scratch::default();
    let options = SearchOptions::new(10, graph.dimension());
    mean(queries, |vector| {
        let found = graph.search(&graph.prepare(vector), &options, accept, &mut scratch);
        recall(rows, metric, vector, &found, 10, accept)
    })
}

#[test]
fn every_dimension_and_metric_keeps_its_recall() {
    for dimension in [1, 2, 3, 7, 63, 64, 65, 100, 384, 768, 1000] {
        let rows = grouped(1500, dimension, 40, 0.5, 1);
        let queries = grouped(40, dimension, 40, 0.5, 1);
        for metric in METRICS {
            let recall = mean_recall(&rows, metric, &queries, |_| true);
            assert!(recall >= 0.95, "{dimension} {metric:?}: {recall}");
        }
    }
}

#[test]
fn small_graphs_are_exact() {
    for count in [0, 1, 2, 3, 9, 31, 32, 33, 60] {
        for metric in METRICS {
            let rows = normal(count, 5, 3);
            let recall = mean_recall(&rows, metric, &normal(10, 5, 4), |_| true);
            assert_eq!(recall, 1.0, "{count} {metric:?}");
        }
    }
}

#[test]
fn a_refused_row_is_walked_through() {
    let rows = grouped(4000, 48, 60, 0.6, 5);
    let queries = grouped(50, 48, 60, 0.6, 5);
    for keep in [70, 50, 10, 1] {
        let accept = |row: u32| row.wrapping_mul(2_654_435_761) >> 8 & 127 < keep * 128 / 100;
        let recall = mean_recall(&rows, Metric::L2, &queries, accept);
        assert!(recall >= 0.95, "{keep} % pass: {recall}");
    }
    // Correlated with the query: every row of a group but one.
    let recall = mean_recall(&rows, Metric::L2, &queries, |row| row % 60 == 7);
    assert!(recall >= 0.95, "one group: {recall}");
    assert_eq!(mean_recall(&rows, Metric::L2, &queries, |row| row < 3), 1.0);
    assert_eq!(mean_recall(&rows, Metric::L2, &queries, |_| false), 1.0);
}

#[test]
fn rows_that_were_chosen_are_found_by_their_codes() {
    for dimension in [3, 100, 384] {
        let mut rows = grouped(1500, dimension, 40, 0.5, 1);
        let queries = grouped(40, dimension, 40, 0.5, 1);
        for metric in METRICS {
            for row in [5, 700] {
                rows.values[row * dimension..][..dimension].fill(0.0);
            }
            let bytes = region(&rows, metric);
            let graph = Graph::open(bytes.as_slice()).expect("open");
            let options = SearchOptions::new(10, graph.coded());
            for step in [1, 3, 100] {
                let chosen: Vec<u32> = (0..graph.count()).step_by(step).collect();
                let codes = graph.choose(&chosen);
                for (dead, least) in [(u32::MAX, 0.985), (7, 0.985), (1, 1.0)] {
                    let accept = |row: u32| !row.is_multiple_of(dead);
                    let passes = |row: u32| (row as usize).is_multiple_of(step) && accept(row);
                    let recall = mean(&queries, |vector| {
                        let query = graph.prepare(vector);
                        let found = graph.search_chosen(&codes, &query, &options, accept);
                        assert!(found.iter().all(|&(_, row)| passes(row)));
                        recall(&rows, metric, vector, &found, 10, passes)
                    });
                    assert!(recall >= least, "{dimension} {metric:?} {step}: {recall}");
                }
            }
            assert_eq!(graph.choose(&[]).memory_bytes(), 0);
        }
    }
}

#[test]
fn codes_of_all_rows_find_more_with_less_effort() {
    for (count, dimension) in [(0, 5), (1, 5), (33, 64), (1500, 3), (1500, 100), (3000, 384)] {
        for metric in METRICS {
            let mut rows = grouped(count, dimension, 40, 0.5, 1);
            let queries = grouped(40, dimension, 40, 0.5, 1);
            for row in rows.values.chunks_mut(dimension).skip(100).step_by(90) {
                row.fill(0.0);
            }
            let bytes = region(&rows, metric);
            let graph = Graph::open(bytes.as_slice()).expect("open");
            let fine = graph.fine_rows(&|| true).expect("nobody stops it");
            assert_eq!(graph.fine_rows(&|| false).is_none(), count > 0);
            let expected = database::graph::FineRows::bytes_of(&graph);
            assert!(fine.memory_bytes().abs_diff(expected) <= 1 << 16, "{expected}");
            let mut scratch = Scratch::default();
            let mut recalls = |effort, accept: &dyn Fn(u32) -> bool| {
                let options = SearchOptions { effort, ..SearchOptions::new(10, graph.coded()) };
                [None, Some(&fine)].map(|fine| {
                    mean(&queries, |vector| {
                        let query = graph.prepare(vector);
                        let found = graph.search_with(fine, &query, &options, accept, &mut scratch);
                        assert!(
                            found.iter().all(|&(score, row)| graph.score(&query, row) == score)
                        );
                        recall(&rows, metric, vector, &found, 10, accept)
                    })
                })
            };
            let [without, with] = recalls(12, &|_| true);
            assert!(with >= without - 0.01, "{count} {dimension} {metric:?}: {with} {without}");
            let [_, with] = recalls(48, &|_| true);
            assert!(with >= 0.95, "{count} {dimension} {metric:?}: {with}");
            let tenth = |row: u32| row.wrapping_mul(2_654_435_761) >> 8 & 127 < 13;
            let [_, with] = recalls(21, &tenth);
            assert!(with >= 0.93, "{count} {dimension} {metric:?}, a tenth passes: {with}");
            let [_, with] = recalls(15, &|row| row % 500 == 3);
            assert_eq!(with, 1.0, "{count} {dimension} {metric:?}, hardly any pass");
        }
    }
}

#[test]
fn dot_products_of_very_unequal_vectors_keep_their_recall() {
    let mut rows = grouped(3000, 64, 50, 0.5, 6);
    let mut noise = Noise(99);
    for row in rows.values.chunks_mut(64) {
        let length = noise.normal().exp();
        row.iter_mut().for_each(|x| *x *= length);
    }
    for query_length in [1e-6, 1.0, 1e6] {
        let mut queries = grouped(50, 64, 50, 0.5, 6);
        queries.values.iter_mut().for_each(|x| *x *= query_length);
        let recall = mean_recall(&rows, Metric::Dot, &queries, |_| true);
        assert!(recall >= 0.95, "{query_length}: {recall}");
    }
}

#[test]
fn copies_zeros_and_tight_groups_keep_their_recall() {
    for metric in METRICS {
        let queries = grouped(40, 32, 40, 0.5, 8);
        let mut rows = grouped(5000, 32, 40, 0.5, 8);
        // Three thousand copies of one vector, which are near some of the queries.
        let copy = rows.get(0).to_vec();
        for row in rows.values.chunks_mut(32).skip(2000) {
            row.copy_from_slice(&copy);
        }
        let recall = mean_recall(&rows, metric, &queries, |_| true);
        assert!(recall >= 0.95, "copies {metric:?}: {recall}");
        assert_eq!(mean_recall(&rows, metric, &queries, |row| row >= 2000), 1.0);

        rows.values[32 * 2000..].fill(0.0);
        let recall = mean_recall(&rows, metric, &queries, |_| true);
        assert!(recall >= 0.95, "zeros {metric:?}: {recall}");

        let tight = grouped(5000, 32, 400, 1e-3, 10);
        let near = grouped(400, 32, 400, 1e-3, 10);
        let recall = mean_recall(&tight, metric, &near, |_| true);
        assert!(recall >= 0.95, "tight groups {metric:?}: {recall}");
        let recall = mean_recall(&tight, metric, &queries, |_| true);
        // A thousandth of the distance tells the rows of a group apart.
        assert!(recall >= 0.9, "tight groups from afar {metric:?}: {recall}");

        let zeros = Vectors { values: vec![0.0; 32 * 300], dimension: 32 };
        assert_eq!(mean_recall(&zeros, metric, &queries, |_| true), 1.0);
        let zero_query = Vectors { values: vec![0.0; 32], dimension: 32 };
        assert!(mean_recall(&rows, metric, &zero_query, |_| true) >= 0.9, "{metric:?}");
    }
}

#[test]
fn magnitude_does_not_matter() {
    for magnitude in [1e-30f32, 1e-12, 1e12, 1e30] {
        let mut rows = grouped(1000, 24, 20, 0.5, 11);
        let mut queries = grouped(20, 24, 20, 0.5, 11);
        rows.values.iter_mut().for_each(|x| *x *= magnitude);
        queries.values.iter_mut().for_each(|x| *x *= magnitude);
        let recall = mean_recall(&rows, Metric::Cosine, &queries, |_| true);
        assert!(recall >= 0.95, "{magnitude}: {recall}");
        if (1e-13..1e13).contains(&magnitude) {
            for metric in [Metric::Dot, Metric::L2] {
                let recall = mean_recall(&rows, metric, &queries, |_| true);
                assert!(recall >= 0.95, "{magnitude} {metric:?}: {recall}");
            }
        }
    }
}

#[test]
fn vectors_come_back_as_they_were_written() {
    let rows = normal(200, 37, 12);
    for metric in METRICS {
        let bytes = region(&rows, metric);
        let options = BuildOptions::new(37, metric);
        assert!(bytes.len() as u64 >= options.region_bytes(200));
        let graph = Graph::open(bytes.as_slice()).expect("open");
        assert_eq!(graph.region_bytes(), bytes.len() as u64);
        let mut vector = vec![0.0; 37];
        for row in 0..200 {
            graph.vector(row, &mut vector);
            assert_eq!(vector, rows.get(row));
            graph.verify(row).expect("whole");
        }
    }
}

#[test]
fn every_type_of_element_is_searched_by_what_it_keeps() {
    let rows = grouped(1500, 100, 30, 0.5, 15);
    let queries = grouped(30, 100, 30, 0.5, 15);
    for element in ElementType::NUMBERS {
        for metric in METRICS {
            let mut options = BuildOptions::new(100, metric);
            options.element = element;
            options.code_bits = 64;
            let mut bytes = Vec::new();
            build(&rows, &options, &|_, _| ControlFlow::Continue(()), &mut bytes).expect("build");
            let graph = Graph::open(bytes.as_slice()).expect("open");
            assert_eq!(graph.element(), element);
            let mut kept = Vectors { values: vec![0.0; rows.values.len()], dimension: 100 };
            for (row, out) in kept.values.chunks_mut(100).enumerate() {
                graph.vector(row as u32, out);
            }
            let mut sum = 0.0;
            for row in 0..queries.count() {
                let vector = queries.get(row);
                let query = graph.prepare(vector);
                let options = SearchOptions::new(10, graph.dimension());
                let found = graph.search(&query, &options, |_| true, &mut Scratch::default());
                sum += recall(&kept, metric, vector, &found, 10, |_| true);
            }
            let recall = sum / f64::from(queries.count());
            assert!(recall >= 0.9, "{element:?} {metric:?}: {recall}");
        }
    }
}

#[test]
fn a_build_can_be_interrupted_at_any_step() {
    let rows = normal(700, 16, 13);
    let options = BuildOptions::new(16, Metric::L2);
    let calls = AtomicU64::new(0);
    let mut out = Vec::new();
    build(
        &rows,
        &options,
        &|done, total| {
            assert!(done <= total);
            calls.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Continue(())
        },
        &mut out,
    )
    .expect("build");
    let calls = calls.into_inner();
    assert!(calls > 10, "{calls}");
    for stop in (0..calls).step_by((calls / 12) as usize) {
        let left = AtomicU64::new(stop);
        let progress =
            |_, _| match left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            {
                Ok(_) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
        let error = build(&rows, &options, &progress, &mut Vec::new()).expect_err("interrupted");
        assert!(matches!(error, GraphError::Interrupted), "{error}");
    }
}

#[test]
fn damaged_bytes_are_refused_or_lead_astray_but_do_no_harm() {
    let rows = grouped(300, 40, 10, 0.5, 14);
    let whole = region(&rows, Metric::Cosine);
    let queries = grouped(3, 40, 10, 0.5, 14);
    let check = |bytes: &[u8]| match Graph::open(bytes) {
        Err(_) => false,
        Ok(graph) => {
            for row in 0..3 {
                let query = graph.prepare(queries.get(row));
                let options = SearchOptions::new(10, graph.dimension());
                let found = graph.search(&query, &options, |_| true, &mut Scratch::default());
                assert_eq!(found.len(), 10);
                assert!(found.iter().all(|&(score, row)| !score.is_nan() && row < 300));
            }
            true
        }
    };
    assert!(check(&whole));
    for length in [0, 1, 59, 60, 4095, 4096, 10_000, whole.len() - 1] {
        assert!(!check(&whole[..length]), "cut to {length}");
    }
    for at in 0..layout::GRAPH_HEADER_BYTES {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        assert!(!check(&bytes), "byte {at} of the header");
    }
    let mut noise = Noise(77);
    for round in 0..300 {
        let mut bytes = whole.clone();
        let from =
            layout::PAGE_BYTES + (noise.uniform() * 0.99 * (whole.len() - 4096) as f32) as usize;
        let to = (from + 1 + (noise.uniform() * 20_000.0) as usize).min(whole.len());
        for byte in &mut bytes[from..to] {
            *byte = if round % 3 == 0 { 0xFF } else { (noise.uniform() * 256.0) as u8 };
        }
        if check(&bytes) {
            let graph = Graph::open(bytes.as_slice()).expect("open");
            let damaged = (0..300).filter(|&row| graph.verify(row).is_err()).count();
            assert!(damaged > 0 || bytes == whole, "{from}..{to}");
        }
    }
}
