//! Micro-batching: concurrent calls share the packs that a model runs.
//!
//! A [`Scheduler`] belongs to one model. Calls wait in a queue (`queue`), each with its items; a
//! worker claims about a pack's worth of tokens from as many calls as wait, tokenizes, runs the
//! pack, and hands every call its rows (`call`). An idle scheduler starts on a call at once: nobody
//! waits for company. While all workers are busy, what arrives gathers, and the next pack takes it
//! together. A model whose rows do not depend on the pack gives the same bits either way.

mod call;
mod queue;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use call::Shared;
pub use call::{Effort, OnFinish, Progress};
use queue::{Queue, Work};

use crate::error::{Error, Result};

/// Calls that may wait at a time. A caller beyond that waits until one is done with.
pub const MAX_WAITING_CALLS: usize = 1024;

/// Work that is about to run out is shared among the workers in packs no smaller than this: below,
/// reading the weights once more costs more than a second core gains.
const LEAST_TOKENS: usize = 64;

/// How often somebody who waits looks whether to go on waiting.
pub(crate) const WAIT_INTERVAL: Duration = Duration::from_millis(50);

/// What a scheduler runs: a model that turns items into rows of floats, several at a time.
pub trait Workload: Send + Sync + 'static {
    /// What a caller gives: a text, or a pair of them.
    type Item: Send + Sync + 'static;
    /// An item in the model's terms.
    type Sequence: Send + 'static;

    /// Floats in a row.
    fn width(&self) -> usize;

    /// Tokens that one thread runs at a time.
    fn pack_tokens(&self) -> usize;

    /// About how many tokens an item has. Called with a lock held: a guess from its length will do.
    fn estimate(&self, item: &Self::Item) -> usize;

    /// An item's tokens.
    ///
    /// # Errors
    /// Why the item has none.
    fn tokenize(&self, item: &Self::Item) -> std::result::Result<Self::Sequence, String>;

    /// How many tokens a sequence has.
    fn tokens(&self, sequence: &Self::Sequence) -> usize;

    /// Whether a sequence is the beginning of its item and not the whole.
    fn is_cut(&self, item: &Self::Item, sequence: &Self::Sequence) -> bool;

    /// Computes one row a sequence.
    ///
    /// # Errors
    /// Why the model failed; every call with an item in the pack fails with it.
    fn run(&self, pack: &[Self::Sequence], rows: &mut [f32]) -> std::result::Result<(), String>;
}

/// Runs a model's calls in shared packs on a thread pool. See the module.
pub struct Scheduler<W: Workload> {
    workload: Arc<W>,
    pool: Arc<ThreadPool>,
    capacity: usize,
    waiting: Mutex<Waiting<W>>,
    /// Told when a call leaves the queue.
    room: Condvar,
}

/// What a scheduler has to do, and has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Calls with items that no worker has begun with.
    pub calls_waiting: usize,
    /// Those items.
    pub items_waiting: usize,
    /// Packs that were run.
    pub packs: u64,
    /// Items in them.
    pub items: u64,
    /// Tokens in them.
    pub tokens: u64,
}

struct Waiting<W: Workload> {
    queue: Queue<W>,
    /// Its counts of what waits are made when it is asked for.
    statistics: Statistics,
    /// Tasks on the pool that run packs, or are about to.
    workers: usize,
}

/// A caller's hold on its call. Dropping it cancels what has not begun.
pub struct Call<W: Workload> {
    scheduler: Arc<Scheduler<W>>,
    shared: Arc<Shared<W::Item>>,
}

impl<W: Workload> Scheduler<W> {
    /// A scheduler that runs packs on `pool` and lets `capacity` calls wait.
    pub fn new(workload: Arc<W>, pool: Arc<ThreadPool>, capacity: usize) -> Arc<Scheduler<W>> {
        let waiting = Mutex::new(Waiting {
            queue: Queue::new(),
            statistics: Statistics::default(),
            workers: 0,
        });
        Arc::new(Scheduler { workload, pool, capacity, waiting, room: Condvar::new() })
    }

    /// The model.
    pub fn workload(&self) -> &Arc<W> {
        &self.workload
    }

    /// What there is to do, and what was done.
    pub fn statistics(&self) -> Statistics {
        let Waiting { queue, statistics, .. } = &*self.lock();
        Statistics { calls_waiting: queue.calls(), items_waiting: queue.items(), ..*statistics }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<W>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a call into the queue, whether there is room or not: for callers that bound themselves
    /// and must not be held up. `on_finish` is told once, on a worker's thread.
    pub fn submit_now(
        self: &Arc<Self>,
        items: Vec<W::Item>,
        on_finish: Option<OnFinish>,
    ) -> Call<W> {
        self.admit(self.lock(), items, on_finish)
    }

    /// Puts a call into the queue. While there is no room it waits and asks `go_on` now and then.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `go_on` says so.
    pub fn submit(
        self: &Arc<Self>,
        items: Vec<W::Item>,
        go_on: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<Call<W>> {
        let mut waiting = self.lock();
        while waiting.queue.calls() >= self.capacity {
            (waiting, _) = self
                .room
                .wait_timeout(waiting, WAIT_INTERVAL)
                .unwrap_or_else(PoisonError::into_inner);
            // Asking may take another lock, such as the interpreter's.
            drop(waiting);
            if go_on().is_break() {
                return Err(Error::Interrupted { done: 0, total: items.len() });
            }
            waiting = self.lock();
        }
        Ok(self.admit(waiting, items, None))
    }

    fn admit(
        self: &Arc<Self>,
        mut waiting: MutexGuard<'_, Waiting<W>>,
        items: Vec<W::Item>,
        on_finish: Option<OnFinish>,
    ) -> Call<W> {
        let shared = Arc::new(Shared::new(items, self.workload.width(), on_finish));
        if !shared.items.is_empty() {
            waiting.queue.push(shared.clone(), &self.workload);
            let packs = waiting.queue.tokens().div_ceil(self.budget(&waiting));
            let wanted = packs.clamp(1, self.pool.current_num_threads());
            while waiting.workers < wanted {
                waiting.workers += 1;
                let scheduler = self.clone();
                self.pool.spawn(move || scheduler.work());
            }
        }
        Call { scheduler: self.clone(), shared }
    }

    /// Tokens of the next pack: an even part of what is left, where that is less than a full one.
    fn budget(&self, waiting: &Waiting<W>) -> usize {
        let even = waiting.queue.tokens().div_ceil(self.pool.current_num_threads());
        let most = self.workload.pack_tokens();
        even.clamp(LEAST_TOKENS.min(most), most)
    }

    /// Runs one pack, then is a new task for the next.
    fn work(self: Arc<Self>) {
        let pack = self.next_pack();
        if pack.is_empty() {
            return;
        }
        {
            let statistics = &mut self.lock().statistics;
            statistics.packs += 1;
            statistics.items += pack.len() as u64;
            let tokens = pack.iter().map(|(_, sequence)| self.workload.tokens(sequence) as u64);
            statistics.tokens += tokens.sum::<u64>();
        }
        self.run(pack);
        // Whatever else waits for this thread, such as another model's pack, goes first: a task that
        // is spawned from a thread of the pool would otherwise overtake it each time.
        rayon::yield_now();
        rayon::spawn(move || self.work());
    }

    /// The next pack; an empty one ends this worker, which no longer counts then.
    fn next_pack(&self) -> Vec<(Work<W>, W::Sequence)> {
        let mut pack: Vec<(Work<W>, W::Sequence)> = Vec::new();
        let mut tokens = 0;
        let mut budget = 0;
        loop {
            let mut waiting = self.lock();
            if pack.is_empty() {
                budget = self.budget(&waiting);
            }
            let calls = waiting.queue.calls();
            let claimed = waiting.queue.claim(budget - tokens, &self.workload);
            if waiting.queue.calls() < calls {
                self.room.notify_all();
            }
            if claimed.is_empty() {
                if pack.is_empty() {
                    waiting.workers -= 1;
                }
                return pack;
            }
            drop(waiting);

            let mut too_many = Vec::new();
            let first = pack.len();
            for mut work in claimed {
                if work.call.is_cancelled() {
                    continue;
                }
                let sequence = match work.sequence.take() {
                    Some(sequence) => sequence,
                    None => match self.tokenize(&work) {
                        Ok(sequence) => sequence,
                        Err(reason) => {
                            work.call.fail(Error::Tokenize { index: work.index, reason });
                            continue;
                        }
                    },
                };
                let size = self.workload.tokens(&sequence);
                if tokens + size > budget && !pack.is_empty() {
                    too_many.push((work, sequence));
                } else {
                    tokens += size;
                    pack.push((work, sequence));
                }
            }
            let full = !too_many.is_empty() || 4 * tokens >= 3 * budget;
            let mut waiting = self.lock();
            for (work, sequence) in &pack[first..] {
                waiting.queue.settle(work, self.workload.tokens(sequence));
            }
            for (work, sequence) in too_many.into_iter().rev() {
                waiting.queue.give_back(work, sequence);
            }
            drop(waiting);
            if full && !pack.is_empty() {
                return pack;
            }
        }
    }

    fn tokenize(&self, work: &Work<W>) -> std::result::Result<W::Sequence, String> {
        let item = &work.call.items[work.index];
        let started = Instant::now();
        // A panic on the pool would end the process; the caller gets it as an error instead.
        let sequence = catch_unwind(AssertUnwindSafe(|| self.workload.tokenize(item)))
            .unwrap_or_else(|_| Err("the tokenizer panicked".into()))?;
        let tokens = self.workload.tokens(&sequence);
        let cut = self.workload.is_cut(item, &sequence).then_some(work.index);
        work.call.note_tokens(tokens, cut, started.elapsed());
        Ok(sequence)
    }

    fn run(&self, pack: Vec<(Work<W>, W::Sequence)>) {
        let (works, sequences): (Vec<_>, Vec<_>) = pack.into_iter().unzip();
        let started = Instant::now();
        let width = self.workload.width();
        let mut rows = vec![0.0; works.len() * width];
        let outcome = catch_unwind(AssertUnwindSafe(|| self.workload.run(&sequences, &mut rows)))
            .unwrap_or_else(|_| Err("it panicked".into()));
        let mut indexed: Vec<_> = works.into_iter().zip(rows.chunks_exact(width)).collect();
        // A text's part in the time is its part in the items: its pack's are of like lengths or few.
        let each = started.elapsed() / indexed.len() as u32;
        // A stable sort: the items of one call side by side, so that each call is told once.
        indexed.sort_by_key(|(work, _)| Arc::as_ptr(&work.call).addr());
        for own in indexed.chunk_by(|(a, _), (b, _)| Arc::ptr_eq(&a.call, &b.call)) {
            let call = &own[0].0.call;
            match &outcome {
                Ok(()) => {
                    let spent = each * own.len() as u32;
                    call.deliver(own.iter().map(|(work, row)| (work.index, *row)), spent);
                }
                Err(reason) => call.fail(Error::Failed { reason: reason.clone() }),
            }
        }
    }
}

impl<W: Workload> Call<W> {
    /// How many items it has.
    pub fn items(&self) -> usize {
        self.shared.items.len()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.shared.progress()
    }

    /// Waits until more than `seen` items are done or the call is finished, `timeout` at most.
    pub fn wait(&self, seen: usize, timeout: Duration) -> Progress {
        self.shared.wait(seen, timeout)
    }

    /// What it took so far.
    pub fn effort(&self) -> Effort {
        self.shared.effort()
    }

    /// The rows of a finished call, once.
    ///
    /// # Errors
    /// Why it failed; [`Error::Interrupted`] where it is not finished, and then it never will be.
    pub fn take(self) -> Result<Vec<f32>> {
        self.shared.take()
    }
}

impl<W: Workload> Drop for Call<W> {
    fn drop(&mut self) {
        self.shared.cancel();
        if !self.shared.progress().finished {
            self.scheduler.lock().queue.remove(&self.shared);
            self.scheduler.room.notify_all();
        }
    }
}
