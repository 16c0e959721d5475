//! Milliseconds that one text takes alone, on one thread and on more, in each precision.
//!
//!     cargo run --release -p inference --example latency -- MODEL_FOLDER TEXTS_FILE [THREADS]
//!
//! The file has a text a line. Each text is a call of its own. The threads are two where no number is given.

use std::path::Path;
use std::time::Instant;

use inference::Encoder;
use kernels::Precision;

const ROUNDS: usize = 20;
const MOST_TEXTS: usize = 24;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, file, rest @ ..] = arguments.as_slice() else {
        return Err("usage: latency MODEL_FOLDER TEXTS_FILE [THREADS]".into());
    };
    let most = rest.first().map_or(Ok(2), |number| number.parse::<usize>())?;
    let content = std::fs::read_to_string(file)?;
    let texts: Vec<&str> = content.lines().take(MOST_TEXTS).collect();
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let encoder = Encoder::load(Path::new(folder), precision)?;
        let mut alone = f64::INFINITY;
        for threads in [1, most] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let mut rounds = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                let start = Instant::now();
                for &text in &texts {
                    pool.install(|| encoder.encode(&[text]))?;
                }
                rounds.push(start.elapsed().as_secs_f64() / texts.len().max(1) as f64);
            }
            rounds.sort_by(f64::total_cmp);
            let (least, median) = (rounds[0] * 1e3, rounds[ROUNDS / 2] * 1e3);
            alone = alone.min(least);
            let times = alone / least;
            println!(
                "{precision:?}, {threads} threads: {median:.2} ms, {least:.2} at best, {times:.2} times"
            );
        }
    }
    Ok(())
}
