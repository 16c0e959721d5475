//! Long work that only says how far it is: optimize, compact, recall, backup, restore.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::progress::Reporter;
use crate::threads;

/// Progress is told, and an interruption noticed, this often: in milliseconds.
const REPORT_INTERVAL: u64 = 50;

/// Runs `work` with the GIL released, while Ctrl-C is looked for and `progress` is told the steps
/// done and the steps in all.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(database::Progress<'_>) -> database::Result<T> + Send,
) -> PyResult<T> {
    Reporter::with(py, "steps_bar", progress, |reporter| {
        let callback = reporter.callback()?;
        let (began, last) = (Instant::now(), AtomicU64::new(0));
        let (outcome, raised) = threads::run_watched(
            py,
            |report| {
                work(&|done, total| {
                    let now = began.elapsed().as_millis() as u64 / REPORT_INTERVAL + 1;
                    match last.swap(now, Ordering::Relaxed) == now && done < total {
                        true => ControlFlow::Continue(()),
                        false => report((done, total)),
                    }
                })
            },
            |py, steps: (u64, u64)| {
                if let Some(callback) = &callback {
                    callback.call1(py, steps)?;
                }
                Ok(())
            },
        )?;
        // Work that an exception interrupted raises that exception.
        raised?;
        outcome.or_raise()
    })
}
