//! Words of up to 16 bytes to tokens: an open hash table whose keys are the words themselves.

/// A word of 1 to 16 bytes, none of them zero, padded with zeros.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WordKey {
    low: u64,
    high: u64,
}

/// What to keep of 16 loaded bytes for each length of a word.
const MASKS: [(u64, u64); WordKey::LONGEST + 1] = {
    let mut masks = [(0, 0); WordKey::LONGEST + 1];
    let mut length = 1;
    while length <= WordKey::LONGEST {
        masks[length] = if length <= 8 {
            (u64::MAX >> (64 - 8 * length), 0)
        } else {
            (u64::MAX, u64::MAX >> (128 - 8 * length))
        };
        length += 1;
    }
    masks
};

impl WordKey {
    pub(super) const LONGEST: usize = 16;

    /// The key of the first `length` of 16 bytes: `length` is 1 to 16, and none of them is zero.
    #[inline]
    pub(super) fn load(bytes: &[u8; Self::LONGEST], length: usize) -> WordKey {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let high = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
        let (low_mask, high_mask) = MASKS[length];
        WordKey { low: low & low_mask, high: high & high_mask }
    }

    /// The key of a word, if it has one.
    pub(super) fn of(word: &[u8]) -> Option<WordKey> {
        if word.is_empty() || word.len() > Self::LONGEST || word.contains(&0) {
            return None;
        }
        let mut bytes = [0; Self::LONGEST];
        bytes[..word.len()].copy_from_slice(word);
        Some(WordKey::load(&bytes, word.len()))
    }

    /// Every bit depends on every bit of the word.
    #[inline]
    pub(super) fn hash(self) -> u64 {
        const LOW: u64 = 0x9E37_79B9_7F4A_7C15;
        const HIGH: u64 = 0xC2B2_AE3D_27D4_EB4F;
        let product = u128::from(self.low ^ LOW) * u128::from(self.high ^ HIGH);
        let folded = (product as u64) ^ ((product >> 64) as u64);
        folded.wrapping_mul(LOW)
    }
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// The zero key, which no word has, marks an entry that is not taken.
    key: WordKey,
    token: u32,
}

pub(super) struct WordTable {
    entries: Box<[Entry]>,
    shift: u32,
}

impl WordTable {
    pub(super) fn build(words: &[(WordKey, u32)]) -> WordTable {
        let slots = (2 * words.len()).next_power_of_two().max(2);
        let shift = 64 - slots.trailing_zeros();
        let mut table = WordTable { entries: vec![Entry::default(); slots].into(), shift };
        for &(key, token) in words {
            let mut slot = table.slot(key);
            while table.entries[slot].key != WordKey::default() {
                slot = (slot + 1) & (slots - 1);
            }
            table.entries[slot] = Entry { key, token };
        }
        table
    }

    fn slot(&self, key: WordKey) -> usize {
        (key.hash() >> self.shift) as usize
    }

    #[inline]
    pub(super) fn get(&self, key: WordKey, hash: u64) -> Option<u32> {
        let last = self.entries.len() - 1;
        let mut slot = (hash >> self.shift) as usize & last;
        loop {
            let entry = &self.entries[slot];
            if entry.key == key {
                return Some(entry.token);
            }
            if entry.key == WordKey::default() {
                return None;
            }
            slot = (slot + 1) & last;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_refused_where_they_would_be_ambiguous() {
        assert!(WordKey::of(b"").is_none());
        assert!(WordKey::of(b"a\0").is_none());
        assert!(WordKey::of(&[b'a'; 17]).is_none());
        assert!(WordKey::of(&[b'a'; 16]).is_some());
    }

    proptest! {
        #[test]
        fn finds_what_a_map_finds(
            words in prop::collection::vec("[ab]{1,16}", 0..300),
            asked in prop::collection::vec("[ab]{1,16}", 0..300),
        ) {
            let map: HashMap<&str, u32> = words.iter().map(String::as_str).zip(0..).collect();
            let keyed = |word: &str| WordKey::of(word.as_bytes()).unwrap();
            let entries: Vec<_> = map.iter().map(|(word, id)| (keyed(word), *id)).collect();
            let table = WordTable::build(&entries);
            for word in words.iter().chain(&asked) {
                let key = keyed(word);
                prop_assert_eq!(table.get(key, key.hash()), map.get(word.as_str()).copied());
            }
        }
    }
}
