//! Whatever the bytes are: nothing panics, and nothing wrong is believed.

use std::fmt::Debug;

use super::super::blocks::{Checksum, encode_checksums};
use super::super::damage::is_derived;
use super::super::header::Section;
use super::*;
use crate::disk::Disk;
use crate::format::{SECTION_GRAPH, SEGMENT_BLOCK_BYTES};
use crate::score::exact_score;

const BLOCK: usize = SEGMENT_BLOCK_BYTES;

/// Of these, a part is not derived: vectors, and what vouches for those outside of a graph.
const LOSING: [u32; 2] = [SECTION_GRAPH, SECTION_CHECKSUMS];

#[test]
fn every_flipped_bit_is_found_by_verify_and_misleads_nobody() {
    flip_every_byte(&Written::new(&sample(), Metric::Cosine));
}

#[test]
fn every_flipped_bit_of_a_segment_with_a_graph_is_found_too() {
    flip_every_byte(&Written::with(&sample(), Metric::Cosine, true));
}

fn flip_every_byte(written: &Written) {
    let rows = sample();
    let filter = Filter::parse(&json!({"f": {"$lt": 1}})).unwrap();
    let header = written.open().unwrap().header;
    // Of the other sections, nothing is lost with a part of them.
    let primary: Vec<_> = header
        .sections
        .iter()
        .filter(|Section { kind, .. }| LOSING.contains(kind) || !is_derived(*kind))
        .map(|section| section.range.clone())
        .collect();
    let sound = written.bytes();
    let file = Disk::default().open(&written.path).unwrap();
    for position in 0..sound.len() {
        let flipped = sound[position] ^ 1 << (position % 8);
        file.write_all_at(&[flipped], position as u64).unwrap();
        if let Some(before) = position.checked_sub(1) {
            file.write_all_at(&sound[before..position], before as u64).unwrap();
        }
        let segment = match written.open() {
            Ok(segment) => segment,
            Err(Error::Corrupt { path, .. }) if path == written.path && position < BLOCK => {
                continue;
            }
            Err(Error::Version { .. }) if (8..12).contains(&position) => continue,
            Err(error) => panic!("byte {position}: {error}"),
        };
        assert!(position >= BLOCK, "byte {position} of the header");
        let block = (position / BLOCK * BLOCK) as u64;
        let found = problems(&segment);
        assert!(found.len() == 1 && found[0].0 == block, "byte {position}: {found:?}");
        for (row, record) in rows.records.iter().enumerate() {
            right_or_corrupt(segment.find(&record.id), &Some(row as u32), position);
            right_or_corrupt(segment.record(row as u32), record, position);
            let mut vector = vec![0.0; rows.dimension];
            let read = segment.vector(row as u32, &mut vector);
            right_or_corrupt(read.map(|()| &*vector), &rows.vector(row), position);
        }
        right_or_corrupt(segment.find(&"absent".into()), &None, position);
        right_or_corrupt(segment.matching(&filter, None), &[4].into(), position);
        if let Some(graph) = segment.graph() {
            let query = graph.prepare(rows.vector(2));
            graph.search(
                &query,
                &SearchOptions::new(7, graph.dimension()),
                |_| true,
                &mut Scratch::default(),
            );
        }
        let is_found = segment.examine(block) || segment.is_to_be_rebuilt();
        let lost = segment.lost_rows();
        assert!(is_found || !lost.is_empty(), "byte {position} was not found");
        let known = segment.known_problems();
        let is_there = |(offset, what): &(u64, String)| {
            let bytes = what.split(' ').next().and_then(|bytes| bytes.parse().ok()).unwrap_or(1);
            (*offset..offset + bytes).contains(&block)
        };
        assert!(known.iter().any(is_there), "byte {position}: {known:?}");
        let padded = |range: &Range<u64>| range.start..range.end.next_multiple_of(BLOCK as u64);
        let may_lose = primary.iter().any(|range| padded(range).contains(&(position as u64)));
        assert!(lost.is_empty() || may_lose, "byte {position} lost {lost:?}");
        all_but_the_lost_are_right(&segment, &rows, &filter, position);
    }
}

/// After a segment was examined, what is not lost reads back, by whatever way.
fn all_but_the_lost_are_right(segment: &Segment, rows: &Rows, filter: &Filter, position: usize) {
    let lost = segment.lost_rows();
    let query = [0.2, -0.7, 1.0];
    let mut scores = vec![0.0; rows.records.len()];
    let all = 0..segment.rows();
    segment.score_rows(&Query::new(&query, Metric::Cosine), all, &mut scores).unwrap();
    for (row, record) in (0..).zip(&rows.records) {
        if lost.contains(row) {
            assert_eq!(scores[row as usize], f32::NEG_INFINITY, "byte {position}");
            assert!(matches!(segment.record(row), Err(Error::Corrupt { .. })), "byte {position}");
            continue;
        }
        assert_eq!(segment.find(&record.id).unwrap(), Some(row), "byte {position}");
        assert_eq!(segment.record(row).unwrap(), *record, "byte {position}");
        let mut vector = vec![0.0; rows.dimension];
        segment.vector(row, &mut vector).unwrap();
        assert_eq!(vector, rows.vector(row as usize), "byte {position}");
        let right = exact_score(&query, &vector, Metric::Cosine);
        assert!((scores[row as usize] - right).abs() <= 1e-5, "byte {position}, row {row}");
    }
    assert_eq!(segment.find(&"absent".into()).unwrap(), None, "byte {position}");
    let right: RoaringBitmap = [4].into();
    assert_eq!(segment.matching(filter, None).unwrap() - &lost, right - &lost, "byte {position}");
}

fn right_or_corrupt<T: PartialEq + Debug>(found: Result<T>, right: &T, position: usize) {
    match found {
        Ok(found) => assert_eq!(found, *right, "byte {position}"),
        Err(Error::Corrupt { offset, .. }) => {
            let near = offset.abs_diff(position as u64) < BLOCK as u64;
            assert!(near, "byte {position} is damaged, not {offset}");
        }
        Err(error) => panic!("byte {position}: {error}"),
    }
}

#[test]
fn every_cut_and_lengthened_file_is_refused() {
    let written = Written::new(&sample(), Metric::L2);
    let length = written.bytes().len() as u64;
    let file = Disk::default().open(&written.path).unwrap();
    for length in [length + 1].into_iter().chain((0..length).rev()) {
        file.set_length(length).unwrap();
        let error = written.open().err();
        assert!(
            matches!(&error, Some(Error::Corrupt { path, .. }) if *path == written.path),
            "{length} bytes: {error:?}"
        );
    }
}

#[test]
fn a_segment_opens_only_as_what_it_is() {
    let written = Written::new(&sample(), Metric::L2);
    let refused = |number, schema: &Schema, at: u64| {
        let error = Segment::open(&written.path, number, schema).err();
        assert!(matches!(error, Some(Error::Corrupt { offset, .. }) if offset == at), "{error:?}");
    };
    refused(13, &written.schema, 16);
    refused(12, &Schema::new(3, Metric::Dot), 44);
    refused(12, &Schema::new(4, Metric::L2), 44);
    let missing = written.folder.path().join("none.seg");
    let error = Segment::open(&missing, 12, &written.schema).err();
    assert!(matches!(error, Some(Error::Io { .. })), "{error:?}");
}

#[test]
fn blocks_of_another_segment_are_not_taken_for_its_own() {
    let rows = sample();
    let (one, other) = (Written::new(&rows, Metric::Dot), Written::new(&rows, Metric::Dot));
    let (mut bytes, foreign) = (one.bytes(), other.bytes());
    assert_ne!(bytes[24..32], foreign[24..32], "salts");
    bytes[BLOCK..2 * BLOCK].copy_from_slice(&foreign[BLOCK..2 * BLOCK]);
    bytes[2 * BLOCK..].copy_from_slice(&foreign[2 * BLOCK..]);
    fs::write(&one.path, bytes).unwrap();
    let segment = one.open().unwrap();
    assert_eq!(segment.vector(0, &mut [0.0; 3]).map_err(|_| ()), Err(()));
    assert_eq!(segment.record(0).map_err(|_| ()), Err(()));
    assert_eq!(segment.find(&1.into()).map_err(|_| ()), Err(()));
}

/// Makes all checksums but those of the records right again.
fn reseal(bytes: &mut [u8]) {
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let checksum = Checksum::new(number(bytes, 24));
    let sections = bytes[12] as usize % 8;
    let start = number(bytes, 56 + sections.saturating_sub(1) * 24 + 8);
    if let Some(blocks) = bytes.get(BLOCK..start as usize) {
        let sums: Vec<u32> = blocks.chunks(BLOCK).map(|block| checksum.of(&[block])).collect();
        let section = encode_checksums(&sums, start, checksum);
        if let Some(old) = bytes[start as usize..].get_mut(..section.len()) {
            old.copy_from_slice(&section);
        }
    }
    let header = crc32fast::hash(&bytes[..BLOCK - 4]);
    bytes[BLOCK - 4..BLOCK].copy_from_slice(&header.to_le_bytes());
}

#[test]
fn a_table_that_leads_elsewhere_is_a_problem() {
    let written = Written::new(&sample(), Metric::Dot);
    let mut bytes = written.bytes();
    let table = written.open().unwrap().id_table;
    for slot in bytes[table.start as usize..table.end as usize].chunks_exact_mut(8) {
        if slot[0] == 2 {
            slot[4] ^= 1;
        }
    }
    reseal(&mut bytes);
    fs::write(&written.path, bytes).unwrap();
    let problems = problems(&written.open().unwrap());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].1.contains("row 2"), "{problems:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Checksums do not protect from whoever writes them: such a file may say anything.
    #[test]
    fn files_with_right_checksums_and_wrong_content_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_header in any::<bool>(),
        indexed in any::<bool>(),
    ) {
        let rows = sample();
        let written = Written::with(&rows, Metric::Cosine, indexed);
        let mut bytes = written.bytes();
        for (position, byte) in changes {
            // Most of a block is padding: what is not comes first.
            let block = position.index(if in_header { 1 } else { bytes.len() / BLOCK });
            let place = block * BLOCK + position.index(300);
            bytes[place] = byte;
        }
        reseal(&mut bytes);
        fs::write(&written.path, bytes).unwrap();
        let Ok(segment) = written.open() else {
            return Ok(());
        };
        let mut scores = vec![0.0; rows.records.len()];
        let _ = segment.score_rows(&Query::new(&[1.0; 3], Metric::Cosine), 0..7, &mut scores);
        if let Some(graph) = segment.graph() {
            let query = graph.prepare(&[1.0; 3]);
            graph.search(&query, &SearchOptions::new(7, graph.dimension()), |_| true, &mut Scratch::default());
        }
        let _ = segment.matching(&Filter::parse(&json!({"k": "v"})).unwrap(), None);
        for record in &rows.records {
            let _ = segment.find(&record.id);
        }
        for row in 0..segment.rows().min(20) {
            let _ = segment.record(row);
            segment.prefetch(0..row);
        }
        problems(&segment);
    }
}
