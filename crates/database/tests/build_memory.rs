//! How much memory building a graph takes, as the operating system counts it, against what it is said
//! to take.
//!
//! Each case runs in a process of its own, so that none finds memory that another one left.
#![cfg(target_os = "linux")]

use std::ops::ControlFlow;
use std::process::Command;

use database::Metric;
use database::graph::{BuildOptions, Rows, build};

const CASE_VARIABLE: &str = "DATABASE_TEST_BUILD";
const ROWS: u32 = 20_000;
const THREADS: usize = 2;
/// What does not depend on the number of rows: buffers of each thread, of the writer, and what an
/// allocator keeps for each thread.
const FIXED_BYTES: u64 = 12 << 20;
const CASES: [(usize, Metric); 4] =
    [(16, Metric::L2), (128, Metric::Dot), (100, Metric::Cosine), (384, Metric::Cosine)];

/// Rows in groups, made when they are asked for.
struct Made {
    dimension: usize,
}

impl Rows for Made {
    fn count(&self) -> u32 {
        ROWS
    }

    fn copy(&self, row: u32, out: &mut [f32]) {
        let noise = |seed: u64, index: usize| {
            let mut x = (seed << 20 | index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x = (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((x ^ x >> 32) as u32) as f32 / u32::MAX as f32 - 0.5
        };
        let group = u64::from(row % 200);
        for (index, x) in out[..self.dimension].iter_mut().enumerate() {
            *x = noise(group, index) + 0.5 * noise(1000 + u64::from(row), index);
        }
    }
}

/// A figure of this process in `/proc/self/status`.
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_build_takes_no_more_memory_than_it_is_said_to() {
    if let Ok(case) = std::env::var(CASE_VARIABLE) {
        let (dimension, metric) = CASES[case.parse::<usize>().unwrap()];
        let options = BuildOptions::new(dimension, metric);
        let before = status_bytes("VmRSS:");
        let go_on = |_, _| ControlFlow::Continue(());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
        let made = Made { dimension };
        pool.install(|| build(&made, &options, &go_on, &mut std::io::sink())).unwrap();
        let taken = status_bytes("VmHWM:") - before;
        let said = options.memory_bytes_a_row() * u64::from(ROWS) + FIXED_BYTES;
        let a_row = taken / u64::from(ROWS);
        println!("{dimension} {metric:?}: {a_row} bytes a row, {}", options.memory_bytes_a_row());
        assert!(taken <= said, "{dimension} {metric:?}: {taken} bytes taken, {said} said");
        return;
    }
    for case in 0..CASES.len() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_build_takes_no_more_memory_than_it_is_said_to", "--nocapture"])
            .env(CASE_VARIABLE, case.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        print!("{said}");
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
