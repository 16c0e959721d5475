//! Notices whether walks wait for the medium: whether what they visit is in memory or is not.
//!
//! Nobody can tell beforehand: memory is shared with the system and with other processes, and a
//! limit may be a container's. Time can: a node that is in memory is visited in about a
//! microsecond, one whose pages must be read first in fifty and more. But a walk is also slow where
//! its thread loses the processor, so one slow walk says little. And a walk that asks for nodes
//! ahead is never as fast as one that finds them in memory, so now and then one goes without.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A visit of a node in memory stays below this, beside the reading of its bytes.
const RESIDENT_VISIT: Duration = Duration::from_micros(4);

/// Bytes of a node that are read from memory in a nanosecond, at the least.
const BYTES_A_NANOSECOND: usize = 2;

/// A visit that takes this many times as long has waited.
const WAITED: u32 = 4;

/// Visits that what a walk does beside its visits takes as long as, at most.
const VISITS_BESIDE: usize = 8;

/// So many slow walks in a row have waited for the medium.
const SLOW_WALKS: u32 = 3;

/// Walks that ask for nodes ahead before one tries without, at first; twice as many each time that
/// the one was slow.
const WALKS_A_TRIAL: u32 = 16;

/// The most of them: one slow walk in so many is no loss.
const MOST_WALKS_A_TRIAL: u32 = 1024;

/// Nodes that are requested before they are visited, from memory: into the processor's cache.
const AHEAD_IN_MEMORY: usize = 2;

/// The same from a medium, which reads several pages in the time of one.
const AHEAD_ON_MEDIUM: usize = 16;

/// What the last walks through a graph met. Walks of several threads may count each other's: all that
/// comes of it is a trial that is sooner or later.
pub(crate) struct Residence {
    waits: AtomicBool,
    /// Slow walks in a row while nodes are not asked for.
    slow: AtomicU32,
    /// Walks since nodes are asked for.
    asking: AtomicU32,
    /// Walks until the next trial.
    until_trial: AtomicU32,
}

impl Default for Residence {
    fn default() -> Self {
        Self {
            waits: AtomicBool::new(false),
            slow: AtomicU32::new(0),
            asking: AtomicU32::new(0),
            until_trial: AtomicU32::new(WALKS_A_TRIAL),
        }
    }
}

impl Residence {
    /// Whether the nodes that will be visited shall be asked for. That costs a system call each,
    /// which is a waste where they are in memory.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// How many nodes a walk shall request before it visits the first of them.
    pub(crate) fn ahead(&self) -> usize {
        if self.waits() { AHEAD_ON_MEDIUM } else { AHEAD_IN_MEMORY }
    }

    /// Learns from a walk that has ended; returns whether it is taken to have waited.
    pub(crate) fn learn(&self, elapsed: Duration, visits: usize, node_bytes: usize) -> bool {
        if self.waits() {
            let walks = self.asking.fetch_add(1, Ordering::Relaxed) + 1;
            if walks >= self.until_trial.load(Ordering::Relaxed) {
                self.asking.store(0, Ordering::Relaxed);
                // The trial: one more slow walk, and nodes are asked for again.
                self.slow.store(SLOW_WALKS - 1, Ordering::Relaxed);
                self.set(false);
            }
            return true;
        }
        let reading = Duration::from_nanos((node_bytes / BYTES_A_NANOSECOND) as u64);
        let resident = RESIDENT_VISIT + reading;
        let visits = u32::try_from(visits.saturating_add(VISITS_BESIDE)).unwrap_or(u32::MAX);
        if elapsed <= resident.saturating_mul(WAITED).saturating_mul(visits) {
            self.slow.store(0, Ordering::Relaxed);
            self.until_trial.store(WALKS_A_TRIAL, Ordering::Relaxed);
            return false;
        }
        if self.slow.fetch_add(1, Ordering::Relaxed) + 1 >= SLOW_WALKS {
            self.slow.store(0, Ordering::Relaxed);
            let walks = self.until_trial.load(Ordering::Relaxed);
            self.until_trial.store((2 * walks).min(MOST_WALKS_A_TRIAL), Ordering::Relaxed);
            self.set(true);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks of 100 visits that take so many microseconds each.
    fn walk(residence: &Residence, microseconds: u64) -> (bool, usize) {
        residence.learn(Duration::from_micros(microseconds * 100), 100, 4000);
        (residence.waits(), residence.ahead())
    }

    #[test]
    fn slow_walks_in_a_row_turn_requests_on() {
        let residence = Residence::default();
        for microseconds in [1, 23, 60, 60, 1, 60, 60] {
            assert_eq!(walk(&residence, microseconds), (false, AHEAD_IN_MEMORY));
        }
        assert_eq!(walk(&residence, 60), (true, AHEAD_ON_MEDIUM));
    }

    #[test]
    fn a_trial_without_requests_ends_them_where_it_is_fast() {
        let residence = Residence::default();
        for _ in 0..SLOW_WALKS {
            walk(&residence, 60);
        }
        // However fast they are, walks that ask for nodes say nothing of what is in memory.
        let asking = |walks: u32| (1..walks).all(|_| walk(&residence, 1).0);
        assert!(asking(2 * WALKS_A_TRIAL));
        assert!(!walk(&residence, 60).0, "a trial is due");
        assert!(walk(&residence, 60).0, "which was slow: asking goes on, for longer");
        assert!(asking(4 * WALKS_A_TRIAL));
        assert!(!walk(&residence, 60).0);
        for _ in 0..SLOW_WALKS {
            assert!(!walk(&residence, 1).0);
        }
        (1..SLOW_WALKS).for_each(|_| assert!(!walk(&residence, 60).0));
        assert!(walk(&residence, 60).0);
        assert!(asking(2 * WALKS_A_TRIAL), "the next trial is as soon as at first");
        assert!(!walk(&residence, 60).0);
    }

    #[test]
    fn trials_become_rare_but_never_end() {
        let residence = Residence::default();
        let mut trials = 0;
        for _ in 0..20 * MOST_WALKS_A_TRIAL {
            trials += u32::from(!walk(&residence, 60).0);
        }
        assert!((20..30).contains(&trials), "{trials}");
    }

    #[test]
    fn large_nodes_take_longer_to_read_from_memory() {
        let residence = Residence::default();
        for _ in 0..2 * SLOW_WALKS {
            residence.learn(Duration::from_micros(60 * 100), 100, 40_000);
            residence.learn(Duration::from_micros(60), 0, 40_000);
        }
        assert!(!residence.waits());
    }
}
