//! The scheduler on a model that counts: what shares a pack, who waits for whom, what is dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Items are their own token counts. A row is the item times two.
struct Doubling {
    /// The items of each pack, in the order in which packs ran.
    packs: Mutex<Vec<Vec<usize>>>,
    /// Every pack waits for a permit, where there is a gate.
    gate: Option<Mutex<Receiver<()>>>,
}

/// What an item that cannot be tokenized, or run, is made of.
const NO_TOKENS: usize = 666;
const POISON: usize = 13;
/// An item of which only the beginning counts.
const CUT: usize = 99;
const WAIT: Duration = Duration::from_secs(60);

impl Workload for Doubling {
    type Item = usize;
    type Sequence = usize;

    fn width(&self) -> usize {
        1
    }

    fn pack_tokens(&self) -> usize {
        256
    }

    fn estimate(&self, item: &usize) -> usize {
        // Wrong in both directions.
        if item.is_multiple_of(2) { item / 2 + 1 } else { item * 2 }
    }

    fn tokenize(&self, item: &usize) -> std::result::Result<usize, String> {
        if *item == NO_TOKENS { Err("no tokens".into()) } else { Ok(*item) }
    }

    fn tokens(&self, sequence: &usize) -> usize {
        *sequence
    }

    fn is_cut(&self, item: &usize, _sequence: &usize) -> bool {
        *item == CUT
    }

    fn run(&self, pack: &[usize], rows: &mut [f32]) -> std::result::Result<(), String> {
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().recv().unwrap();
        }
        self.packs.lock().unwrap().push(pack.to_vec());
        assert!(!pack.contains(&POISON), "poisoned");
        rows.iter_mut().zip(pack).for_each(|(row, item)| *row = 2.0 * *item as f32);
        Ok(())
    }
}

fn scheduler(threads: usize, gate: Option<Receiver<()>>) -> Arc<Scheduler<Doubling>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let model = Doubling { packs: Mutex::default(), gate: gate.map(Mutex::new) };
    Scheduler::new(Arc::new(model), Arc::new(pool), 4)
}

/// A scheduler of one worker whose packs run when the test says so.
fn gated() -> (Arc<Scheduler<Doubling>>, Sender<()>) {
    let (permits, gate) = channel();
    (scheduler(1, Some(gate)), permits)
}

fn packs(scheduler: &Scheduler<Doubling>) -> Vec<Vec<usize>> {
    scheduler.workload().packs.lock().unwrap().clone()
}

fn doubled(items: &[usize]) -> Vec<f32> {
    items.iter().map(|item| 2.0 * *item as f32).collect()
}

#[track_caller]
fn finished(call: Call<Doubling>) -> Vec<f32> {
    while !call.wait(usize::MAX, WAIT).finished {}
    call.take().unwrap()
}

/// Waits until the worker has claimed its first pack, so that what comes next shares the second.
fn until_claimed(scheduler: &Scheduler<Doubling>) {
    while scheduler.statistics().calls_waiting > 0 {
        std::thread::yield_now();
    }
}

/// Waits until the first pack is made up and counted; it waits for its permit then.
fn until_packed(scheduler: &Scheduler<Doubling>) {
    while scheduler.statistics().packs == 0 {
        std::thread::yield_now();
    }
}

const GO_ON: &dyn Fn() -> ControlFlow<()> = &|| ControlFlow::Continue(());

#[test]
fn rows_come_in_the_order_of_the_items_whatever_the_packs() {
    let scheduler = scheduler(3, None);
    for count in [0, 1, 2, 7, 100, 3000] {
        let items: Vec<usize> = (0..count).map(|n| 20 + n * 37 % 300).collect();
        let call = scheduler.submit(items.clone(), GO_ON).unwrap();
        assert_eq!(finished(call), doubled(&items));
    }
    for pack in packs(&scheduler) {
        assert!(pack.len() == 1 || pack.iter().sum::<usize>() <= 256, "{pack:?}");
    }
}

#[test]
fn concurrent_calls_share_a_pack() {
    let (scheduler, permits) = gated();
    let first = scheduler.submit_now(vec![50], None);
    until_claimed(&scheduler);
    let others: Vec<_> = (20..26).map(|n| scheduler.submit_now(vec![n], None)).collect();
    permits.send(()).unwrap();
    permits.send(()).unwrap();
    assert_eq!(finished(first), [100.0]);
    for (call, n) in others.into_iter().zip(20..) {
        assert_eq!(finished(call), doubled(&[n]));
    }
    assert_eq!(packs(&scheduler), [vec![50], vec![20, 21, 22, 23, 24, 25]]);
    let done = Statistics { packs: 2, items: 7, tokens: 185, ..Statistics::default() };
    assert_eq!(scheduler.statistics(), done);
}

#[test]
fn a_small_call_does_not_wait_for_a_huge_one() {
    let (scheduler, permits) = gated();
    let huge = scheduler.submit_now(vec![30; 10_000], None);
    while scheduler.statistics().items_waiting == 10_000 {
        std::thread::yield_now();
    }
    let small = scheduler.submit_now(vec![20, 22, 24], None);
    // One pack was claimed before the small call came; the second takes it along.
    permits.send(()).unwrap();
    permits.send(()).unwrap();
    assert_eq!(finished(small), [40.0, 44.0, 48.0]);
    assert!(huge.progress().done <= 2 * 256 / 30, "{:?}", huge.progress());
    drop(huge);
    drop(permits);
}

#[test]
fn calls_of_one_size_progress_together() {
    let (scheduler, permits) = gated();
    let calls: Vec<_> = (0..4).map(|_| scheduler.submit_now(vec![32; 100], None)).collect();
    for pack in 0..40 {
        permits.send(()).unwrap();
        while packs(&scheduler).len() <= pack {
            std::thread::yield_now();
        }
    }
    // The 40th pack has run and may not be delivered yet.
    let done: Vec<_> = calls.iter().map(|call| call.progress().done).collect();
    let spread = done.iter().max().unwrap() - done.iter().min().unwrap();
    assert!(spread <= 256 / 32 && done.iter().sum::<usize>() >= 39 * 8, "{done:?}");
    drop(calls);
    drop(permits);
}

#[test]
fn another_model_on_the_same_threads_gets_its_turn() {
    let (permits, gate) = channel();
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let model = |gate| Arc::new(Doubling { packs: Mutex::default(), gate });
    let busy = Scheduler::new(model(Some(Mutex::new(gate))), pool.clone(), 4);
    let other = Scheduler::new(model(None), pool, 4);
    let huge = busy.submit_now(vec![200; 1000], None);
    let small = other.submit_now(vec![20], None);
    permits.send(()).unwrap();
    assert_eq!(finished(small), [40.0]);
    assert!(huge.progress().done <= 1);
    drop(huge);
    drop(permits);
}

#[test]
fn what_has_not_begun_is_dropped_with_its_call() {
    let (scheduler, permits) = gated();
    let cancelled = scheduler.submit_now(vec![100; 1000], None);
    // Items that are claimed and not packed yet are dropped too: not the moment to cancel at here.
    until_packed(&scheduler);
    drop(cancelled);
    let Statistics { calls_waiting, items_waiting, .. } = scheduler.statistics();
    assert_eq!((calls_waiting, items_waiting), (0, 0));
    let next = scheduler.submit_now(vec![40], None);
    permits.send(()).unwrap();
    permits.send(()).unwrap();
    assert_eq!(finished(next), [80.0]);
    assert_eq!(packs(&scheduler), [vec![100, 100], vec![40]]);
}

#[test]
fn a_full_queue_holds_callers_back_until_there_is_room() {
    let (scheduler, permits) = gated();
    let running = scheduler.submit_now(vec![250], None);
    until_claimed(&scheduler);
    let waiting: Vec<_> = (0..4).map(|_| scheduler.submit_now(vec![250], None)).collect();
    let asked = AtomicUsize::new(0);
    let give_up = || {
        asked.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Break(())
    };
    let refused = scheduler.submit(vec![20], &give_up);
    assert!(matches!(refused, Err(Error::Interrupted { done: 0, total: 1 })));
    assert_eq!((scheduler.statistics().calls_waiting, asked.into_inner()), (4, 1));

    std::thread::scope(|scope| {
        let held_back = scope.spawn(|| finished(scheduler.submit(vec![20], GO_ON).unwrap()));
        (0..6).for_each(|_| permits.send(()).unwrap());
        assert_eq!(held_back.join().unwrap(), [40.0]);
    });
    assert_eq!(finished(running), [500.0]);
    waiting.into_iter().for_each(|call| assert_eq!(finished(call), [500.0]));
}

#[test]
fn a_failure_is_its_calls_own() {
    let scheduler = scheduler(2, None);
    let outcome = |items: Vec<usize>| {
        let call = scheduler.submit_now(items, None);
        while !call.wait(usize::MAX, WAIT).finished {}
        call.take()
    };
    let untokenized = outcome(vec![20, 21, NO_TOKENS, 22]);
    assert!(matches!(untokenized, Err(Error::Tokenize { index: 2, .. })), "{untokenized:?}");
    let poisoned = outcome(vec![POISON]);
    assert!(matches!(poisoned, Err(Error::Failed { .. })), "{poisoned:?}");
    assert_eq!(outcome(vec![20]).unwrap(), [40.0]);
}

#[test]
fn the_end_of_a_call_is_told_once() {
    let scheduler = scheduler(2, None);
    for items in [vec![], vec![20], vec![30; 500], vec![NO_TOKENS; 500]] {
        let told = Arc::new(AtomicUsize::new(0));
        let counter = told.clone();
        let tell = Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let call = scheduler.submit_now(items, Some(tell));
        while !call.wait(usize::MAX, WAIT).finished {}
        while told.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        drop(call);
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_call_knows_what_it_took() {
    let scheduler = scheduler(2, None);
    let call = scheduler.submit_now(vec![30, CUT, 40, CUT], None);
    while !call.wait(usize::MAX, WAIT).finished {}
    let Effort { tokens, mut cut, tokenizing, running } = call.effort();
    cut.sort_unstable();
    assert_eq!((tokens, cut), (70 + 2 * CUT, vec![1, 3]));
    assert!(!tokenizing.is_zero() && !running.is_zero());
}
