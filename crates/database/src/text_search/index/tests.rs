//! An index reads back what was written, and no bytes make it panic.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::super::builder::TextIndexBuilder;
use super::super::language::Language;
use super::header::{Identity, IndexKey};
use super::merge::{NewRows, merge};
use super::postings::Posting;
use super::*;
use crate::error::Error;
use crate::format::INDEX_FILE_HEADER_BYTES;
use crate::index_file::write::MemoryTarget;

type Index = TextIndex<Vec<u8>>;

fn key() -> IndexKey {
    IndexKey { language: Language::parse("none").unwrap(), field: None }
}

fn identity(rows: u32) -> Identity {
    Identity { number: 3, salt: 5, rows }
}

fn open(bytes: Vec<u8>) -> Result<Index> {
    TextIndex::open(bytes, Path::new("x.words"))
}

fn spelled(words: &[u16]) -> String {
    words.iter().map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ")
}

fn written(rows: &[Option<Vec<u16>>]) -> Vec<u8> {
    let mut builder = TextIndexBuilder::new(key().language);
    rows.iter().for_each(|words| builder.push(words.as_deref().map(spelled).as_deref()));
    builder.write(MemoryTarget::new(), identity(rows.len() as u32), key()).unwrap()
}

fn postings(rows: &[Option<Vec<u16>>]) -> BTreeMap<String, Vec<Posting>> {
    let mut all: BTreeMap<String, Vec<Posting>> = BTreeMap::new();
    for (row, words) in (0..).zip(rows) {
        for word in words.iter().flatten() {
            let of_word = all.entry(format!("w{word}")).or_default();
            match of_word.last_mut() {
                Some((last, count)) if *last == row => *count += 1,
                _ => of_word.push((row, 1)),
            }
        }
    }
    all
}

/// Reads all there is.
fn read(index: &Index) -> Result<BTreeMap<String, Vec<Posting>>> {
    let mut all = BTreeMap::new();
    let mut terms = index.terms();
    while let Some((term, mut cursor)) = terms.next()? {
        let mut postings = Vec::new();
        cursor.visit(0..u32::MAX, |row, count| postings.push((row, count)))?;
        all.insert(String::from_utf8_lossy(&term).into_owned(), postings);
    }
    for row in 0..index.rows().min(1000) {
        index.length(row)?;
    }
    Ok(all)
}

fn rows() -> impl Strategy<Value = Vec<Option<Vec<u16>>>> {
    // A few words are in most rows, most words in few.
    let word = prop_oneof![0u16..3, 0u16..40, 0u16..2000];
    let words = prop::option::weighted(0.9, prop::collection::vec(word, 0..12));
    prop::collection::vec(words, 1..700)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_was_written_is_found(rows in rows(), probes in prop::collection::vec(0u32..700, 20)) {
        let index = open(written(&rows)).unwrap();
        index.verify().unwrap();
        let expected = postings(&rows);
        prop_assert_eq!(read(&index).unwrap(), expected.clone());
        let with_text = rows.iter().flatten();
        prop_assert_eq!(index.texts(), with_text.clone().count() as u64);
        prop_assert_eq!(index.words(), with_text.map(|words| words.len() as u64).sum::<u64>());
        for (row, words) in (0..).zip(&rows) {
            let length = words.as_ref().map(|words| words.len() as u32);
            prop_assert_eq!(index.length(row).unwrap(), length);
        }
        let mut probes = probes;
        probes.sort_unstable();
        for (term, postings) in &expected {
            let cursor = index.find(term).unwrap().unwrap();
            prop_assert_eq!(cursor.postings() as usize, postings.len());
            let mut one_by_one = cursor.clone();
            for row in &probes {
                let found = postings.iter().find(|(other, _)| other == row);
                let count = found.map_or(0, |(_, count)| *count);
                prop_assert_eq!(one_by_one.count_in(*row).unwrap(), count);
            }
            let mut by_window = cursor.clone();
            let mut seen = Vec::new();
            for start in (0..700).step_by(90) {
                by_window.advance_to(start);
                let bounds = by_window.bounds(start..start + 90);
                by_window.visit(start..start + 90, |row, count| seen.push((row, count, bounds))).unwrap();
            }
            prop_assert_eq!(seen.len(), postings.len());
            for ((row, count, bounds), posting) in seen.iter().zip(postings) {
                prop_assert_eq!((*row, *count), *posting);
                let length = index.length(*row).unwrap().unwrap();
                prop_assert!(bounds.most_count >= *count as u16);
                prop_assert!(f64::from(bounds.least_ratio) <= f64::from(length) / f64::from(*count));
            }
        }
        for absent in ["", "v", "w", "w00", "x", "\u{10ffff}"] {
            prop_assert!(index.find(absent).unwrap().is_none());
        }
    }

    #[test]
    fn merged_indexes_are_the_index_of_all_rows(
        rows in rows(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        gone in prop::collection::vec(any::<bool>(), 700),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len())).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|ends| ends[0]..ends[1]).collect();
        let indexes: Vec<Index> =
            parts.iter().map(|part| open(written(&rows[part.clone()])).unwrap()).collect();
        let offsets = indexes.iter().zip(&parts).map(|(index, part)| (index, NewRows::From(part.start as u32)));
        let offsets: Vec<_> = offsets.collect();
        let all = merge(&offsets, MemoryTarget::new(), identity(rows.len() as u32), key()).unwrap();
        prop_assert_eq!(all, written(&rows));

        let mut next = 0;
        let listed = parts.iter().map(|part| {
            let new = part.clone().map(|row| if gone[row] { u32::MAX } else { next += 1; next - 1 });
            NewRows::Listed(new.collect())
        });
        let listed: Vec<NewRows> = listed.collect();
        let listed: Vec<_> = indexes.iter().zip(listed).collect();
        let some = merge(&listed, MemoryTarget::new(), identity(next), key()).unwrap();
        let left: Vec<_> = rows.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(row, _)| row.clone()).collect();
        prop_assert_eq!(some, written(&left));
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(rows in rows(), place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = written(&rows);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let outcome = open(bytes).and_then(|index| index.verify());
        let noticed = matches!(outcome, Err(Error::Corrupt { .. } | Error::Version { .. }));
        prop_assert!(noticed, "{}", place);
    }

    #[test]
    fn impossible_bytes_with_right_checksums_are_refused_or_read(
        rows in rows(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = written(&rows);
        let body = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        for (place, byte) in changes {
            bytes[INDEX_FILE_HEADER_BYTES + place.index(body)] = byte;
        }
        let table = crate::paged::checksum_table(&bytes[INDEX_FILE_HEADER_BYTES..][..body]);
        bytes.truncate(INDEX_FILE_HEADER_BYTES + body);
        bytes.extend_from_slice(&table);
        bytes[84..88].copy_from_slice(&crc32fast::hash(&table).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..508]);
        bytes[508..512].copy_from_slice(&checksum.to_le_bytes());
        let index = open(bytes).unwrap();
        let _ = read(&index);
        for word in 0..50 {
            if let Ok(Some(mut cursor)) = index.find(&format!("w{word}")) {
                let _ = cursor.rows();
                let _ = cursor.count_in(20);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(open(bytes).is_err());
    }
}
