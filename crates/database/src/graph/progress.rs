//! How far a build is, and whether to go on.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::GraphError;

/// Called from worker threads with what is done and what that will be in the end.
pub(crate) type Callback<'a> = dyn Fn(u64, u64) -> ControlFlow<()> + Sync + 'a;

/// Parts that a whole build is reported in.
const TOTAL: u64 = 1000;

/// A build's progress through its phases.
pub(crate) struct Progress<'a> {
    callback: &'a Callback<'a>,
    before: u64,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(callback: &'a Callback<'a>) -> Self {
        Self { callback, before: 0 }
    }

    /// Starts a phase that takes about `share` thousandths of the time and has so many steps.
    pub(crate) fn phase(&mut self, share: u64, steps: u64) -> Phase<'a> {
        let phase =
            Phase { callback: self.callback, before: self.before, share, steps, done: 0.into() };
        self.before = (self.before + share).min(TOTAL);
        phase
    }
}

/// One phase of a build, advanced from many threads.
pub(crate) struct Phase<'a> {
    callback: &'a Callback<'a>,
    before: u64,
    share: u64,
    steps: u64,
    done: AtomicU64,
}

impl Phase<'_> {
    /// Reports so many more steps.
    ///
    /// # Errors
    /// `Interrupted`, if the caller wants to stop.
    pub(crate) fn advance(&self, steps: usize) -> Result<(), GraphError> {
        let done = self.done.fetch_add(steps as u64, Ordering::Relaxed) + steps as u64;
        let share = self.share * done.min(self.steps) / self.steps.max(1);
        match (self.callback)((self.before + share).min(TOTAL), TOTAL) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(GraphError::Interrupted),
        }
    }
}
