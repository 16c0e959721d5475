//! The environment variable that forces a backend: obeyed when the CPU has it, refused otherwise.

use std::process::{Command, Output};

use kernels::{BACKEND_VARIABLE, Backend};

/// Names the emulator that runs this test program, for a machine that cannot run it by itself.
const RUNNER_VARIABLE: &str = "RAC_TEST_RUNNER";

/// Not a check by itself: what the tests below run in a process of its own, because the choice is
/// made once a process.
#[test]
fn report_the_active_backend() {
    match Backend::try_active() {
        Ok(backend) => println!("active={}", backend.name()),
        Err(message) => println!("refused={message}"),
    }
}

fn this_program() -> Command {
    let path = std::env::current_exe().unwrap();
    match std::env::var_os(RUNNER_VARIABLE) {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(path);
            command
        }
        None => Command::new(path),
    }
}

fn report_with(value: &str) -> String {
    let Output { stdout, status, .. } = this_program()
        .args(["--exact", "report_the_active_backend", "--nocapture"])
        .env(BACKEND_VARIABLE, value)
        .output()
        .unwrap();
    assert!(status.success());
    String::from_utf8(stdout).unwrap()
}

#[test]
fn every_backend_can_be_forced() {
    for backend in Backend::available() {
        let report = report_with(backend.name());
        assert!(report.contains(&format!("active={}", backend.name())), "{report}");
    }
}

#[test]
fn the_best_backend_is_the_default() {
    let best = Backend::available()[0].name();
    assert!(report_with("").contains(&format!("active={best}")));
}

#[test]
fn an_unknown_backend_is_refused_by_name() {
    let report = report_with("mmx");
    assert!(report.contains("refused=RAC_KERNELS=mmx") && report.contains("scalar"), "{report}");
}
