//! `docs/file-format.md` says what the constants say, and both say what is on disk.

mod common;

use std::fs;

use common::{collection, log_file, open_sync};
use database::format::*;
use database::{Batch, Database, Document, Metric, Model, Options, Place, Schema, Transaction};
use serde_json::json;
use tempfile::tempdir;

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/file-format.md");
    fs::read_to_string(path).unwrap()
}

/// The table under a heading: its rows, each a list of cells.
fn table(document: &str, heading: &str, number: usize) -> Vec<Vec<String>> {
    let section = document.split_once(&format!("# {heading}\n")).expect("a heading").1;
    let paragraphs = section.trim_start().split("\n\n");
    let mut tables = paragraphs.filter(|paragraph| paragraph.starts_with('|'));
    let table = tables.nth(number).expect("a table");
    let rows = table.lines().skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// Checks that the numbered rows follow one another without a gap, and returns the end.
fn end_of(table: &[Vec<String>]) -> usize {
    let mut end = 0;
    for row in table {
        let (Ok(offset), Ok(bytes)) = (row[0].parse::<usize>(), row[1].parse::<usize>()) else {
            break;
        };
        assert_eq!(offset, end, "{row:?}");
        end += bytes;
    }
    end
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("`{}`", digits.join(" "))
}

#[test]
fn the_tables_agree_with_the_constants() {
    let text = document();
    assert!(text.contains(&format!("Format version {FORMAT_VERSION}.")));

    let format_file = table(&text, "`FORMAT`", 0);
    assert_eq!(end_of(&format_file), FORMAT_FILE_BYTES);
    assert!(text.contains(&format!("Total: {FORMAT_FILE_BYTES} bytes.")));
    assert!(format_file[0][2].contains(&hexadecimal(&DATABASE_MAGIC)));
    assert_eq!(format_file[1][2], format!("format version: {FORMAT_VERSION}"));

    let header = table(&text, "Log header", 0);
    assert_eq!(end_of(&header), LOG_HEADER_FIXED_BYTES);
    assert!(header[0][2].contains(&hexadecimal(&LOG_MAGIC)));
    assert_eq!(header[1][2], format!("format version: {FORMAT_VERSION}"));
    assert!(header[2][2].ends_with(&format!("a multiple of {FRAME_ALIGNMENT}")));
    assert_eq!(header[5][2], format!("dimension: 1 to {MAX_DIMENSION}"));
    assert_eq!(
        header[6][2],
        format!("metric: {METRIC_COSINE} cosine, {METRIC_DOT} dot, {METRIC_L2} squared L2")
    );
    for row in [9, 10] {
        assert!(header[row][2].ends_with(&format!("at most {MAX_MODEL_TEXT_BYTES}")));
    }
    assert_eq!(header[11][0], LOG_HEADER_FIXED_BYTES.to_string());

    let frame = table(&text, "Frames", 0);
    assert_eq!(end_of(&frame), FRAME_HEADER_BYTES);
    assert!(text.contains(&format!("Its header has {FRAME_HEADER_BYTES} bytes")));
    assert!(text.contains(&format!("A frame starts at a multiple\nof {FRAME_ALIGNMENT};")));
    assert!(
        frame[0][2].ends_with(&format!("bytes 4 to {} of this header", FRAME_HEADER_BYTES - 1))
    );
    let kinds = table(&text, "Frames", 1);
    assert_eq!(kinds[0][..2], [FRAME_TRANSACTION.to_string(), "transaction".to_owned()]);
    assert_eq!(kinds[1][..2], [FRAME_SEAL.to_string(), "seal".to_owned()]);
    assert_eq!(kinds.len(), 2);

    let transaction = table(&text, "A transaction", 0);
    let counts: usize = transaction[..4].iter().map(|row| row[0].parse::<usize>().unwrap()).sum();
    assert_eq!(counts, TRANSACTION_COUNTS_BYTES);
    assert!(
        text.contains(&format!("tag {ID_INTEGER}, a signed 64-bit integer; tag {ID_TEXT}, a text"))
    );
    let record = table(&text, "A transaction", 1);
    assert!(record[0][1].starts_with(&format!(
        "flags: {RECORD_HAS_TEXT} has a text, {RECORD_HAS_METADATA} has metadata, {RECORD_HAS_PLACE} has a place"
    )));
    assert!(record[3][1].contains(&format!("at most {MAX_METADATA_DEPTH} levels")));
    assert!(text.contains(&format!("then tag {DOCUMENT_REMOVED} if the\nentry is removed")));
    assert!(text.contains(&format!(
        "or tag {DOCUMENT_SET}, a content fingerprint ({DOCUMENT_FINGERPRINT_BYTES} bytes)"
    )));

    assert!(text.contains(&format!("at least {GENERATION_DIGITS} digits")));
    assert!(text.contains(&format!("1 to {MAX_NAME_BYTES} bytes of")));
    for name in [FORMAT_FILE, LOCK_FILE] {
        assert!(text.contains(&format!("| `{name}` |")));
    }
    assert!(text.contains(&format!("`{COLLECTIONS_FOLDER}/NAME/GENERATION{LOG_SUFFIX}`")));
    assert!(text.contains(&format!("`{NEW_PREFIX}NAME`")));
    assert!(text.contains(&format!("`{DROPPED_PREFIX}NAME`")));
    assert!(text.contains(&format!("ends in `{UNFINISHED_SUFFIX}`")));
    let defaults = Options::default();
    assert!(
        text.contains(&format!("within {} ms by default", defaults.flush_interval.as_millis()))
    );
    assert!(text.contains(&format!("more than {} MiB", defaults.compaction_slack >> 20)));
}

#[test]
fn the_tables_of_segments_agree_with_the_constants() {
    let text = document();
    let block = SEGMENT_BLOCK_BYTES;
    let header = table(&text, "Segment header", 0);
    assert_eq!(end_of(&header), SEGMENT_HEADER_FIXED_BYTES);
    assert!(header[0][2].contains(&hexadecimal(&SEGMENT_MAGIC)));
    assert_eq!(header[1][2], format!("format version: {FORMAT_VERSION}"));
    assert!(header[6][2].ends_with(&format!("at most {}", ID_TABLE_EMPTY - 1)));
    let types = format!("type of the vectors: {VECTORS_FLOAT32} IEEE 754 binary32");
    assert_eq!(header[9][2], types);
    let entry = SEGMENT_SECTION_ENTRY_BYTES;
    assert_eq!(header[11][..2], [SEGMENT_HEADER_FIXED_BYTES.to_string(), format!("{entry} x S")]);
    assert!(header[11][2].starts_with(&format!("the sections, {entry} bytes each")));
    assert_eq!(header[13][..2], [(block - 4).to_string(), "4".to_owned()]);
    assert!(header[13][2].ends_with(&format!("bytes 0 to {}", block - 5)));
    assert!(text.contains(&format!("a row of blocks of {block} bytes")));
    assert!(text.contains(&format!("starts at a multiple of {block}")));
    assert!(text.contains(&format!(
        "blocks between the header and this section, {} of them",
        block / 4 - 1
    )));
    assert!(text.contains(&format!("`NUMBER{SEGMENT_SUFFIX}`")));
    assert!(text.contains(&format!("(4 bytes; {ID_TABLE_EMPTY} if the slot")));

    let sections = table(&text, "Sections", 0);
    let kinds: Vec<u32> = sections.iter().map(|row| row[0].parse().unwrap()).collect();
    let constants = [
        SECTION_VECTORS,
        SECTION_INVERSE_NORMS,
        SECTION_RECORDS,
        SECTION_RECORD_OFFSETS,
        SECTION_ID_TABLE,
        SECTION_SOURCES,
        SECTION_CHECKSUMS,
    ];
    assert_eq!(kinds, constants);
}

/// Reads the bytes as the document describes them, sharing no code with the crate.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken.to_vec()
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn text(&mut self) -> String {
        let length = self.number(4) as usize;
        String::from_utf8(self.take(length)).unwrap()
    }
}

fn checksum(parts: &[&[u8]]) -> u64 {
    u64::from(crc32fast::hash(&parts.concat()))
}

#[test]
fn a_database_is_on_disk_as_the_document_says() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let model = Model { name: "mini".into(), fingerprint: "abc".into() };
    let schema = Schema { dimension: 2, metric: Metric::L2, model: Some(model) };
    let records = database.collection("c", Some(schema)).unwrap();
    records
        .write(Transaction {
            deletes: vec!["gone".into(), 5.into()],
            upserts: Batch {
                ids: vec![(-2).into(), "x".into()],
                vectors: vec![1.0, 2.0, 3.0, 4.0],
                texts: vec![Some("héllo".into()), None],
                metadata: vec![Some(json!({"k": [1, null]})), None],
                places: vec![
                    Some(Place { source: "s.md".into(), start: 10, end: 15, line: 3 }),
                    None,
                ],
            },
            documents: vec![
                ("s.md".into(), Some(Document { fingerprint: [7; 32], records: 2 })),
                ("t.md".into(), None),
            ],
        })
        .unwrap();
    database.close().unwrap();

    let format_file = fs::read(folder.path().join("FORMAT")).unwrap();
    let mut bytes = Bytes(&format_file);
    assert_eq!(bytes.take(8), b"RACDB\r\n\x1a");
    assert_eq!((bytes.number(4), bytes.number(4)), (1, checksum(&[&format_file[..12]])));

    let log = fs::read(log_file(folder.path())).unwrap();
    let mut bytes = Bytes(&log);
    assert_eq!(bytes.take(8), b"RACLOG\r\n");
    assert_eq!((bytes.number(4), bytes.number(4)), (1, 64));
    assert_eq!(bytes.number(8), 1, "generation");
    let salt = bytes.take(8);
    assert_eq!((bytes.number(4), bytes.number(1), bytes.number(1), bytes.number(2)), (2, 3, 1, 0));
    assert_eq!((bytes.number(4), bytes.number(4)), (4, 3));
    assert_eq!(bytes.take(7), b"miniabc");
    assert_eq!(bytes.number(5), 0);
    assert_eq!(bytes.number(4), checksum(&[&log[..60]]));

    let start = log.len() - bytes.0.len();
    assert_eq!(start, 64);
    assert_eq!(bytes.number(4), checksum(&[&salt, &64u64.to_le_bytes(), &log[68..104]]));
    let payload_checksum = bytes.number(4);
    let length = bytes.number(8) as usize;
    let padded = length.next_multiple_of(8);
    assert_eq!(payload_checksum, checksum(&[&log[104..104 + padded]]));
    assert_eq!((bytes.number(8), bytes.number(8)), (1, 64), "sequence, synced");
    assert_eq!((bytes.number(4), bytes.number(4)), (1, 0), "kind, zero");

    let counts: Vec<u64> = (0..4).map(|_| bytes.number(4)).collect();
    assert_eq!(counts, [2, 2, 2, 1]);
    for number in [1f32, 2.0, 3.0, 4.0] {
        assert_eq!(bytes.take(4), number.to_le_bytes());
    }
    assert_eq!(bytes.text(), "s.md");
    assert_eq!((bytes.number(1), bytes.number(1)), (7, 0), "flags, id tag");
    assert_eq!(bytes.number(8) as i64, -2);
    assert_eq!(bytes.text(), "héllo");
    assert_eq!(bytes.text(), r#"{"k":[1,null]}"#);
    let place: Vec<u64> = [4, 8, 8, 8].map(|length| bytes.number(length)).to_vec();
    assert_eq!(place, [0, 10, 15, 3]);
    assert_eq!((bytes.number(1), bytes.number(1)), (0, 1), "flags, id tag");
    assert_eq!(bytes.text(), "x");
    assert_eq!((bytes.number(1), bytes.text().as_str()), (1, "gone"));
    assert_eq!((bytes.number(1), bytes.number(8)), (0, 5));
    assert_eq!((bytes.text().as_str(), bytes.number(1)), ("s.md", 1));
    assert_eq!((bytes.take(32), bytes.number(4)), (vec![7; 32], 2));
    assert_eq!((bytes.text().as_str(), bytes.number(1)), ("t.md", 0));
    assert_eq!(log.len() - bytes.0.len(), 104 + length);
    assert!(bytes.take(padded - length).iter().all(|byte| *byte == 0));

    let seal = (log.len() - bytes.0.len()) as u64;
    let header_checksum = bytes.number(4);
    let at = seal as usize;
    let covered = &log[at + 4..at + 40];
    assert_eq!(header_checksum, checksum(&[&salt, &seal.to_le_bytes(), covered]));
    assert_eq!((bytes.number(4), bytes.number(8)), (0, 0), "checksum and length of nothing");
    assert_eq!((bytes.number(8), bytes.number(8)), (2, seal), "sequence, synced");
    assert_eq!((bytes.number(4), bytes.number(4)), (2, 0), "kind, zero");
    assert!(bytes.0.is_empty());
}

#[test]
fn a_log_of_dimension_one_without_a_model_starts_its_frames_at_56() {
    let folder = tempdir().unwrap();
    let database: Database = open_sync(folder.path());
    collection(&database, 1);
    assert_eq!(fs::metadata(log_file(folder.path())).unwrap().len(), 56);
}
