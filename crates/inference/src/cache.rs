//! Vectors that were computed before, by content and model, bounded in bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an entry takes beside its numbers, about: keys, links, and the tables' spare room.
const ENTRY_BYTES: usize = 160;

/// A call with more texts than this part of the cache would hold leaves the cache as it is: one
/// pass over a large corpus is not what anybody asks for again.
const BULK_PART: usize = 4;

/// Names a text and everything that its vector depends on.
pub(crate) type Key = [u8; 16];

/// A cache of vectors, shared by whoever uses it. The entry that was not asked for the longest goes
/// first.
pub struct EmbeddingCache {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    vectors: HashMap<Key, (u64, Box<[f32]>)>,
    /// Keys by when they were last asked for.
    order: BTreeMap<u64, Key>,
    clock: u64,
    statistics: CacheStatistics,
}

/// What a cache holds, and how often it helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Texts whose vectors were there.
    pub hits: u64,
    /// Texts whose vectors were not.
    pub misses: u64,
    /// Vectors in it.
    pub entries: usize,
    /// Bytes that they take, about.
    pub bytes: usize,
}

impl EmbeddingCache {
    /// A cache of at most `capacity` bytes.
    pub fn new(capacity: usize) -> EmbeddingCache {
        EmbeddingCache { capacity, entries: Mutex::default() }
    }

    /// What it holds, and how often it helped.
    pub fn statistics(&self) -> CacheStatistics {
        self.lock().statistics
    }

    /// The key of a text for a model.
    pub(crate) fn key(fingerprint: &str, text: &str) -> Key {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(fingerprint.len() as u64).to_le_bytes());
        hasher.update(fingerprint.as_bytes());
        hasher.update(text.as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        key
    }

    /// Copies the vectors that are there into their rows; the places of those that are not.
    pub(crate) fn fill(&self, keys: &[Key], rows: &mut [f32], width: usize) -> Vec<usize> {
        let mut entries = self.lock();
        let mut missing = Vec::new();
        for (index, (key, row)) in keys.iter().zip(rows.chunks_exact_mut(width)).enumerate() {
            if !entries.copy(key, row) {
                missing.push(index);
            }
        }
        entries.statistics.misses += missing.len() as u64;
        entries.statistics.hits += (keys.len() - missing.len()) as u64;
        missing
    }

    /// Whether the vectors of a call of so many texts are kept.
    pub(crate) fn keeps(&self, texts: usize, width: usize) -> bool {
        let bytes = entry_bytes(width);
        let most = self.capacity / bytes;
        texts <= most / BULK_PART || texts == 1 && most > 0
    }

    /// Keeps vectors, and lets go of the oldest ones beyond the capacity.
    pub(crate) fn insert<'a>(&self, vectors: impl Iterator<Item = (Key, &'a [f32])>) {
        let mut entries = self.lock();
        for (key, vector) in vectors {
            entries.insert(key, vector);
            while entries.statistics.bytes > self.capacity {
                entries.drop_oldest();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry_bytes(width: usize) -> usize {
    width * size_of::<f32>() + ENTRY_BYTES
}

impl Entries {
    fn copy(&mut self, key: &Key, row: &mut [f32]) -> bool {
        let Some((asked, vector)) = self.vectors.get_mut(key) else {
            return false;
        };
        row.copy_from_slice(vector);
        self.clock += 1;
        self.order.remove(asked);
        self.order.insert(self.clock, *key);
        *asked = self.clock;
        true
    }

    fn insert(&mut self, key: Key, vector: &[f32]) {
        self.clock += 1;
        if let Some((asked, _)) = self.vectors.insert(key, (self.clock, vector.into())) {
            self.order.remove(&asked);
        } else {
            self.statistics.entries += 1;
            self.statistics.bytes += entry_bytes(vector.len());
        }
        self.order.insert(self.clock, key);
    }

    fn drop_oldest(&mut self) {
        let oldest = self.order.pop_first().and_then(|(_, key)| self.vectors.remove(&key));
        if let Some((_, vector)) = oldest {
            self.statistics.entries -= 1;
            self.statistics.bytes -= entry_bytes(vector.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 4;

    fn key(n: usize) -> Key {
        EmbeddingCache::key("model", &n.to_string())
    }

    fn holds(cache: &EmbeddingCache, n: usize) -> bool {
        let mut row = [0.0; WIDTH];
        let missing = cache.fill(&[key(n)], &mut row, WIDTH);
        missing.is_empty() && row == [n as f32; WIDTH]
    }

    fn put(cache: &EmbeddingCache, n: usize) {
        cache.insert([(key(n), [n as f32; WIDTH].as_slice())].into_iter());
    }

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let cache = EmbeddingCache::new(3 * entry_bytes(WIDTH));
        (0..3).for_each(|n| put(&cache, n));
        assert!(holds(&cache, 0));
        put(&cache, 3);
        let held: Vec<usize> = (0..4).filter(|&n| holds(&cache, n)).collect();
        assert_eq!(held, [0, 2, 3]);
        let CacheStatistics { hits, misses, entries, bytes } = cache.statistics();
        assert_eq!((hits, misses, entries, bytes), (4, 1, 3, 3 * entry_bytes(WIDTH)));
    }

    #[test]
    fn an_entry_is_replaced_and_not_counted_twice() {
        let cache = EmbeddingCache::new(10 * entry_bytes(WIDTH));
        for _ in 0..100 {
            put(&cache, 7);
        }
        assert_eq!(cache.statistics().entries, 1);
        assert_eq!(cache.lock().order.len(), 1);
    }

    #[test]
    fn models_and_texts_do_not_share_keys() {
        let keys = [("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab")]
            .map(|(model, text)| EmbeddingCache::key(model, text));
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key));
        }
    }

    #[test]
    fn bulk_is_not_kept() {
        let cache = EmbeddingCache::new(100 * entry_bytes(WIDTH));
        assert!(cache.keeps(1, WIDTH) && cache.keeps(25, WIDTH) && !cache.keeps(26, WIDTH));
        assert!(!EmbeddingCache::new(10).keeps(1, WIDTH));
    }
}
