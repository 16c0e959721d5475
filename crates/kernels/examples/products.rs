//! How close the matrix products of an encoder come to what one core can do.
//!
//!     cargo run --release -p kernels --example products
//!
//! The shapes are those of MiniLM's linear layers. On x86-64 the peak is measured too: a loop of
//! independent multiply-adds on registers.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use kernels::{
    Activation, Backend, Input, Output, PackedMatrix, Precision, QuantizedRows, Rows, RowsMut,
};

/// Inputs and outputs of a layer.
const SHAPES: [(usize, usize); 4] = [(384, 1152), (384, 384), (384, 1536), (1536, 384)];
const TOKENS: [usize; 3] = [12, 20, 240];
/// Multiplications and additions of a measurement.
const OPERATIONS: f64 = 1e10;
/// The best of so many is taken.
const TRIES: usize = 3;

fn main() {
    let backend = Backend::active();
    println!("backend {backend:?}");
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let peak = peak::operations_a_second(backend, precision);
        println!("{precision:?}: peak {}", peak.map_or("unknown".into(), giga));
        for tokens in TOKENS {
            for (inputs, outputs) in SHAPES {
                let speed = (0..TRIES)
                    .map(|_| measure(backend, precision, tokens, inputs, outputs))
                    .fold(0.0, f64::max);
                let share =
                    peak.map_or(String::new(), |peak| format!(", {:.0} %", speed / peak * 1e2));
                println!("  {tokens:4} x {inputs:4} x {outputs:4}: {}{share}", giga(speed));
            }
        }
    }
}

/// Seconds on a core so far, where the system tells (Linux), so that other programs on the machine
/// do not count; seconds by the clock elsewhere.
fn seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let on_core = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = on_core.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.elapsed().as_secs_f64(), |on_core| on_core / 1e9)
}

fn giga(operations_a_second: f64) -> String {
    format!("{:.1} Gop/s", operations_a_second / 1e9)
}

fn measure(
    backend: Backend,
    precision: Precision,
    tokens: usize,
    inputs: usize,
    outputs: usize,
) -> f64 {
    let values = |count: usize| -> Vec<f32> { (0..count).map(|i| (i as f32).sin()).collect() };
    let x = values(tokens * inputs);
    let w = values(outputs * inputs);
    let w = Rows::new(&w, outputs, inputs, inputs);
    let w = PackedMatrix::new(backend, precision, w, Some(&values(outputs)));
    let narrow: Vec<_> = x.iter().map(|&x| kernels::Bf16::from_f32(x)).collect();
    let mut codes = QuantizedRows::default();
    backend.quantize_rows(Rows::new(&x, tokens, inputs, inputs), &mut codes);
    let input = match precision {
        Precision::F32 => Input::F32(Rows::new(&x, tokens, inputs, inputs)),
        Precision::Bf16 => Input::Bf16(Rows::new(&narrow, tokens, inputs, inputs)),
        Precision::Int8 => Input::Int8(codes.view()),
    };
    let mut out = vec![0.0; tokens * outputs];
    let operations = (2 * tokens * inputs * outputs) as f64;
    let rounds = (OPERATIONS / operations) as usize;
    let start = seconds();
    for _ in 0..rounds {
        let out = Output::F32(RowsMut::new(&mut out, tokens, outputs, outputs));
        kernels::matmul(black_box(input), &w, 0, Activation::Identity, out);
    }
    black_box(&out);
    operations * rounds as f64 / (seconds() - start)
}

#[cfg(target_arch = "x86_64")]
mod peak {
    use std::arch::asm;

    use kernels::{Backend, Precision};

    use super::seconds;

    const ROUNDS: u64 = 10_000_000;
    const STEPS_A_ROUND: u64 = 12;

    /// Rounds of twelve steps that do not wait for each other. `$before` and `$after` enclose the number
    /// of the register that a step changes.
    macro_rules! rounds_of {
        ($before:literal, $after:literal) => {{
            // SAFETY: the caller has looked for the instructions; only clobbered registers change.
            unsafe {
                asm!(
                    "2:",
                    concat!($before, "0", $after),
                    concat!($before, "1", $after),
                    concat!($before, "2", $after),
                    concat!($before, "3", $after),
                    concat!($before, "4", $after),
                    concat!($before, "5", $after),
                    concat!($before, "6", $after),
                    concat!($before, "7", $after),
                    concat!($before, "8", $after),
                    concat!($before, "9", $after),
                    concat!($before, "10", $after),
                    concat!($before, "11", $after),
                    "dec {rounds}",
                    "jnz 2b",
                    rounds = inout(reg) ROUNDS => _,
                    out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
                    out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
                    out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _, out("ymm12") _,
                    options(nomem, nostack),
                );
            }
        }};
    }

    /// What one core can do at most with the instructions that the backend's products are made of, where
    /// that is known.
    pub(crate) fn operations_a_second(backend: Backend, precision: Precision) -> Option<f64> {
        let start = seconds();
        let operations_a_step = match (backend.name(), precision) {
            ("avx512" | "avx512-base", Precision::F32) => {
                rounds_of!("vfmadd231ps zmm", ", zmm14, zmm15");
                32
            }
            ("avx512", Precision::Bf16) if backend.is_native(precision) => {
                rounds_of!("vdpbf16ps zmm", ", zmm14, zmm15");
                64
            }
            ("avx512", Precision::Int8) if backend.is_native(precision) => {
                rounds_of!("vpdpbusd zmm", ", zmm14, zmm15");
                128
            }
            ("avx2", Precision::F32 | Precision::Bf16) => {
                rounds_of!("vfmadd231ps ymm", ", ymm14, ymm15");
                16
            }
            ("avx2", Precision::Int8) => {
                rounds_of!("vpmaddwd ymm12, ymm14, ymm15\nvpaddd ymm", ", ymm13, ymm12");
                32
            }
            _ => return None,
        };
        let all = ROUNDS * STEPS_A_ROUND * operations_a_step;
        Some(all as f64 / (seconds() - start))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod peak {
    /// Unknown on this architecture.
    pub(crate) fn operations_a_second(_: kernels::Backend, _: kernels::Precision) -> Option<f64> {
        None
    }
}
