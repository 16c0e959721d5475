//! How close the matrix products of an encoder come to what one core can do.
//!
//!     cargo run --release -p kernels --example products
//!
//! The shapes are those of MiniLM's linear layers. On x86-64 with AVX-512 the peak is measured too: a
//! loop of independent multiply-adds on registers.

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
        let peak = peak::operations_a_second(precision);
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

    use kernels::Precision;

    use super::seconds;

    const ROUNDS: u64 = 10_000_000;
    const INSTRUCTIONS_A_ROUND: u64 = 16;

    macro_rules! rounds_of {
        ($instruction:literal) => {{
            // SAFETY: the caller has looked for the instruction; only clobbered registers change.
            unsafe {
                asm!(
                    "2:",
                    concat!($instruction, " zmm0, zmm30, zmm31"),
                    concat!($instruction, " zmm1, zmm30, zmm31"),
                    concat!($instruction, " zmm2, zmm30, zmm31"),
                    concat!($instruction, " zmm3, zmm30, zmm31"),
                    concat!($instruction, " zmm4, zmm30, zmm31"),
                    concat!($instruction, " zmm5, zmm30, zmm31"),
                    concat!($instruction, " zmm6, zmm30, zmm31"),
                    concat!($instruction, " zmm7, zmm30, zmm31"),
                    concat!($instruction, " zmm8, zmm30, zmm31"),
                    concat!($instruction, " zmm9, zmm30, zmm31"),
                    concat!($instruction, " zmm10, zmm30, zmm31"),
                    concat!($instruction, " zmm11, zmm30, zmm31"),
                    concat!($instruction, " zmm12, zmm30, zmm31"),
                    concat!($instruction, " zmm13, zmm30, zmm31"),
                    concat!($instruction, " zmm14, zmm30, zmm31"),
                    concat!($instruction, " zmm15, zmm30, zmm31"),
                    "dec {rounds}",
                    "jnz 2b",
                    rounds = inout(reg) ROUNDS => _,
                    out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _,
                    out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
                    out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                    out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _,
                    options(nomem, nostack),
                );
            }
        }};
    }

    /// What one core can do at most; nothing where it lacks the instruction.
    pub(crate) fn operations_a_second(precision: Precision) -> Option<f64> {
        let has = match precision {
            Precision::F32 => is_x86_feature_detected!("avx512f"),
            Precision::Bf16 => is_x86_feature_detected!("avx512bf16"),
            Precision::Int8 => is_x86_feature_detected!("avx512vnni"),
        };
        if !has {
            return None;
        }
        let start = seconds();
        let operations = match precision {
            Precision::F32 => {
                rounds_of!("vfmadd231ps");
                32
            }
            Precision::Bf16 => {
                rounds_of!("vdpbf16ps");
                64
            }
            Precision::Int8 => {
                rounds_of!("vpdpbusd");
                128
            }
        };
        let all = ROUNDS * INSTRUCTIONS_A_ROUND * operations;
        Some(all as f64 / (seconds() - start))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod peak {
    /// Unknown on this architecture.
    pub(crate) fn operations_a_second(_: kernels::Precision) -> Option<f64> {
        None
    }
}
