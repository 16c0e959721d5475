//! The background thread that flushes logs: of batch-durable writes, so that none stays unflushed for
//! long, and of large ones that wait for the medium, while their writer has other things to do.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::group_commit::GroupCommit;

/// Flushes each log at the latest one interval after its first unflushed write.
pub(crate) struct Flusher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    interval: Duration,
}

#[derive(Default)]
struct Queue {
    /// Logs with unflushed writes, each one once.
    waiting: Vec<Arc<GroupCommit>>,
    stopping: bool,
}

impl Flusher {
    pub(crate) fn start(interval: Duration) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), interval });
        let thread = thread::Builder::new().name("rac-flush".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.run()
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Has this log flushed within the interval.
    pub(crate) fn flush_soon(&self, log: &Arc<GroupCommit>) {
        let mut queue = self.shared.queue.lock();
        if !queue.waiting.iter().any(|waiting| Arc::ptr_eq(waiting, log)) {
            queue.waiting.push(log.clone());
            self.shared.changed.notify_all();
        }
    }

    /// Ends the thread. What still waits is left to the caller, who is closing those logs.
    pub(crate) fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // The thread cannot panic but for a broken invariant, and then it has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut queue = self.queue.lock();
        loop {
            while queue.waiting.is_empty() && !queue.stopping {
                self.changed.wait(&mut queue);
            }
            let deadline = Instant::now() + self.interval;
            while !queue.stopping && !self.changed.wait_until(&mut queue, deadline).timed_out() {}
            if queue.stopping {
                queue.waiting.clear();
                return;
            }
            let logs = std::mem::take(&mut queue.waiting);
            drop(queue);
            for log in logs {
                // A failure poisons the log, so that its next write reports it.
                let _ = log.sync_all();
            }
            queue = self.queue.lock();
        }
    }
}
