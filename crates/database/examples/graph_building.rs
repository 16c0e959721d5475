//! How long building a graph takes, phase by phase, and how good the graph is.
//!
//! `cargo run --release -p database --example graph_building ROWS.npy QUERIES.npy [METRIC] [THREADS]`
//! takes two matrices of little-endian `float32` as `numpy.save` writes them. It prints the seconds of
//! each phase, and for some efforts how many of the 10 nearest rows a search finds and how long it
//! takes on one thread, by what lies in the nodes and by the codes of all rows: a change of the builder
//! is good if it saves time and these stay as they were.
//! For cosine the vectors are of unit length. It exits with an error where the two matrices are not of one dimension.

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Instant;

use database::Metric;
use database::graph::{
    BuildOptions, FineRows, Graph, GraphError, Rows, Scratch, SearchOptions, build,
};
use rayon::prelude::*;

const LIMIT: usize = 10;
const EFFORTS: [usize; 6] = [12, 16, 24, 48, 64, 104];
const ROUNDS: usize = 3;

/// What a build does until its progress is at so many thousandths.
const PHASES: [(u64, &str); 7] = [
    (10, "points of the space"),
    (55, "partition"),
    (355, "near rows of every part"),
    (480, "diverse neighbours"),
    (795, "walks to every row"),
    (900, "diverse neighbours again"),
    (1000, "entry points and writing"),
];

struct Matrix {
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn read(path: &str) -> Result<Self, Box<dyn Error>> {
        let bytes = std::fs::read(path)?;
        let length =
            *bytes.get(8..10).and_then(|length| length.first_chunk()).ok_or("too short")?;
        let data = 10 + usize::from(u16::from_le_bytes(length));
        let header = std::str::from_utf8(bytes.get(10..data).ok_or("too short")?)?;
        if !bytes.starts_with(b"\x93NUMPY\x01") || !header.contains("'<f4'") {
            return Err(
                format!("{path} is no matrix of float32 in the format of numpy.save").into()
            );
        }
        let shape = header.split(['(', ')']).nth(1).ok_or("a shape")?;
        let columns = shape.split(',').nth(1).ok_or("a matrix")?.trim().parse()?;
        let values = bytes[data..].as_chunks::<4>().0;
        Ok(Self { columns, values: values.iter().map(|x| f32::from_le_bytes(*x)).collect() })
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }
}

impl Rows for Matrix {
    fn count(&self) -> u32 {
        (self.values.len() / self.columns) as u32
    }

    fn copy(&self, row: u32, out: &mut [f32]) {
        out.copy_from_slice(self.row(row as usize));
    }
}

/// A score by which rows have the order of the metric, where they are of unit length for cosine.
fn score(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    match metric {
        Metric::Dot | Metric::Cosine => kernels::dot(a, b),
        Metric::L2 | Metric::Hamming => -kernels::squared_l2(a, b),
    }
}

/// The least score of the nearest rows of each query.
fn thresholds(rows: &Matrix, queries: &Matrix, metric: Metric) -> Vec<f32> {
    let of_query = |query: usize| {
        let score = |row| score(metric, queries.row(query), rows.row(row));
        let mut scores: Vec<f32> = (0..rows.count() as usize).map(score).collect();
        let last = LIMIT.min(scores.len()) - 1;
        *scores.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1
    };
    (0..queries.count() as usize).into_par_iter().map(of_query).collect()
}

fn build_and_time(rows: &Matrix, options: &BuildOptions) -> Result<Vec<u8>, GraphError> {
    let mut region = Vec::with_capacity(options.region_bytes(rows.count()) as usize);
    let start = Instant::now();
    let ends = Mutex::new([f64::NAN; PHASES.len()]);
    let note = |done: u64, _whole: u64| {
        let mut ends = ends.lock().expect("nobody panics");
        for ((end, _), at) in PHASES.iter().zip(ends.iter_mut()) {
            if done >= *end && at.is_nan() {
                *at = start.elapsed().as_secs_f64();
            }
        }
        ControlFlow::Continue(())
    };
    build(rows, options, &note, &mut region)?;
    let whole = start.elapsed().as_secs_f64();
    let ends = ends.into_inner().expect("nobody panics");
    let mut before = 0.0;
    for ((_, name), end) in PHASES.iter().zip(ends) {
        println!("{:8.2} s  {name}", end - before);
        before = end;
    }
    println!("{whole:8.2} s  altogether: {:.0} rows/s", f64::from(rows.count()) / whole);
    Ok(region)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, queries] = arguments.first_chunk().ok_or("files of the rows and of the queries")?;
    let (rows, queries) = (Matrix::read(rows)?, Matrix::read(queries)?);
    if rows.columns != queries.columns {
        return Err("rows and queries of one dimension".into());
    }
    let metric = match arguments.get(2).map(String::as_str) {
        None | Some("cosine") => Metric::Cosine,
        Some("dot") => Metric::Dot,
        Some("l2") => Metric::L2,
        Some(other) => return Err(format!("no metric: {other}").into()),
    };
    let threads = arguments.get(3).map_or(Ok(2), |threads| threads.parse())?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let options = BuildOptions::new(rows.columns, metric);
    let region = pool.install(|| build_and_time(&rows, &options))?;
    let thresholds = pool.install(|| thresholds(&rows, &queries, metric));
    let graph = Graph::open(region)?;
    let measured = Measured { rows: &rows, queries: &queries, metric, thresholds: &thresholds };
    println!("by what lies in the nodes");
    measured.search(&graph, None);
    println!("by the codes of all rows");
    let start = Instant::now();
    let fine = graph.fine_rows(&|| true);
    println!("{:8.2} s  coding them", start.elapsed().as_secs_f64());
    measured.search(&graph, fine.as_ref());
    Ok(())
}

/// What is searched for.
struct Measured<'a> {
    rows: &'a Matrix,
    queries: &'a Matrix,
    metric: Metric,
    thresholds: &'a [f32],
}

impl Measured<'_> {
    /// Prints what a search finds at each effort and how long it takes.
    fn search(&self, graph: &Graph<Vec<u8>>, fine: Option<&FineRows>) {
        let Self { rows, queries, metric, thresholds } = *self;
        let mut scratch = Scratch::default();
        for effort in EFFORTS {
            let options = SearchOptions { effort, ..SearchOptions::new(LIMIT, graph.coded()) };
            let (mut found, mut least) = (0, f64::INFINITY);
            for _ in 0..ROUNDS {
                found = 0;
                let start = Instant::now();
                for (query, threshold) in thresholds.iter().enumerate() {
                    let vector = queries.row(query);
                    let prepared = graph.prepare(vector);
                    let hits = graph.search_with(fine, &prepared, &options, |_| true, &mut scratch);
                    let slack = 1e-6 * threshold.abs();
                    let enough = |row: u32| {
                        score(metric, vector, rows.row(row as usize)) >= threshold - slack
                    };
                    found += hits.iter().filter(|(_, row)| enough(*row)).count();
                }
                least = least.min(start.elapsed().as_secs_f64());
            }
            let recall = found as f64 / (LIMIT * thresholds.len()) as f64;
            let micros = least * 1e6 / thresholds.len() as f64;
            println!("effort {effort:3}: recall {recall:.4}, {micros:.1} us a query");
        }
    }
}
