//! Bytes that are not what was written.

use database::format::{CHECKED_PAGE_BYTES, METADATA_INDEX_HEADER_BYTES};
use database::{Error, Result};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::json;
use crate::rows::{Row, Rows, filter, open};

fn filters() -> Vec<Value> {
    vec![
        json!({"a": 1, "b": {"$gte": "a"}}),
        json!({"a": {"$contains": "x"}}),
        json!({"a": {"$in": [null, true, [1], {"a": 1}, "x".repeat(129)]}}),
        json!({"a.b": {"$lt": 3}}),
        json!({"$id": {"$gt": 1}, "$source": {"$exists": true}}),
        json!({"k": {"$not": {"$contains": 1}}}),
    ]
}

/// Everything that reads the bytes.
fn read_all(bytes: Vec<u8>, rows: &Rows) -> Result<()> {
    let index = open(bytes)?;
    // Whatever the bytes say, only rows that exist are asked for.
    if index.rows() as usize > rows.rows.len() {
        return Ok(());
    }
    index.keys()?;
    for json in filters() {
        let filter = filter(json);
        index.estimate(&filter)?;
        index.evaluate(&filter, None, rows)?;
    }
    Ok(())
}

fn sample() -> Rows {
    let row = |number: i64| {
        Row::new(
            number,
            json!({
                "a": [number % 3, "x", null, {"a": 1}],
                "b": format!("b{}", number % 5),
                "text": format!("{}{number}", "long ".repeat(30)),
                "number": number as f64 / 3.0,
            }),
        )
    };
    Rows::from((0..2000).map(row).collect::<Vec<_>>())
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    let rows = Rows::from(sample().rows[..40].to_vec());
    let bytes = rows.index_bytes();
    for bit in (0..bytes.len() * 8).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match open(damaged).and_then(|index| index.verify()) {
            Err(Error::Corrupt { path, offset, .. }) => {
                assert_eq!(path.to_str(), Some("segment"));
                assert!((4096..=4096 + bytes.len() as u64).contains(&offset), "{offset}");
            }
            Err(Error::Version { .. }) => assert!((64..96).contains(&bit), "bit {bit}"),
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

#[test]
fn every_other_length_is_found() {
    let rows = Rows::from(sample().rows[..40].to_vec());
    let bytes = rows.index_bytes();
    for length in (0..bytes.len()).step_by(3) {
        let error = open(bytes[..length].to_vec()).err().expect("a short index opens");
        assert!(matches!(error, Error::Corrupt { .. }), "{length}: {error}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(open(longer).err(), Some(Error::Corrupt { .. })));
}

#[test]
fn damage_in_one_page_leaves_questions_about_others() {
    let rows = sample();
    let mut bytes = rows.index_bytes();
    let pages = bytes.len() / CHECKED_PAGE_BYTES;
    assert!(pages > 2, "{pages}");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let index = open(bytes).unwrap();
    assert!(matches!(index.verify(), Err(Error::Corrupt { .. })));
    assert!(index.keys().is_ok());
    let answers = ["$id", "a", "b", "number", "text"]
        .map(|key| index.evaluate(&filter(json!({ key: {"$lt": "m"} })), None, &rows).is_ok());
    assert!(answers.contains(&true), "{answers:?}");
}

/// Makes the checksums right again, as somebody would who means it.
fn forge(bytes: &mut [u8]) {
    let body_bytes = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    let Some(body_start) = bytes.len().checked_sub(body_bytes as usize) else { return };
    let Some(table) = body_start.checked_sub(METADATA_INDEX_HEADER_BYTES) else { return };
    let pages = (body_bytes as usize).div_ceil(CHECKED_PAGE_BYTES);
    if table != pages * 4 {
        return;
    }
    let checksums: Vec<u8> = bytes[body_start..]
        .chunks(CHECKED_PAGE_BYTES)
        .flat_map(|page| crc32fast::hash(page).to_le_bytes())
        .collect();
    bytes[METADATA_INDEX_HEADER_BYTES..body_start].copy_from_slice(&checksums);
    let checked = [&bytes[..METADATA_INDEX_HEADER_BYTES - 4], &checksums].concat();
    let checksum = crc32fast::hash(&checked).to_le_bytes();
    bytes[METADATA_INDEX_HEADER_BYTES - 4..METADATA_INDEX_HEADER_BYTES].copy_from_slice(&checksum);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn forged_bytes_are_answered_or_refused(
        rows in json::rows(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(vec![0u8, 1, 2, 0x7f, 0x80, 0xff])),
            1..6,
        ),
    ) {
        let mut bytes = rows.index_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        forge(&mut bytes);
        match read_all(bytes, &rows) {
            Ok(()) | Err(Error::Corrupt { .. } | Error::Version { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        with_magic in any::<bool>(),
    ) {
        if with_magic {
            let magic = database::format::METADATA_INDEX_MAGIC;
            bytes.splice(..bytes.len().min(8), magic);
        }
        prop_assert!(open(bytes).is_err());
    }
}
