//! From ids to rows: a hash table that is searched where it lies on disk.
//!
//! Open addressing with linear probing, three quarters full at most, so a look-up reads one place
//! of the table, and a second block only where it runs over the end of the first. A slot holds a
//! row and 32 bits of the id's hash; the record itself decides.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::bytes::text_length;
use crate::error::Result;
use crate::format::{ID_INTEGER, ID_TABLE_EMPTY, ID_TEXT};
use crate::record::Id;

/// Slots of a table for so many rows. There is always an empty one, where a search ends.
pub(super) fn slots(rows: u32) -> u64 {
    let rows = u64::from(rows);
    rows + rows / 3 + 1
}

/// The hash of an id: the same on every machine, and keyed, so that nobody who chooses ids can
/// make them collide.
///
/// # Errors
/// `InvalidArgument` for an id that is too long to be stored.
pub(super) fn hash(id: &Id, salt: u64) -> Result<u64> {
    // Of the bytes that it is stored as, which need not be put together for this.
    let mut hasher = SipHasher13::new_with_keys(salt, 0);
    match id {
        Id::Int(number) => {
            let mut encoded = [ID_INTEGER; 9];
            encoded[1..].copy_from_slice(&number.to_le_bytes());
            hasher.write(&encoded);
        }
        Id::Str(text) => {
            hasher.write(&[ID_TEXT]);
            hasher.write(&text_length(text.len())?.to_le_bytes());
            hasher.write(text.as_bytes());
        }
    }
    Ok(hasher.finish())
}

/// A slot: the row in the low half, the low half of the hash in the high one.
fn slot_of(row: u32, hash: u64) -> u64 {
    u64::from(row) | hash << 32
}

/// Where the search for a hash starts: its high bits, stretched over the slots.
pub(super) fn home(hash: u64, slots: u64) -> u64 {
    ((u128::from(hash) * u128::from(slots)) >> 64) as u64
}

/// The row for which `is_it` is true, among those whose ids may have this hash. Looks at no more
/// than every slot, whatever the table holds.
pub(super) fn find<E>(
    hash: u64,
    slots: u64,
    mut slot_at: impl FnMut(u64) -> std::result::Result<u64, E>,
    mut is_it: impl FnMut(u32) -> std::result::Result<bool, E>,
) -> std::result::Result<Option<u32>, E> {
    let mut position = home(hash, slots);
    for _ in 0..slots {
        let slot = slot_at(position)?;
        let row = slot as u32;
        if row == ID_TABLE_EMPTY {
            return Ok(None);
        }
        if slot == slot_of(row, hash) && is_it(row)? {
            return Ok(Some(row));
        }
        position += 1;
        if position == slots {
            position = 0;
        }
    }
    Ok(None)
}

/// A table in the making.
pub(super) struct IdTable {
    slots: Vec<u64>,
}

impl IdTable {
    pub(super) fn new(rows: u32) -> Self {
        Self { slots: vec![u64::MAX; slots(rows) as usize] }
    }

    /// Enters a row, unless `is_it` says that an earlier one has the same id: that one is returned.
    pub(super) fn insert<E>(
        &mut self,
        hash: u64,
        row: u32,
        is_it: impl FnMut(u32) -> std::result::Result<bool, E>,
    ) -> std::result::Result<Option<u32>, E> {
        let slots = self.slots.len() as u64;
        let slot_at = |position: u64| Ok(self.slots[position as usize]);
        if let Some(earlier) = find(hash, slots, slot_at, is_it)? {
            return Ok(Some(earlier));
        }
        let mut position = home(hash, slots) as usize;
        while self.slots[position] as u32 != ID_TABLE_EMPTY {
            position = (position + 1) % self.slots.len();
        }
        self.slots[position] = slot_of(row, hash);
        Ok(None)
    }

    pub(super) fn slots(&self) -> &[u64] {
        &self.slots
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::record_encoding::put_id;

    #[test]
    fn the_hash_is_sip_hash_1_3_of_the_encoded_id() {
        // What the file format fixes: other readers must find the same slots.
        for (id, salt) in [(Id::Int(-7), 0), (Id::from("héllo"), u64::MAX), (Id::from(""), 99)] {
            let mut bytes = Vec::new();
            put_id(&mut bytes, &id).unwrap();
            assert_eq!(hash(&id, salt).unwrap(), published_sip_hash_1_3(salt, 0, &bytes));
        }
    }

    /// Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one and three rounds.
    fn published_sip_hash_1_3(k0: u64, k1: u64, message: &[u8]) -> u64 {
        fn round(v: &mut [u64; 4]) {
            v[0] = v[0].wrapping_add(v[1]);
            v[1] = v[1].rotate_left(13) ^ v[0];
            v[0] = v[0].rotate_left(32);
            v[2] = v[2].wrapping_add(v[3]);
            v[3] = v[3].rotate_left(16) ^ v[2];
            v[0] = v[0].wrapping_add(v[3]);
            v[3] = v[3].rotate_left(21) ^ v[0];
            v[2] = v[2].wrapping_add(v[1]);
            v[1] = v[1].rotate_left(17) ^ v[2];
            v[2] = v[2].rotate_left(32);
        }
        let initial = *b"somepseudorandomlygeneratedbytes";
        let words = initial.as_chunks::<8>().0;
        let mut v: [u64; 4] = std::array::from_fn(|i| u64::from_be_bytes(words[i]));
        for (i, key) in [k0, k1, k0, k1].into_iter().enumerate() {
            v[i] ^= key;
        }
        let mut padded = message.to_vec();
        padded.resize(message.len() / 8 * 8 + 7, 0);
        padded.push(message.len() as u8);
        for word in padded.as_chunks::<8>().0 {
            let word = u64::from_le_bytes(*word);
            v[3] ^= word;
            round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    #[test]
    fn colliding_hashes_and_full_tables_find_what_was_entered_and_end() {
        let hashes = [u64::MAX, u64::MAX, u64::MAX, 5, 5, 0];
        let mut table = IdTable::new(hashes.len() as u32);
        let never = |_| Ok::<_, Infallible>(false);
        for (row, hash) in hashes.into_iter().enumerate() {
            assert_eq!(table.insert(hash, row as u32, never).unwrap(), None);
        }
        let slots = table.slots().to_vec();
        let at = |position: u64| Ok::<_, Infallible>(slots[position as usize]);
        for (row, hash) in hashes.into_iter().enumerate() {
            let found = find(hash, slots.len() as u64, at, |it| Ok(it == row as u32)).unwrap();
            assert_eq!(found, Some(row as u32));
        }
        let full = |_| Ok::<_, Infallible>(7);
        assert_eq!(find(0, 1 << 20, full, never).unwrap(), None, "a table without an end");
        let same = |_| Ok::<_, Infallible>(true);
        assert_eq!(table.insert(5, 9, same).unwrap(), Some(3), "the id is there already");
    }
}
