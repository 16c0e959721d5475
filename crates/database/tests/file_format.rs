//! `docs/file-format.md` says what the constants say, and both say what is on disk.

mod common;

use std::fs;

use common::{collection, log_file, open_sync};
use database::format::*;
use database::graph::layout;
use database::{
    Batch, Database, Document, FieldVector, Fields, Id, Language, MetadataIndexBuilder, Metric,
    Model, Options, Place, Schema, SparseIndex, SparseVector, TextQuery, Transaction, VectorField,
};
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
        format!(
            "metric: {METRIC_COSINE} cosine, {METRIC_DOT} dot, {METRIC_L2} squared L2, \
             {METRIC_HAMMING} Hamming"
        )
    );
    assert_eq!(
        header[8][2],
        format!(
            "element type: {ELEMENT_FLOAT32} float32, {ELEMENT_FLOAT16} float16, \
             {ELEMENT_BFLOAT16} bfloat16, {ELEMENT_INT8} int8, {ELEMENT_BITS} packed bits; in \
             version 1, 0 for float32"
        )
    );
    for row in [10, 11] {
        assert!(header[row][2].ends_with(&format!("at most {MAX_MODEL_TEXT_BYTES}")));
    }
    assert_eq!(header[12][0], LOG_HEADER_FIXED_BYTES.to_string());

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
        "flags: {RECORD_HAS_TEXT} has a text, {RECORD_HAS_METADATA} has metadata, {RECORD_HAS_PLACE} has a place, {RECORD_HAS_VECTORS} has vectors in fields;"
    )));
    assert_eq!(header[9][2], format!("number of fields: at most {MAX_FIELDS}"));
    let field = table(&text, "Fields", 0);
    assert_eq!(end_of(&field), FIELD_FIXED_BYTES);
    assert_eq!(field[0][2], format!("kind: {FIELD_DENSE} dense, {FIELD_SPARSE} sparse"));
    assert!(field[3][2].ends_with(&format!("1 to {MAX_FIELD_NAME_BYTES}")));
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
    assert!(text.contains(&format!(
        "{} records, or its log {} MiB",
        defaults.head_records,
        defaults.head_bytes >> 20
    )));
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
    assert_eq!(header[9][2], "element type E, as in a log");
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
        SECTION_GRAPH,
        SECTION_METADATA_INDEX,
    ];
    assert_eq!(kinds, constants);
}

#[test]
fn the_tables_of_text_indexes_agree_with_the_constants() {
    let text = document();
    let says = |sentence: String| assert!(text.contains(&sentence), "{sentence}");
    says(format!("Text index version {TEXT_INDEX_VERSION}."));
    says(format!("/NUMBER.LANGUAGE{TEXT_INDEX_SUFFIX}`"));
    says(format!("cut off behind {MAX_TERM_BYTES} bytes"));
    let header = table(&text, "Text index header", 0);
    assert!(header[0][2].contains(&hexadecimal(&TEXT_INDEX_MAGIC)));
    assert_eq!(header[1][2], format!("text index version: {TEXT_INDEX_VERSION}"));
    assert!(header[2][2].starts_with(&format!("analysis version: {ANALYSIS_VERSION};")));
    let last = INDEX_FILE_HEADER_BYTES - 4;
    assert_eq!(header[15][0], end_of(&header).to_string());
    assert!(end_of(&header) + MAX_TEXT_FIELD_BYTES <= last);
    assert!(header[14][2].contains(&format!("at most {MAX_TEXT_FIELD_BYTES};")));
    assert_eq!(header[16][..2], [last.to_string(), "4".to_owned()]);
    assert!(header[16][2].ends_with(&format!("bytes 0 to {}", last - 1)));
    says(format!("The header has {INDEX_FILE_HEADER_BYTES} bytes. Behind it stands the body"));
    says(format!("or {NO_TEXT} for a row without a text"));
    says(format!("in groups of {TERMS_A_GROUP};"));
    says(format!("if n is at most {MAX_INLINE_POSTINGS},"));
    says(format!("Blocks have {POSTINGS_A_BLOCK} rows each"));
    let entry = table(&text, "Blocks", 0);
    assert_eq!(end_of(&entry), POSTINGS_BLOCK_ENTRY_BYTES);
    assert_eq!(entry[3][2], format!("the largest count; {} for that and more", u16::MAX));
}

#[test]
fn the_tables_of_dense_indexes_agree_with_the_constants() {
    let text = document();
    let says = |sentence: String| assert!(text.contains(&sentence), "{sentence}");
    says(format!("Dense index version {DENSE_INDEX_VERSION}."));
    says(format!("/NUMBER.FIELD{DENSE_INDEX_SUFFIX}`"));
    says(format!("/NUMBER.FIELD{SPARSE_INDEX_SUFFIX}`"));
    let header = table(&text, "Dense index header", 0);
    assert!(header[0][2].contains(&hexadecimal(&DENSE_INDEX_MAGIC)));
    assert_eq!(header[1][2], format!("dense index version: {DENSE_INDEX_VERSION}"));
    assert_eq!(header[9][2], format!("form: {DENSE_INDEX_FLAT} flat, {DENSE_INDEX_GRAPH} a graph"));
    let last = INDEX_FILE_HEADER_BYTES - 4;
    assert_eq!(header[15][0], end_of(&header).to_string());
    assert!(end_of(&header) + MAX_FIELD_NAME_BYTES <= last);
    assert!(header[14][2].ends_with(&format!("at most {MAX_FIELD_NAME_BYTES}")));
    assert_eq!(header[16][..2], [last.to_string(), "4".to_owned()]);
    says(format!("The header of a dense index has {INDEX_FILE_HEADER_BYTES} bytes"));
    says(format!("zeros up to byte {SEGMENT_BLOCK_BYTES} of the file"));
}

#[test]
fn fields_and_their_index_are_on_disk_as_the_document_says() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let fields = vec![VectorField::sparse("t"), VectorField::dense("d", 2, Metric::Cosine)];
    let schema = Schema::new(1, Metric::Dot).with_fields(fields);
    let records = database.collection("c", Some(schema)).unwrap();
    let dense = |numbers: [f32; 2]| Some(FieldVector::Dense(numbers.to_vec()));
    let sparse = SparseVector::new(vec![3, 9], vec![0.5, -1.0]).unwrap();
    let columns = [
        ("d", vec![dense([3.0, 4.0]), None, dense([0.0, 2.0])]),
        ("t", vec![Some(FieldVector::Sparse(sparse)), None, None]),
    ];
    records
        .upsert(Batch {
            ids: (1..4).map(Id::Int).collect(),
            vectors: vec![1.0; 3],
            fields: columns.map(|(name, column)| (name.to_owned(), column)).into(),
            ..Batch::default()
        })
        .unwrap();
    let log = fs::read(log_file(folder.path())).unwrap();
    let header_bytes = u32::from_le_bytes(log[12..16].try_into().unwrap()) as usize;
    assert_eq!((log[39], header_bytes), (2, 72));
    assert_eq!(log[48..57], [1, 1, 1, 1, 2, 0, 0, 0, b'd']);
    assert_eq!(log[57..66], [2, 0, 0, 1, 0, 0, 0, 0, b't']);
    let mut bytes = Bytes(&log[header_bytes + 40..]);
    bytes.take(16 + 3 * 4);
    assert_eq!((bytes.number(1), bytes.number(1), bytes.number(8)), (8, 0, 1));
    assert_eq!((bytes.number(4), bytes.number(1), bytes.number(4)), (34, 0, 8));
    assert_eq!(bytes.take(8), [3f32.to_le_bytes(), 4f32.to_le_bytes()].concat());
    assert_eq!((bytes.number(1), bytes.number(4)), (1, 16));
    assert_eq!((bytes.number(4), bytes.number(4)), (3, 9));
    assert_eq!(bytes.take(8), [0.5f32.to_le_bytes(), (-1f32).to_le_bytes()].concat());
    assert_eq!((bytes.number(1), bytes.number(1), bytes.number(8)), (0, 0, 2), "no vectors");

    records.compact().unwrap();
    let segment = fs::read(folder.path().join("collections/c/000001.seg")).unwrap();
    let index = fs::read(folder.path().join("collections/c/000001.d.vectors")).unwrap();
    let mut bytes = Bytes(&index);
    assert_eq!((bytes.take(8), bytes.number(4), bytes.number(4)), (b"RACVEC\r\n".to_vec(), 1, 3));
    assert_eq!((bytes.number(8), bytes.take(8)), (1, segment[24..32].to_vec()));
    assert_eq!((bytes.number(4), bytes.number(4), bytes.number(4)), (2, 2, 1 | 1 << 8));
    let table_checksum = bytes.number(4);
    let body = 3584 + 16 + 8 + 8;
    assert_eq!((bytes.number(8), bytes.number(8), bytes.text().as_str()), (16, body, "d"));
    let checksum_of_header = u32::from_le_bytes(index[508..512].try_into().unwrap());
    assert_eq!(u64::from(checksum_of_header), checksum(&[&index[..508]]));
    let (content, table) = index[512..].split_at(body as usize);
    assert_eq!(table_checksum, checksum(&[table]));
    assert_eq!(table, crc32fast::hash(content).to_le_bytes());
    let mut bytes = Bytes(&index[4096..]);
    let numbers: Vec<u8> =
        [3f32, 4.0, 0.0, 2.0, 0.2, 0.5].iter().flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!(bytes.take(24), numbers);
    assert_eq!((bytes.number(4), bytes.number(4)), (0, 2), "rows");
}

#[test]
fn the_tables_of_sparse_indexes_agree_with_the_constants() {
    let text = document();
    let says = |sentence: String| assert!(text.contains(&sentence), "{sentence}");
    says(format!("Sparse index version {SPARSE_INDEX_VERSION}."));
    let header = table(&text, "Sparse index header", 0);
    assert!(header[0][2].contains(&hexadecimal(&SPARSE_INDEX_MAGIC)));
    assert_eq!(header[1][2], format!("sparse index version: {SPARSE_INDEX_VERSION}"));
    let last = INDEX_FILE_HEADER_BYTES - 4;
    let fixed = end_of(&header);
    assert_eq!(header[12][0], fixed.to_string());
    assert!(fixed + MAX_SPARSE_INDEX_NAME_BYTES <= last);
    assert!(header[2][2].ends_with(&format!("at most {MAX_SEGMENT_ROWS}")));
    assert!(header[11][2].ends_with(&format!("at most {MAX_SPARSE_INDEX_NAME_BYTES}")));
    assert_eq!(header[13][..2], [last.to_string(), "4".to_owned()]);
    assert!(header[13][2].ends_with(&format!("bytes 0 to {}", last - 1)));
    says(format!("The header of a sparse index has {INDEX_FILE_HEADER_BYTES} bytes"));
    assert_eq!(end_of(&table(&text, "Lists", 0)), SPARSE_LIST_BYTES);
    assert_eq!(end_of(&table(&text, "Lists", 1)), SPARSE_BLOCK_ENTRY_BYTES);
    says(format!("in blocks of {POSTINGS_A_BLOCK} rows"));
    let block = POSTINGS_A_BLOCK;
    says(format!("{} w + {} bytes", block / 8, block * 4));
    says(format!("at most {MAX_SPARSE_NUMBERS} numbers"));
}

#[test]
fn a_sparse_index_is_as_the_document_says() {
    // 130 rows have index 7, with values that fall; row 3 also has the greatest index there is.
    let vector = |row: u32| {
        let mut entries = vec![(7, 100.0 - row as f32)];
        if row == 3 {
            entries.push((u32::MAX, -0.5));
        }
        let (indices, values) = entries.into_iter().unzip();
        Ok((row != 2).then_some(SparseVector::new(indices, values)?))
    };
    let index = SparseIndex::build(131, &vector).unwrap();
    let bytes = &index.bytes()[..];
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let f32_at = |at: usize| f32::from_bits(u32_at(at));
    assert_eq!((u32_at(12), u64_at(16), u64_at(24)), (131, 0, 0));
    let (body, directory) = (u64_at(32), 512 + u64_at(64));
    assert_eq!((u64_at(40), u64_at(48), u64_at(56)), (2, 130, 131));
    assert_eq!((u32_at(76), u32_at(508)), (0, crc32fast::hash(&bytes[..508])));
    let table = &bytes[512 + body..];
    assert_eq!(u32_at(72), crc32fast::hash(table));
    assert_eq!(table, crc32fast::hash(&bytes[512..512 + body]).to_le_bytes());

    assert_eq!((u32_at(directory), u32_at(directory + 4)), (7, 130));
    assert_eq!((f32_at(directory + 24), f32_at(directory + 28)), (100.0, -30.0));
    let (blocks, entries) = (512 + u64_at(directory + 8), 512 + u64_at(directory + 16));
    // The distance over the missing row 2 takes one bit, all others are 0.
    assert_eq!(bytes[blocks], 0b0000_0100);
    assert!(bytes[blocks + 1..blocks + 16].iter().all(|byte| *byte == 0));
    assert_eq!((f32_at(blocks + 16), f32_at(blocks + 16 + 4 * 127)), (100.0, -28.0));
    assert_eq!((u32_at(entries), u32_at(entries + 4)), (128, 1));
    assert_eq!((f32_at(entries + 8), f32_at(entries + 12)), (100.0, -28.0));
    // The second block's rows follow one another, so that it is its values, after one bit's bytes.
    assert_eq!((f32_at(blocks + 528), f32_at(blocks + 532)), (-29.0, -30.0));
    assert_eq!((u32_at(entries + 16), u32_at(entries + 20)), (130, 1 << 5));

    let second = directory + 32;
    assert_eq!((u32_at(second), u32_at(second + 4)), (u32::MAX, 1));
    let (blocks, entries) = (512 + u64_at(second + 8), 512 + u64_at(second + 16));
    assert_eq!((bytes[blocks], f32_at(blocks + 1)), (3, -0.5));
    assert_eq!((u32_at(entries), u32_at(entries + 4)), (3, 2));
    assert_eq!(entries + 16, directory);
    assert_eq!(directory + 64, 512 + body);
}

/// A number of seven bits a byte off the front.
fn seven_bit_number(bytes: &mut &[u8]) -> u64 {
    let length = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    number.iter().rev().fold(0, |all, byte| all << 7 | u64::from(byte & 0x7f))
}

#[test]
fn a_text_index_is_as_the_document_says() {
    let folder = tempdir().unwrap();
    let database = open_sync(folder.path());
    let records = collection(&database, 1);
    let texts: Vec<Option<String>> =
        (0..20).map(|row| (row != 4).then(|| format!("Frequent words {row}"))).collect();
    records
        .upsert(Batch {
            ids: (0..20).map(Id::Int).collect(),
            vectors: vec![1.0; 20],
            texts,
            ..Batch::default()
        })
        .unwrap();
    records.compact().unwrap();
    let query = TextQuery::new("words", Language::parse("none").unwrap());
    assert_eq!(records.search_text(&query, None, 0, 99).unwrap().len(), 19);
    let bytes = fs::read(folder.path().join("collections/c/000001.none.words")).unwrap();
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let segment = fs::read(folder.path().join("collections/c/000001.seg")).unwrap();
    assert_eq!((u64_at(16), &bytes[24..32]), (1, &segment[24..32]));
    let (body, terms) = (u64_at(32), u64_at(40));
    assert_eq!((terms, u64_at(48), u64_at(56), u32_at(80)), (21, 19, 57, 20));
    assert_eq!(&bytes[88..96], b"none\0\0\0\0");
    assert_eq!((u32_at(96), u32_at(508)), (0, crc32fast::hash(&bytes[..508])));
    let table = &bytes[512 + body..];
    assert_eq!(u32_at(84), crc32fast::hash(table));
    assert_eq!(table, crc32fast::hash(&bytes[512..512 + body]).to_le_bytes());
    let lengths = 512 + u64_at(72);
    let length = |row: u32| if row == 4 { NO_TEXT } else { 3 };
    assert!((0..20).all(|row| u32_at(lengths + row as usize * 4) == length(row)));

    let mut found = Vec::new();
    for group in 0..terms.div_ceil(16) {
        let at = 512 + u64_at(512 + u64_at(64) + group * 8);
        let mut records = &bytes[at + 4..at + 4 + u32_at(at) as usize];
        let mut term = Vec::new();
        while !records.is_empty() {
            term.truncate(seven_bit_number(&mut records) as usize);
            let rest;
            let length = seven_bit_number(&mut records) as usize;
            (rest, records) = records.split_at(length);
            term.extend_from_slice(rest);
            let numbers: Vec<u64> = match seven_bit_number(&mut records) {
                1 => (0..2).map(|_| seven_bit_number(&mut records)).collect(),
                19 => {
                    let at = 512 + seven_bit_number(&mut records) as usize;
                    let packed = seven_bit_number(&mut records) as usize;
                    // The distances, less one, are 0 but for the row behind the one without a text.
                    assert_eq!(bytes[at..at + packed], [0b1_0000, 0, 0]);
                    let entry = at + packed;
                    assert_eq!(
                        (u32_at(entry), &bytes[entry + 4..entry + 8]),
                        (19, &[1, 0, 1, 0][..])
                    );
                    assert_eq!(f32::from_bits(u32_at(entry + 8)), 3.0);
                    Vec::new()
                }
                other => panic!("{other} rows"),
            };
            found.push((String::from_utf8(term.clone()).unwrap(), numbers));
        }
    }
    let numbered = (0..20).filter(|row| *row != 4).map(|row| (row.to_string(), vec![row, 1]));
    let mut expected: Vec<(String, Vec<u64>)> = numbered.collect();
    expected.extend(["frequent", "words"].map(|word| (word.to_owned(), Vec::new())));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn the_tables_of_metadata_indexes_agree_with_the_constants() {
    let text = document();
    let says = |sentence: String| assert!(text.contains(&sentence), "{sentence}");
    says(format!("index version {METADATA_INDEX_VERSION}."));
    says(format!("there are at most {MAX_INDEXED_ROWS}."));

    let header = table(&text, "Metadata index header", 0);
    assert_eq!(end_of(&header), METADATA_INDEX_HEADER_BYTES);
    says(format!("The header has {METADATA_INDEX_HEADER_BYTES} bytes."));
    assert!(header[0][2].contains(&hexadecimal(&METADATA_INDEX_MAGIC)));
    assert_eq!(header[1][2], format!("metadata index version: {METADATA_INDEX_VERSION}"));
    assert!(header[6][2].ends_with(&format!("at most {MAX_INDEXED_KEYS}")));
    let checked = METADATA_INDEX_HEADER_BYTES - 5;
    assert!(header[7][2].starts_with(&format!("checksum of bytes 0 to {checked} ")));
    says(format!("A page is {CHECKED_PAGE_BYTES} bytes"));

    let references = table(&text, "Rows references", 0);
    let tags = [POSTINGS_AT, POSTINGS_ONE, POSTINGS_NONE].map(|tag| tag.to_string());
    assert!(references.iter().map(|row| &row[0]).eq(&tags));
    assert_eq!(POSTINGS_HEADER_BYTES, 4 + 4);

    let record = table(&text, "Keys of a metadata index", 0);
    assert_eq!(end_of(&record), KEY_RECORD_FIXED_BYTES);
    assert!(record[0][2].ends_with(&format!("at most {MAX_INDEXED_KEY_BYTES}")));
    assert_eq!(record[3][1], format!("{PART_BYTES} x P"));
    assert_eq!(PART_BYTES, 1 + 8 + 8);
    says(format!("longer than {MAX_INDEXED_KEY_BYTES} bytes, or if {MAX_INDEXED_KEYS} other"));
    let parts = table(&text, "Keys of a metadata index", 1);
    let (first, last) = (PART_ELEMENTS + PART_NULLS, PART_ELEMENTS + PART_LONG_STRINGS);
    let expected = [
        (PART_PRESENT.to_string(), "rows that have the key".to_owned()),
        (PART_NULLS.to_string(), "rows with null".to_owned()),
        (PART_FALSES.to_string(), "rows with false".to_owned()),
        (PART_TRUES.to_string(), "rows with true".to_owned()),
        (PART_NUMBERS.to_string(), "dictionary of numbers".to_owned()),
        (
            PART_STRINGS.to_string(),
            format!("dictionary of strings of at most {MAX_INDEXED_STRING_BYTES} bytes"),
        ),
        (PART_LONG_STRINGS.to_string(), "dictionary of longer strings".to_owned()),
        (PART_ARRAYS.to_string(), "rows with an array".to_owned()),
        (PART_OBJECTS.to_string(), "rows with an object".to_owned()),
        (PART_CHECKSUMS.to_string(), "dictionary of checksums of arrays and objects".to_owned()),
        (
            PART_LONG_ARRAYS.to_string(),
            format!("rows with an array of more than {MAX_INDEXED_ELEMENTS} elements"),
        ),
        (
            PART_NESTED_ARRAYS.to_string(),
            "rows with another array that has an array or an object among its elements".to_owned(),
        ),
        (
            format!("{first} to {last}"),
            format!(
                "as {PART_NULLS} to {PART_LONG_STRINGS}, for the elements of arrays of at most \
                 {MAX_INDEXED_ELEMENTS} elements"
            ),
        ),
    ];
    let found = parts.into_iter().map(|row| (row[0].clone(), row[1].clone()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert_eq!(PART_KINDS, usize::from(PART_ELEMENTS) * 2);

    let dictionary = table(&text, "Dictionaries", 0);
    assert_eq!(dictionary[0][0], format!("8 x (M / {DICTIONARY_GROUP}, rounded up)"));
    says(format!("tag {NUMBER_SIGNED} and a signed 64-bit integer"));
    says(format!("tag {NUMBER_UNSIGNED} and an unsigned one"));
    says(format!("tag {NUMBER_FLOAT} and an IEEE 754 binary64"));
    says(format!("the first {LONG_STRING_PREFIX_BYTES} bytes of each and the checksum"));
}

#[test]
fn a_metadata_index_is_as_the_document_says() {
    let long = "l".repeat(200);
    let values = [
        json!({"k": 7}),
        json!({"k": 7.0}),
        json!({"k": -0.5, "n": {"k": "b"}}),
        json!({"k": u64::MAX}),
        json!({"k": "b"}),
        json!({"k": "a"}),
        json!({"k": long}),
        json!({"k": {"x": [true, 1]}}),
    ];
    let mut builder = MetadataIndexBuilder::default();
    for (metadata, row) in values.iter().zip(0i64..) {
        let id = Id::from(row);
        builder
            .push(&Fields { id: &id, metadata: Some(metadata), source: None, line: None })
            .unwrap();
    }
    let index = builder.finish();
    let mut bytes = Bytes(&index);
    assert_eq!(bytes.take(8), b"RACMETA\n");
    assert_eq!((bytes.number(4), bytes.number(4)), (1, 8), "version, rows");
    let body_bytes = bytes.number(8) as usize;
    let directory = bytes.number(8) as usize;
    assert_eq!(bytes.number(8), 2 << 56, "no row has other keys");
    assert_eq!(bytes.number(4), 5, "keys");
    let header_checksum = bytes.number(4);
    let page_checksum = bytes.number(4);
    let body = &index[52..];
    assert_eq!(body.len(), body_bytes);
    assert_eq!(page_checksum, checksum(&[body]));
    assert_eq!(header_checksum, checksum(&[&index[..44], &index[48..52]]));
    let at = |offset: u64| Bytes(&body[offset as usize..]);

    let mut offsets = at(directory as u64);
    let mut records = (0..5).map(|_| at(offsets.number(8)));
    let mut names = Vec::new();
    let mut parts_of_k = Vec::new();
    for record in &mut records {
        let (mut record, length) = (Bytes(&record.0[3..]), Bytes(record.0).number(2));
        let name = String::from_utf8(record.take(length as usize)).unwrap();
        if name == "k" {
            parts_of_k = (0..6)
                .map(|_| (record.number(1), record.number(8), record.number(8)))
                .collect::<Vec<_>>();
        }
        names.push(name);
    }
    assert_eq!(names, ["$id", "k", "k.x", "n", "n.k"]);
    let part = |kind: u64| *parts_of_k.iter().find(|part| part.0 == kind).unwrap();
    let kinds: Vec<u64> = parts_of_k.iter().map(|part| part.0).collect();
    assert_eq!(kinds, [1, 5, 6, 7, 9, 10]);

    let (_, entries, present) = part(1);
    assert_eq!((entries, present >> 56), (0, 0));
    let mut list = at(present);
    assert_eq!((list.number(4), list.number(4)), (8, 32));
    assert!((0..8).all(|row| list.number(4) == row));

    let (_, entries, numbers) = part(5);
    let mut numbers = at(numbers);
    assert_eq!((entries, numbers.number(8), numbers.number(8)), (3, 0, 4));
    let references: Vec<u64> = (0..3).map(|_| numbers.number(8)).collect();
    assert_eq!((references[0], references[2]), (1 << 56 | 2, 1 << 56 | 3));
    let mut sevens = at(references[1]);
    let sevens: Vec<u64> = (0..4).map(|_| sevens.number(4)).collect();
    assert_eq!(sevens, [2, 8, 0, 1], "two rows in eight bytes");
    let payloads: Vec<u64> = (0..3).map(|_| numbers.number(8)).collect();
    assert_eq!(payloads, [(-0.5f64).to_bits(), 7, u64::MAX]);
    assert_eq!(numbers.take(3), [2, 0, 1]);

    let (_, entries, strings) = part(6);
    let mut strings = at(strings);
    assert_eq!((entries, strings.number(8), strings.number(8)), (2, 0, 2));
    assert_eq!((strings.number(8), strings.number(8)), (1 << 56 | 5, 1 << 56 | 4));
    assert_eq!((strings.number(8), strings.number(8), strings.number(8)), (0, 1, 2));
    assert_eq!(strings.take(2), b"ab");

    let (_, entries, long_strings) = part(7);
    let mut long_strings = at(long_strings);
    assert_eq!((entries, long_strings.number(8), long_strings.number(8)), (1, 0, 1));
    assert_eq!(long_strings.number(8), 1 << 56 | 6);
    assert_eq!(long_strings.take(32), [b'l'; 32]);
    assert_eq!(long_strings.number(4), checksum(&[long.as_bytes()]));

    assert_eq!(part(9), (9, 0, 1 << 56 | 7), "the row with an object");
    let (_, entries, checksums) = part(10);
    let mut checksums = at(checksums);
    assert_eq!((entries, checksums.number(8), checksums.number(8)), (1, 0, 1));
    assert_eq!(checksums.number(8), 1 << 56 | 7);
    let one = |number: u64| number.to_le_bytes();
    let (a_length, o_length, key_length) = (one(2), one(1), one(1));
    let integer = 1i128.to_le_bytes();
    let canonical: [&[u8]; 9] =
        [b"o", &o_length, b"s", &key_length, b"x", b"a", &a_length, b"t", b"i"];
    assert_eq!(checksums.number(4), checksum(&[&canonical.concat(), &integer]));
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
    let schema = Schema { model: Some(model), ..Schema::new(2, Metric::L2) };
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
                ..Batch::default()
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
    assert_eq!((bytes.number(4), bytes.number(4)), (5, checksum(&[&format_file[..12]])));

    let log = fs::read(log_file(folder.path())).unwrap();
    let mut bytes = Bytes(&log);
    assert_eq!(bytes.take(8), b"RACLOG\r\n");
    assert_eq!((bytes.number(4), bytes.number(4)), (5, 64));
    assert_eq!(bytes.number(8), 1, "generation");
    let salt = bytes.take(8);
    assert_eq!((bytes.number(4), bytes.number(1), bytes.number(1), bytes.number(2)), (2, 3, 1, 1));
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

#[test]
fn the_tables_of_a_graph_agree_with_the_constants() {
    let text = document();
    let section = text.split_once("## A graph\n").unwrap().1;
    assert!(section.contains(&format!("multiple of {} bytes of its file", layout::PAGE_BYTES)));
    assert!(section.contains(&format!("format version {}. Row", layout::GRAPH_VERSION)));

    let header = table(&text, "Graph header", 0);
    assert_eq!(end_of(&header), layout::GRAPH_HEADER_BYTES);
    assert!(header[0][2].contains(&hexadecimal(&layout::GRAPH_MAGIC)));
    assert_eq!(header[1][2], format!("format version: {}", layout::GRAPH_VERSION));
    assert_eq!(
        header[2][2],
        format!("metric: {METRIC_COSINE} cosine, {METRIC_DOT} dot, {METRIC_L2} squared L2")
    );
    assert_eq!(header[3][2], "element type T, as in a log");
    assert!(header[5][2].ends_with(&format!("at most {}", layout::MAX_GRAPH_ROWS)));
    assert!(header[6][2].ends_with(&format!("1 to {}", layout::MAX_GRAPH_DIMENSION)));
    assert!(header[7][2].contains(&format!("a multiple of {}", layout::CODE_UNIT)));
    assert!(header[8][2].ends_with(&format!("1 to {}", layout::MAX_BLOCKS)));
    assert!(header[9][2].ends_with(&format!("at most {}", layout::MAX_ENTRIES / 32)));

    for name in ["Entry section", "Record"] {
        assert_eq!(end_of(&table(&text, name, 0)), layout::RECORD_FIXED_BYTES, "{name}");
    }
    let record = table(&text, "Record", 0);
    assert_eq!(record[3][0], layout::RECORD_CHECKSUM_OFFSET.to_string());
    assert!(record[3][2].starts_with("checksum"));
    assert!(
        section.contains(&format!("a multiple of {} from its start", layout::RECORD_ALIGNMENT))
    );
    let block = table(&text, "Block", 0);
    assert_eq!(end_of(&block), layout::BLOCK_FIXED_BYTES);
    assert!(section.contains(&format!("B = {} + 4 x C bytes", layout::BLOCK_FIXED_BYTES)));
}
