//! Notices whether walks wait for the medium: whether what they visit is in memory or is not.
//!
//! Nobody can tell beforehand: memory is shared with the system and with other processes, and a
//! limit may be a container's. Time can: a node that is in memory is visited in about a
//! microsecond, one whose pages must be read first in fifty and more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A visit of a node in memory stays below this, beside the reading of its bytes.
const RESIDENT_VISIT: Duration = Duration::from_micros(4);

/// Bytes of a node that are read from memory in a nanosecond, at the least.
const BYTES_A_NANOSECOND: usize = 2;

/// A visit that takes this many times as long has waited. Far from one, so that a thread which the
/// system interrupts does not count.
const WAITED: u32 = 4;

/// Nodes that are requested before they are visited, from memory: into the processor's cache.
const AHEAD_IN_MEMORY: usize = 2;

/// The same from a medium, which reads several pages in the time of one.
const AHEAD_ON_MEDIUM: usize = 16;

/// What the last walks through a graph met.
#[derive(Default)]
pub(crate) struct Residence {
    waits: AtomicBool,
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

    /// Learns from a walk that has ended.
    pub(crate) fn learn(&self, elapsed: Duration, visits: usize, node_bytes: usize) {
        let reading = Duration::from_nanos((node_bytes / BYTES_A_NANOSECOND) as u64);
        let resident = RESIDENT_VISIT + reading;
        let visit = elapsed / u32::try_from(visits.max(1)).unwrap_or(u32::MAX);
        let limit = if self.waits() { resident } else { resident * WAITED };
        let waits = visit > limit;
        if waits != self.waits() {
            self.set(waits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_walks_turn_requests_on_and_fast_ones_off() {
        let residence = Residence::default();
        let walk = |microseconds: u64| {
            residence.learn(Duration::from_micros(microseconds * 100), 100, 4000);
            (residence.waits(), residence.ahead())
        };
        assert_eq!(walk(1), (false, AHEAD_IN_MEMORY));
        assert_eq!(walk(23), (false, AHEAD_IN_MEMORY));
        assert_eq!(walk(60), (true, AHEAD_ON_MEDIUM));
        assert_eq!(walk(9), (true, AHEAD_ON_MEDIUM));
        assert_eq!(walk(3), (false, AHEAD_IN_MEMORY));
    }

    #[test]
    fn large_nodes_take_longer_to_read_from_memory() {
        let residence = Residence::default();
        residence.learn(Duration::from_micros(60 * 100), 100, 40_000);
        assert!(!residence.waits());
        residence.learn(Duration::from_micros(60), 0, 40_000);
        assert!(!residence.waits());
    }
}
