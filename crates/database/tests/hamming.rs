//! Packed bits: every search gives what counting every row's differing bits gives, wherever the
//! rows are.

mod common;

use common::{open_batch, open_sync};
use database::{
    Batch, Collection, Error, Filter, Id, IndexOptions, Metric, Schema, SearchOptions, verify,
};
use kernels::ElementType;
use proptest::prelude::*;
use serde_json::json;
use tempfile::tempdir;

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&byte| byte.into()).collect()
}

fn batch(first: i64, rows: &[Vec<u8>]) -> Batch {
    let ids: Vec<i64> = (first..first + rows.len() as i64).collect();
    Batch {
        metadata: ids.iter().map(|id| Some(json!({"third": id % 3}))).collect(),
        ids: ids.into_iter().map(Id::Int).collect(),
        vectors: numbers(&rows.concat()),
        ..Batch::default()
    }
}

fn differing(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The nearest of the rows that are there, equal distances by their order.
fn expected(
    rows: &[Vec<u8>],
    query: &[u8],
    limit: usize,
    keep: impl Fn(i64) -> bool,
) -> Vec<(Id, f32)> {
    let mut all: Vec<(u32, i64)> = (0..rows.len() as i64)
        .filter(|id| keep(*id))
        .map(|id| (differing(query, &rows[id as usize]), id))
        .collect();
    all.sort_unstable();
    all.truncate(limit);
    all.into_iter().map(|(distance, id)| (Id::Int(id), distance as f32)).collect()
}

fn check(
    records: &Collection,
    rows: &[Vec<u8>],
    queries: &[Vec<u8>],
    is_gone: impl Fn(i64) -> bool,
) {
    let filter = Filter::parse(&json!({"third": 1})).unwrap();
    for (limit, filter) in [(1, None), (10, None), (10, Some(&filter)), (10_000, Some(&filter))] {
        let options = SearchOptions { filter, ..SearchOptions::new(limit) };
        let keep = |id: i64| !is_gone(id) && (filter.is_none() || id % 3 == 1);
        let found =
            records.search_batch(&numbers(&queries.concat()), queries.len(), &options).unwrap();
        for (query, found) in queries.iter().zip(found) {
            let found: Vec<_> = found.into_iter().map(|found| (found.id, found.score)).collect();
            assert_eq!(found, expected(rows, query, limit, keep));
            let hits = records.search(&numbers(query), &options).unwrap();
            let hits: Vec<_> = hits.into_iter().map(|hit| (hit.id, hit.score)).collect();
            assert_eq!(hits, found);
            let within = found.last().map_or(0.0, |(_, distance)| distance - 1.0);
            let near = SearchOptions { within: Some(within), ..options };
            let hits = records.search(&numbers(query), &near).unwrap();
            let nearer = found.iter().filter(|(_, distance)| *distance <= within).count();
            assert_eq!(hits.len(), nearer, "within {within}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn search_agrees_with_counting_every_row(
        width in prop::sample::select(vec![1usize, 7, 8, 16, 33, 128]),
        count in 10usize..1200,
        seed in any::<u64>(),
    ) {
        let mut state = seed | 1;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let mut rows: Vec<Vec<u8>> =
            (0..count).map(|_| (0..width).map(|_| byte()).collect()).collect();
        rows[1].fill(0);
        rows[2].fill(255);
        rows[5] = rows[4].clone();
        let mut queries = vec![rows[4].clone(), rows[2].clone()];
        queries.extend((0..18).map(|_| (0..width).map(|_| byte()).collect::<Vec<_>>()));
        let folder = tempdir().unwrap();
        let database = open_batch(folder.path());
        let records = database.collection("c", Some(Schema::bits(width))).unwrap();
        let half = count / 2;
        records.upsert(batch(0, &rows[..half])).unwrap();
        check(&records, &rows[..half], &queries, |_| false);
        // Writes what is in memory to a segment, which `optimize` leaves to the background.
        records.compact().unwrap();
        prop_assert_eq!(records.stats().unwrap().segments, 1);
        records.upsert(batch(half as i64, &rows[half..])).unwrap();
        records.delete(&[Id::Int(0), Id::Int(half as i64 + 1)]).unwrap();
        let is_gone = |id: i64| id == 0 || id == half as i64 + 1;
        check(&records, &rows, &queries, is_gone);
        drop((records, database));
        let database = open_batch(folder.path());
        let records = database.collection("c", None).unwrap();
        check(&records, &rows, &queries, is_gone);
        records.optimize().unwrap();
        check(&records, &rows, &queries, is_gone);
        let found = records.get(&[Id::Int(4)]).unwrap().remove(0).unwrap();
        prop_assert_eq!(found.vector, numbers(&rows[4]));
        prop_assert_eq!(records.recall_of_sample(5, &SearchOptions::new(3), &|_, _| std::ops::ControlFlow::Continue(())).unwrap(), 1.0);
        drop((records, database));
        prop_assert!(verify(folder.path()).unwrap().is_sound());
    }
}

#[test]
fn many_packed_rows_are_one_flat_segment_of_their_bytes() {
    let folder = tempdir().unwrap();
    let database = open_batch(folder.path());
    let records = database.collection("c", Some(Schema::bits(16))).unwrap();
    let rows: Vec<Vec<u8>> = (0..20_000u32)
        .map(|row| (0..16).map(|at| (row.wrapping_mul(2_654_435_761 + at) >> 24) as u8).collect())
        .collect();
    records.upsert(batch(0, &rows)).unwrap();
    records.compact().unwrap();
    records.optimize().unwrap();
    let stats = records.stats().unwrap();
    assert_eq!((stats.segments, stats.indexed_records), (1, 0));
    check(&records, &rows, &rows[..4], |_| false);
    assert_eq!(records.index(), IndexOptions::exact());
}

#[test]
fn what_is_no_packed_bits_is_refused() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let wrong = [
        Schema { element: ElementType::Float32, ..Schema::bits(2) },
        Schema { metric: Metric::Dot, ..Schema::bits(2) },
    ];
    for schema in wrong {
        let error = database.collection("c", Some(schema)).err().unwrap();
        assert!(error.to_string().contains("goes with dtype \"bits\""), "{error}");
    }
    let error = database.collection("c", Some(Schema::bits(65_537))).err().unwrap();
    assert!(error.to_string().contains("8 to 524288, not 524296"), "{error}");
    let index = Some(IndexOptions::default());
    let error = database.collection_with_index("c", Some(Schema::bits(2)), index).err().unwrap();
    assert!(error.to_string().contains("leave it out"), "{error}");
    assert!(database.collections().unwrap().is_empty());

    let records = database.collection("c", Some(Schema::bits(2))).unwrap();
    let error = records.set_index(IndexOptions::default()).unwrap_err();
    assert!(error.to_string().contains("leave it out"), "{error}");
    for wrong in [0.5, -1.0, 256.0] {
        let vectors = vec![1.0, 2.0, 3.0, wrong];
        let batch = Batch { ids: vec![1.into(), 2.into()], vectors, ..Batch::default() };
        let error = records.upsert(batch).unwrap_err();
        assert!(error.to_string().contains("row 1: element 1"), "{error}");
        let error = records.search(&[wrong, 0.0], &SearchOptions::new(1)).err().unwrap();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
        let error = records.search_batch(&[0.0, 0.0, 0.0, wrong], 2, &SearchOptions::new(1));
        assert!(error.err().unwrap().to_string().contains("query 1"));
    }
    assert_eq!(records.len().unwrap(), 0);
}
