//! Random numbers that a seed brings back.

/// SplitMix64, behind choices that somebody made.
#[derive(Clone)]
pub(crate) struct Random {
    state: u64,
    /// What is chosen first, the next one at the end.
    choices: Vec<u8>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, choices: Vec::new() }
    }

    /// Chooses what the bytes say, one byte a choice, and then at random, by the bytes too.
    #[allow(dead_code, reason = "for fuzz/fuzz_targets/crashes.rs")]
    pub(crate) fn choosing(bytes: &[u8]) -> Self {
        let choices = bytes.iter().rev().copied().collect();
        Self { state: u64::from(crc32fast::hash(bytes)), choices }
    }

    pub(crate) fn next(&mut self) -> u64 {
        if let Some(choice) = self.choices.pop() {
            return u64::from(choice);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}
