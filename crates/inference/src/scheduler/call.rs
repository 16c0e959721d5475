//! One call's state, shared by the caller who waits and the workers who fill it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// Told once, on a worker's thread, when a call has its result.
pub type OnFinish = Box<dyn Fn() + Send + Sync>;

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Items that have their row.
    pub done: usize,
    /// Whether there is a result, or a failure, to take.
    pub finished: bool,
}

/// What a call took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Tokens that the model saw, special ones included.
    pub tokens: usize,
    /// Items of which the model saw the beginning only, in no order.
    pub cut: Vec<usize>,
    /// Time of all threads together that tokenizing took.
    pub tokenizing: Duration,
    /// Time of all threads together that the model took, its packs' shared out by items.
    pub running: Duration,
}

struct State {
    effort: Effort,
    rows: Vec<f32>,
    done: usize,
    failure: Option<Error>,
    finished: bool,
}

pub(super) struct Shared<Item> {
    pub(super) items: Vec<Item>,
    width: usize,
    state: Mutex<State>,
    changed: Condvar,
    cancelled: AtomicBool,
    on_finish: Option<OnFinish>,
}

impl<Item> Shared<Item> {
    /// A call for one row of `width` floats an item. One without items is finished at once.
    pub(super) fn new(items: Vec<Item>, width: usize, on_finish: Option<OnFinish>) -> Self {
        let finished = items.is_empty();
        if let (true, Some(tell)) = (finished, &on_finish) {
            tell();
        }
        let rows = vec![0.0; items.len() * width];
        Shared {
            items,
            width,
            state: Mutex::new(State {
                effort: Effort::default(),
                rows,
                done: 0,
                failure: None,
                finished,
            }),
            changed: Condvar::new(),
            cancelled: AtomicBool::new(false),
            on_finish,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Takes in what an item's tokens are.
    pub(super) fn note_tokens(&self, tokens: usize, cut: Option<usize>, spent: Duration) {
        let effort = &mut self.lock().effort;
        effort.tokens += tokens;
        effort.cut.extend(cut);
        effort.tokenizing += spent;
    }

    pub(super) fn effort(&self) -> Effort {
        self.lock().effort.clone()
    }

    /// Takes in the rows of some items, and the time that went into them.
    pub(super) fn deliver<'a>(
        &self,
        rows: impl Iterator<Item = (usize, &'a [f32])>,
        spent: Duration,
    ) {
        let mut state = self.lock();
        state.effort.running += spent;
        for (index, row) in rows {
            state.rows[index * self.width..][..self.width].copy_from_slice(row);
            state.done += 1;
        }
        if state.done == self.items.len() {
            self.finish(state);
        } else {
            self.changed.notify_all();
        }
    }

    /// Ends the call without a result; the first failure counts.
    pub(super) fn fail(&self, error: Error) {
        // What is still waiting is of no use any more.
        self.cancel();
        let mut state = self.lock();
        if !state.finished {
            state.failure = Some(error);
            self.finish(state);
        }
    }

    fn finish(&self, mut state: MutexGuard<'_, State>) {
        let already = std::mem::replace(&mut state.finished, true);
        drop(state);
        self.changed.notify_all();
        if let (false, Some(tell)) = (already, &self.on_finish) {
            tell();
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let state = self.lock();
        Progress { done: state.done, finished: state.finished }
    }

    /// Waits until more than `seen` items are done or the call is finished, `timeout` at most.
    pub(super) fn wait(&self, seen: usize, timeout: Duration) -> Progress {
        let state = self.lock();
        let unchanged = |state: &mut State| !state.finished && state.done <= seen;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, timeout, unchanged)
            .unwrap_or_else(PoisonError::into_inner);
        Progress { done: state.done, finished: state.finished }
    }

    /// The rows, once: a later call gets none.
    pub(super) fn take(&self) -> Result<Vec<f32>> {
        let mut state = self.lock();
        match state.failure.take() {
            Some(error) => Err(error),
            None if state.finished => Ok(std::mem::take(&mut state.rows)),
            None => Err(Error::Interrupted { done: state.done, total: self.items.len() }),
        }
    }
}
