//! What a database is after its disk or its process failed it: `docs/durability.md` in tests.

mod any_bytes;
mod crash_points;
mod faults;
mod history;
mod medium;
mod mending;
mod random;
mod recorder;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::crash_points::{Tally, crash_everywhere};
use crate::random::Random;

/// Lives of a database in one history.
const LIVES: usize = 4;

/// Where the images of crashed databases go: into memory where there is such a folder.
fn scratch_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).expect("a folder in memory"),
        false => tempfile::tempdir().expect("a folder"),
    }
}

/// Plays histories from `seed` on, on two threads, for as long as `more` says so.
fn crash_histories(seed: u64, more: impl Fn(Tally) -> bool + Sync) -> Tally {
    let next = AtomicU64::new(seed);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while more(*total.lock()) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let random = Random::new(seed);
                    let one = crash_everywhere(&format!("seed {seed}"), random, LIVES);
                    let mut total = total.lock();
                    total.crash_points += one.crash_points;
                    total.changes += one.changes;
                    total.steps += one.steps;
                }
            });
        }
    });
    let histories = next.into_inner() - seed;
    let total = total.into_inner();
    println!("{histories} histories from seed {seed} on: {total:?}");
    total
}

#[test]
fn a_crash_at_any_point_loses_nothing_that_was_acknowledged() {
    let total = crash_histories(1, |total| total.crash_points < 10_000);
    assert!(total.crash_points >= 10_000, "{total:?}");
}

/// `make fuzz`: other histories each time, for the seconds in `RAC_FUZZ_SECONDS`; a failure names the
/// seed, and `RAC_FUZZ_SEED` begins with it.
#[test]
#[ignore = "runs for as long as it is told to"]
fn crashes_at_length() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seconds = number("RAC_FUZZ_SECONDS").unwrap_or(60);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
    let seed = number("RAC_FUZZ_SEED").unwrap_or(now.as_secs() << 20);
    let end = Instant::now() + Duration::from_secs(seconds);
    crash_histories(seed, |_| Instant::now() < end);
}
