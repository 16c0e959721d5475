//! How fast a sparse index is made and searched.
//!
//! `cargo run --release -p database --example sparse_search FOLDER` takes the vectors that
//! `python -m benchmarks.sparse_vectors FOLDER` wrote; the figures are those of one thread.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use database::{SparseIndex, SparseScorer, SparseVector};

const LIMIT: usize = 10;
const ROUNDS: usize = 5;

/// Rows one behind the other.
struct Matrix {
    starts: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Matrix {
    fn read(folder: &Path, name: &str) -> Result<Self, Box<dyn Error>> {
        let bytes = |part: &str| std::fs::read(folder.join(format!("{name}.{part}")));
        let numbers = |bytes: Vec<u8>| bytes.as_chunks::<4>().0.to_vec();
        let starts = bytes("starts")?;
        let starts = starts.as_chunks::<8>().0.iter().map(|start| u64::from_le_bytes(*start));
        Ok(Self {
            starts: starts.map(|start| start as usize).collect(),
            indices: numbers(bytes("indices")?).into_iter().map(u32::from_le_bytes).collect(),
            values: numbers(bytes("values")?).into_iter().map(f32::from_le_bytes).collect(),
        })
    }

    fn rows(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    fn vector(&self, row: u32) -> database::Result<SparseVector> {
        let range = self.starts[row as usize]..self.starts[row as usize + 1];
        SparseVector::new(self.indices[range.clone()].to_vec(), self.values[range].to_vec())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("the folder of the vectors")?);
    let rows = Matrix::read(&folder, "rows")?;
    let queries = Matrix::read(&folder, "queries")?;
    let queries: Vec<SparseVector> =
        (0..queries.rows()).map(|row| queries.vector(row)).collect::<database::Result<_>>()?;

    let start = Instant::now();
    let index = SparseIndex::build(rows.rows(), &|row| rows.vector(row).map(Some))?;
    let seconds = start.elapsed().as_secs_f64();
    let (numbers, bytes) = (index.numbers(), index.bytes().len());
    println!(
        "{} rows, {numbers} numbers, {} indices: made in {seconds:.2} s, {:.2} bytes a number",
        index.rows(),
        index.indices(),
        bytes as f64 / numbers as f64
    );

    let search =
        |query: &SparseVector, limit| index.search(query, limit, f32::NEG_INFINITY, &|_| true);
    for query in queries.iter().step_by(20) {
        let vectors = (0..rows.rows()).map(|row| (row, rows.vector(row).expect("it was read")));
        let scanned = SparseScorer::new(query).best(vectors, LIMIT, f32::NEG_INFINITY);
        assert_eq!(search(query, LIMIT)?, scanned, "a search finds what a scan finds");
    }
    for limit in [1, LIMIT, 100] {
        let mut rates = Vec::new();
        let mut each = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for query in &queries {
                let start = Instant::now();
                search(query, limit)?;
                each.push(start.elapsed().as_secs_f64());
            }
            rates.push(queries.len() as f64 / start.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        each.sort_by(f64::total_cmp);
        println!(
            "top {limit}: {:.0} queries/s, a query in {:.0} us, 99% below {:.0} us",
            rates[ROUNDS / 2],
            each[each.len() / 2] * 1e6,
            each[each.len() * 99 / 100] * 1e6
        );
    }
    Ok(())
}
