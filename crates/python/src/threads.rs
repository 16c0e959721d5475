//! The thread pools that native work runs on, and how a caller waits for it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::{Kind, OrRaise};

/// Sets the number of threads; by default every core that the process may use.
const THREADS_VARIABLE: &str = "RAC_NUM_THREADS";

/// How often a waiting call looks for Ctrl-C.
pub(crate) const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A value that belongs to one process: threads do not survive a fork, so a child makes its own.
///
/// The lock is held by threads that have the GIL, and so not by another thread while one forks.
pub(crate) struct PerProcess<T>(Mutex<Option<(u32, Arc<T>)>>);

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(Mutex::new(None))
    }

    /// This process's value, made now if there is none.
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> PyResult<Arc<T>>) -> PyResult<Arc<T>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if let Some((owner, value)) = &*slot
            && *owner == process
        {
            return Ok(value.clone());
        }
        let made = make()?;
        // The parent's has no threads here; dropping it could wait for them.
        std::mem::forget(slot.replace((process, made.clone())));
        Ok(made)
    }
}

/// What somebody waits for: searches, kernels. A pool of its own, so that it shares the cores with
/// bulk work instead of queueing behind it.
static INTERACTIVE: PerProcess<ThreadPool> = PerProcess::new();

/// What takes seconds or hours: ingestion, apart from its embedding.
static BULK: PerProcess<ThreadPool> = PerProcess::new();

/// Models, whose schedulers let a query share the packs of bulk work. Apart from `BULK`, whose
/// threads wait for it.
static ENCODING: PerProcess<ThreadPool> = PerProcess::new();

fn pool(slot: &PerProcess<ThreadPool>) -> PyResult<Arc<ThreadPool>> {
    slot.get_or_make(|| {
        let threads = configured_threads()?;
        let built = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("rac-{index}"))
            .build()
            .map_err(|error| Kind::Storage.error(format!("cannot start threads: {error}")))?;
        Ok(Arc::new(built))
    })
}

/// The pool that models run on.
pub(crate) fn encoding() -> PyResult<Arc<ThreadPool>> {
    pool(&ENCODING)
}

pub(crate) fn configured_threads() -> PyResult<usize> {
    match std::env::var(THREADS_VARIABLE) {
        Ok(value) if !value.is_empty() => {
            value.parse().ok().filter(|&threads| threads > 0).ok_or_else(|| {
                Kind::Argument.error(format!("{THREADS_VARIABLE}={value} is not a number above 0"))
            })
        }
        _ => Ok(std::thread::available_parallelism().map_or(1, Into::into)),
    }
}

/// The number of threads that native work uses: every core this process may run on, or what the
/// environment variable RAC_NUM_THREADS says.
///
/// >>> import rust_ai_core as rac
/// >>> rac.thread_count() >= 1
/// True
#[pyfunction]
pub(crate) fn thread_count() -> PyResult<usize> {
    configured_threads()
}

/// Runs `work`, which somebody waits for, with the GIL released.
pub(crate) fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let pool = pool(&INTERACTIVE)?;
    Ok(py.detach(|| pool.install(work)))
}

/// Begins something that may have to wait for its turn: with the GIL released, and looking for Ctrl-C
/// whenever `work` asks whether to go on.
pub(crate) fn until_signalled<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Fn() -> ControlFlow<()>) -> inference::Result<T> + Send,
) -> PyResult<T> {
    let raised = Mutex::new(None);
    let begun = py.detach(|| {
        work(&|| match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                ControlFlow::Break(())
            }
        })
    });
    match raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => begun.or_raise(),
    }
}

/// Runs `work`, which may take long, with the GIL released while this thread waits, looks for
/// Ctrl-C, and hands what `work` reports to `report` with the GIL held.
///
/// `work` gets a function to report with; it must stop soon after that returns `Break`. An
/// exception from `report` or from a signal handler is raised once `work` has returned.
pub(crate) fn run_watched<T: Send, Event: Send>(
    py: Python<'_>,
    work: impl FnOnce(&(dyn Fn(Event) -> ControlFlow<()> + Sync)) -> T + Send,
    mut report: impl FnMut(Python<'_>, Event) -> PyResult<()> + Send,
) -> PyResult<(T, PyResult<()>)> {
    let pool = pool(&BULK)?;
    let stop = AtomicBool::new(false);
    py.detach(|| {
        let (events, received) = mpsc::channel::<Event>();
        let mut outcome = None;
        let raised = pool.in_place_scope(|scope| {
            let (stop, outcome) = (&stop, &mut outcome);
            scope.spawn(move |_| {
                *outcome = Some(work(&|event| {
                    // The receiver outlives the work, unless the waiting thread panicked.
                    let told = events.send(event).is_ok();
                    if !told || stop.load(Ordering::Relaxed) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                }));
            });
            let mut raised = Ok(());
            loop {
                let event = match received.recv_timeout(SIGNAL_INTERVAL) {
                    Ok(event) => Some(event),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return raised,
                };
                if raised.is_ok() {
                    raised = Python::attach(|py| {
                        py.check_signals()?;
                        event.map_or(Ok(()), |event| report(py, event))
                    });
                    stop.store(raised.is_err(), Ordering::Relaxed);
                }
            }
        });
        // A scope ends when its work has ended, and a panic in it goes on from there.
        let outcome = outcome.ok_or_else(|| Kind::Storage.error("the work was lost"))?;
        Ok((outcome, raised))
    })
}
