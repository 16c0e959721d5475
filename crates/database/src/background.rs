//! A background thread that looks after whatever collections ask for it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::store::Store;

/// Runs one kind of work, collection by collection.
pub(crate) struct Background {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    begin: fn(),
    work: fn(&Arc<Store>),
}

#[derive(Default)]
struct Queue {
    /// When each collection is due; each one once.
    waiting: VecDeque<(Instant, Weak<Store>)>,
    stopping: bool,
}

impl Background {
    /// `begin` is the first that the thread does.
    pub(crate) fn start(name: &str, begin: fn(), work: fn(&Arc<Store>)) -> std::io::Result<Self> {
        let queue = Mutex::default();
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), begin, work });
        let thread = thread::Builder::new().name(name.to_owned()).spawn({
            let shared = shared.clone();
            move || shared.run()
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Has the collection looked after once `delay` has passed without another call for it.
    pub(crate) fn look_after(&self, store: &Arc<Store>, delay: Duration) {
        let mut queue = self.shared.queue.lock();
        let store = Arc::downgrade(store);
        queue.waiting.retain(|(_, waiting)| !waiting.ptr_eq(&store));
        queue.waiting.push_back((Instant::now() + delay, store));
        self.shared.changed.notify_all();
    }

    /// Ends the thread once the work at hand has ended.
    pub(crate) fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().take();
        // The work itself may let go of the last handle to the database, and so end up here.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            // The thread cannot panic but for a broken invariant, and then it has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        (self.begin)();
        let mut queue = self.queue.lock();
        while !queue.stopping {
            let now = Instant::now();
            let due = queue.waiting.iter().map(|(due, _)| *due).min();
            match due {
                None => self.changed.wait(&mut queue),
                Some(due) if due > now => {
                    self.changed.wait_until(&mut queue, due);
                }
                Some(due) => {
                    let position = queue.waiting.iter().position(|(other, _)| *other == due);
                    let next = position.and_then(|position| queue.waiting.remove(position));
                    drop(queue);
                    if let Some(store) = next.and_then(|(_, store)| store.upgrade()) {
                        (self.work)(&store);
                    }
                    queue = self.queue.lock();
                }
            }
        }
    }
}
