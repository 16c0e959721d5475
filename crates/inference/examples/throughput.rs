//! Tokens that one core embeds in a second, in each precision.
//!
//!     cargo run --release -p inference --example throughput -- MODEL_FOLDER TEXTS_FILE [PRECISION]
//!
//! The file has a text a line. Time is that of the thread on its core, so that other programs on the
//! machine do not count, and the best of several rounds is taken.

use std::path::Path;
use std::time::Instant;

use inference::Encoder;
use kernels::Precision;

const ROUNDS: usize = 12;
/// The clock of a thread on its core moves in steps: what takes less than some is repeated.
const TOKENS_A_ROUND: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, file, only @ ..] = arguments.as_slice() else {
        return Err("usage: throughput MODEL_FOLDER TEXTS_FILE [PRECISION]".into());
    };
    let content = std::fs::read_to_string(file)?;
    let texts: Vec<&str> = content.lines().collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let name = format!("{precision:?}").to_lowercase();
        if only.first().is_some_and(|only| *only != name) {
            continue;
        }
        let started = Instant::now();
        let encoder = Encoder::load(Path::new(folder), precision)?;
        let loaded = started.elapsed().as_secs_f64();
        let tokens: usize = encoder.tokenize(&texts)?.iter().map(Vec::len).sum();
        let repeats = TOKENS_A_ROUND.div_ceil(tokens.max(1));
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let taken = pool.install(|| -> inference::Result<f64> {
                let start = seconds_on_core();
                for _ in 0..repeats {
                    encoder.encode(&texts)?;
                }
                Ok(seconds_on_core() - start)
            })?;
            best = best.min(taken / repeats as f64);
        }
        println!("{name}: loaded in {loaded:.2} s, {:.0} tokens/s", tokens as f64 / best);
    }
    Ok(())
}

/// Seconds of this thread on a core so far, where the system tells (Linux); by the clock elsewhere.
fn seconds_on_core() -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let on_core = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = on_core.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.elapsed().as_secs_f64(), |on_core| on_core / 1e9)
}
