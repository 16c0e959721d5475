//! A search finds what looking at every vector finds, and no bytes make it panic.

use std::path::Path;

use proptest::prelude::*;

use super::write::write_in_passes;
use super::*;
use crate::error::Error;
use crate::format::INDEX_FILE_HEADER_BYTES;

type Vectors = Vec<Option<SparseVector>>;
type Index = SparseIndex<Vec<u8>>;

fn vector(entries: &[(u32, f32)]) -> SparseVector {
    let (indices, values) = entries.iter().copied().unzip();
    SparseVector::new(indices, values).unwrap()
}

fn open(bytes: Vec<u8>) -> Result<Index> {
    SparseIndex::open(bytes, Path::new("x.sparse"))
}

fn written(vectors: &Vectors, pass_postings: usize) -> Vec<u8> {
    let identity = Identity { number: 3, salt: 5, rows: vectors.len() as u32 };
    let source = |row: u32| Ok(vectors[row as usize].clone());
    write_in_passes(MemoryTarget::new(), identity, "words", &source, pass_postings).unwrap()
}

/// What the search is to find.
fn looked_at(
    vectors: &Vectors,
    query: &SparseVector,
    limit: usize,
    floor: f32,
    accept: &dyn Fn(u32) -> bool,
) -> Vec<(f32, u32)> {
    let rows = (0..).zip(vectors).filter(|(row, _)| accept(*row));
    let scores = rows.filter_map(|(row, vector)| Some((vector.as_ref()?.dot(query)?, row)));
    let mut scores: Vec<_> = scores.filter(|(score, _)| *score >= floor).collect();
    scores.sort_by(|(a, a_row), (b, b_row)| b.total_cmp(a).then(a_row.cmp(b_row)));
    scores.truncate(limit);
    scores
}

fn bits(found: &[(f32, u32)]) -> Vec<(u32, u32)> {
    found.iter().map(|(score, row)| (score.to_bits(), *row)).collect()
}

fn any_index() -> impl Strategy<Value = u32> {
    // Some are in nearly every vector, some in few, some are as large as they can be.
    prop_oneof![4 => 0u32..4, 3 => 0u32..40, 1 => 0u32..3000, 1 => u32::MAX - 3..=u32::MAX]
}

fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![
        // Few different ones, so that scores are equal.
        4 => (-2i8..6).prop_map(|value| f32::from(value) * 0.5),
        4 => 0.01f32..3.0,
        1 => -3.0f32..3.0,
        1 => prop_oneof![Just(f32::MAX), Just(f32::MIN), Just(1e-40), Just(-0.0)],
    ]
}

fn any_vector(entries: std::ops::Range<usize>) -> impl Strategy<Value = SparseVector> {
    prop::collection::btree_map(any_index(), any_value(), entries)
        .prop_map(|entries| vector(&entries.into_iter().collect::<Vec<_>>()))
}

fn vectors() -> impl Strategy<Value = Vectors> {
    prop::collection::vec(prop::option::weighted(0.9, any_vector(0..8)), 0..700)
}

/// Vectors of many rows, some windows of them much like one another and some not at all.
fn many(seed: u64, rows: u32) -> Vectors {
    let mut state = seed | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let one = |row: u32| {
        let loud = if row / 2048 % 3 == 1 { 4.0 } else { 1.0 };
        let mut entries = std::collections::BTreeMap::new();
        for _ in 0..random(12) {
            let skewed = random(60) * random(60) / 60;
            entries.insert(skewed as u32, loud * (1 + random(400)) as f32 / 100.0);
        }
        (row % 97 != 5).then(|| vector(&entries.into_iter().collect::<Vec<_>>()))
    };
    (0..rows).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn a_search_finds_what_looking_at_every_vector_finds(
        vectors in vectors(),
        query in any_vector(0..12),
        limit in prop_oneof![Just(0usize), 1usize..20, Just(10_000)],
        floor in prop_oneof![2 => Just(f32::NEG_INFINITY), 1 => -4.0f32..8.0],
        every in 1u32..4,
        pass_postings in prop_oneof![Just(1usize), Just(50), Just(1 << 20)],
    ) {
        let index = open(written(&vectors, pass_postings)).unwrap();
        index.verify().unwrap();
        prop_assert_eq!(index.rows() as usize, vectors.len());
        prop_assert_eq!(index.vectors(), vectors.iter().flatten().count() as u64);
        let numbers = vectors.iter().flatten().map(|vector| vector.indices().len() as u64);
        prop_assert_eq!(index.numbers(), numbers.sum::<u64>());
        let accept = |row: u32| row.is_multiple_of(every);
        let found = index.search(&query, limit, floor, &accept).unwrap();
        let expected = looked_at(&vectors, &query, limit, floor, &accept);
        prop_assert_eq!(bits(&found), bits(&expected));
        let scorer = SparseScorer::new(&query);
        let accepted = (0..).zip(&vectors).filter(|(row, _)| accept(*row));
        let there = accepted.filter_map(|(row, vector)| Some((row, vector.as_ref()?)));
        prop_assert_eq!(bits(&scorer.best(there, limit, floor)), bits(&expected));
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_passes(vectors in vectors(), pass_postings in 1usize..300) {
        prop_assert_eq!(written(&vectors, pass_postings), written(&vectors, 1 << 20));
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(
        vectors in vectors(), place in any::<prop::sample::Index>(), bit in 0..8u8,
    ) {
        let mut bytes = written(&vectors, 1 << 20);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let outcome = open(bytes).and_then(|index| index.verify());
        let noticed = matches!(outcome, Err(Error::Corrupt { .. } | Error::Version { .. }));
        prop_assert!(noticed, "{}", place);
    }

    #[test]
    fn impossible_bytes_with_right_checksums_are_refused_or_read(
        vectors in vectors(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        header in prop::option::of((12usize..80, any::<u8>())),
        query in any_vector(0..12),
    ) {
        let mut bytes = written(&vectors, 1 << 20);
        let body = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        for (place, byte) in changes {
            if body > 0 {
                bytes[INDEX_FILE_HEADER_BYTES + place.index(body)] = byte;
            }
        }
        if let Some((place, byte)) = header {
            bytes[place] = byte;
        }
        let table = crate::paged::checksum_table(&bytes[INDEX_FILE_HEADER_BYTES..][..body]);
        bytes.truncate(INDEX_FILE_HEADER_BYTES + body);
        bytes.extend_from_slice(&table);
        bytes[72..76].copy_from_slice(&crc32fast::hash(&table).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..508]);
        bytes[508..512].copy_from_slice(&checksum.to_le_bytes());
        if let Ok(index) = open(bytes) {
            for limit in [1, 10, 1000] {
                let _ = index.search(&query, limit, f32::NEG_INFINITY, &|_| true);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(open(bytes).is_err());
    }
}

#[test]
fn a_damaged_index_gives_an_error_or_the_right_answer() {
    let vectors = many(9, 300);
    let whole = written(&vectors, 1 << 20);
    let query = vector(&[(0, 1.0), (3, 0.5), (17, 2.0)]);
    let search = |bytes: Vec<u8>| open(bytes)?.search(&query, 5, 0.0, &|_| true);
    let expected = bits(&search(whole.clone()).unwrap());
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x5a;
        if let Ok(found) = search(bytes) {
            assert_eq!(bits(&found), expected, "{place}");
        }
    }
    for length in 0..whole.len() {
        assert!(search(whole[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn many_windows_are_passed_over_and_nothing_is_missed() {
    let vectors = many(1, 40_000);
    let index = open(written(&vectors, 30_000)).unwrap();
    let all: Vec<(u32, f32)> = (0..60).map(|index| (index, 0.2 + (index % 7) as f32)).collect();
    let mixed: Vec<(u32, f32)> =
        (0..60).step_by(3).map(|index| (index, 2.0 - (index % 5) as f32)).collect();
    let queries = [vector(&all), vector(&mixed), vector(&all[50..]), vector(&all[..1])];
    for (number, query) in queries.iter().enumerate() {
        for limit in [1, 10, 300] {
            for every in [1, 7, 5000] {
                let accept = |row: u32| row.is_multiple_of(every);
                let found = index.search(query, limit, f32::NEG_INFINITY, &accept).unwrap();
                let expected = looked_at(&vectors, query, limit, f32::NEG_INFINITY, &accept);
                assert_eq!(bits(&found), bits(&expected), "query {number}, {limit} of {every}");
            }
        }
    }
}

#[test]
fn only_rows_that_would_enter_are_asked_for() {
    let vectors: Vectors = (0..20_000u32)
        .map(|row| Some(vector(&[(0, if row == 15_000 { 9.0 } else { 1.0 })])))
        .collect();
    let index = open(written(&vectors, 1 << 20)).unwrap();
    let asked = std::cell::Cell::new(0);
    let accept = |_| {
        asked.set(asked.get() + 1);
        true
    };
    let found = index.search(&vector(&[(0, 2.0)]), 1, f32::NEG_INFINITY, &accept).unwrap();
    assert_eq!(found, [(18.0, 15_000)]);
    assert!(asked.get() <= 2048, "{}", asked.get());
}

#[test]
fn a_source_that_changes_is_noticed() {
    let calls = std::cell::Cell::new(0u32);
    let source = |row: u32| {
        calls.set(calls.get() + 1);
        Ok(Some(vector(&[(calls.get() % 2 * 5 + row, 1.0), (90 + calls.get() / 5, 1.0)])))
    };
    let error = SparseIndex::build(3, &source).map(drop).unwrap_err().to_string();
    assert!(error.contains("changed while they were indexed"), "{error}");
}

#[test]
fn an_index_knows_what_it_is_of() {
    let index = open(written(&vec![Some(vector(&[])), None], 9)).unwrap();
    assert_eq!(index.header.identity, Identity { number: 3, salt: 5, rows: 2 });
    assert_eq!((index.header.name.as_str(), index.vectors(), index.numbers()), ("words", 1, 0));
    let source = |_: u32| Ok(None);
    let identity = Identity { number: 0, salt: 0, rows: MAX_SEGMENT_ROWS + 1 };
    assert!(write::write_index(MemoryTarget::new(), identity, "", &source).is_err());
    let identity = Identity { rows: 0, ..identity };
    assert!(write::write_index(MemoryTarget::new(), identity, &"x".repeat(257), &source).is_err());
}
