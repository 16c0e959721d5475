//! A segment is on disk as `docs/file-format.md` says: read here without the crate's code.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::*;
use crate::format::{FORMAT_VERSION, METADATA_INDEX_MAGIC};

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: u64) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length as usize);
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: u64) -> u64 {
        self.take(bytes).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn text(&mut self) -> &'a str {
        let length = self.number(4);
        std::str::from_utf8(self.take(length)).unwrap()
    }
}

fn checksum(parts: &[&[u8]]) -> u64 {
    u64::from(crc32fast::hash(&parts.concat()))
}

#[test]
fn a_segment_is_on_disk_as_the_document_says() {
    let mut rows = Rows::new(2, vec![bare(-2), bare("x")]);
    rows.vectors = vec![3.0, 4.0, 0.0, 0.5];
    rows.records[1].text = Some("héllo".to_owned());
    rows.records[1].metadata = Some(json!({"k": [1, null]}).into());
    rows.records[1].place = Some(Place { source: "s.md".into(), start: 10, end: 15, line: 3 });
    let file = Written::new(&rows, Metric::Cosine).bytes();

    let mut bytes = Bytes(&file);
    assert_eq!(bytes.take(8), b"RACSEG\r\n");
    assert_eq!(
        (bytes.number(4), bytes.number(4)),
        (u64::from(FORMAT_VERSION), 8),
        "version, sections"
    );
    assert_eq!(bytes.number(8), Written::NUMBER);
    let salt = bytes.take(8);
    assert_eq!(bytes.number(8), file.len() as u64);
    assert_eq!((bytes.number(4), bytes.number(4)), (2, 2), "rows, dimension");
    assert_eq!((bytes.number(1), bytes.number(1), bytes.number(6)), (1, 1, 0));
    let mut end = 4096;
    let mut sections = Vec::new();
    for kind in [1, 2, 3, 4, 5, 6, 9, 7] {
        assert_eq!((bytes.number(4), bytes.number(4)), (kind, 0));
        let (offset, length) = (bytes.number(8), bytes.number(8));
        assert_eq!(offset, (end as u64).next_multiple_of(4096));
        assert!(file[end..offset as usize].iter().all(|byte| *byte == 0));
        end = (offset + length) as usize;
        sections.push(&file[offset as usize..end]);
    }
    assert_eq!(end, file.len());
    assert!(file[56 + 24 * 8..4092].iter().all(|byte| *byte == 0));
    assert_eq!(Bytes(&file[4092..]).number(4), checksum(&[&file[..4092]]));

    let [vectors, norms, records, offsets, table, sources, metadata_index, checksums] =
        sections[..]
    else {
        panic!("eight sections");
    };
    assert_eq!(vectors, [3f32, 4.0, 0.0, 0.5].map(f32::to_le_bytes).as_flattened());
    assert_eq!(norms, [0.2f32, 2.0].map(f32::to_le_bytes).as_flattened());

    let mut bytes = Bytes(records);
    assert_eq!(bytes.number(4), checksum(&[salt, &records[4..14]]));
    assert_eq!((bytes.number(1), bytes.number(1)), (0, 0), "flags, id tag");
    assert_eq!(bytes.number(8) as i64, -2);
    assert_eq!(records.len() - bytes.0.len(), 14);
    let (before, text, after) = (&records[18..29], &records[29..35], &records[35..]);
    assert_eq!(bytes.number(4), checksum(&[salt, before, after]));
    assert_eq!((bytes.number(1), bytes.number(1)), (7, 1), "flags, id tag");
    assert_eq!((bytes.text(), bytes.text(), bytes.text()), ("x", "héllo", r#"{"k":[1,null]}"#));
    let place: Vec<u64> = [4, 8, 8, 8].map(|length| bytes.number(length)).to_vec();
    assert_eq!(place, [0, 10, 15, 3]);
    assert_eq!(bytes.number(4), checksum(&[text]));
    assert!(bytes.0.is_empty());

    let mut bytes = Bytes(offsets);
    let found = [bytes.number(8), bytes.number(8), bytes.number(8)];
    assert_eq!(found, [0, 14, records.len() as u64]);

    let mut bytes = Bytes(table);
    let slots: Vec<_> = (0..3).map(|_| (bytes.number(4), bytes.number(4))).collect();
    assert!(bytes.0.is_empty());
    for (row, id) in [(0, &records[5..14]), (1, &records[19..25])] {
        let mut hasher = SipHasher13::new_with_keys(Bytes(salt).number(8), 0);
        hasher.write(id);
        let hash = hasher.finish();
        let first = ((u128::from(hash) * 3) >> 64) as usize;
        let slot = (0..3).map(|step| slots[(first + step) % 3]).find(|slot| slot.0 == row);
        assert_eq!(slot.unwrap().1, hash & 0xffff_ffff);
    }
    assert!(slots.iter().any(|slot| slot.0 == 4_294_967_295));

    let mut bytes = Bytes(sources);
    assert_eq!([bytes.number(8), bytes.number(8), bytes.number(8)], [1, 0, 4]);
    assert_eq!(bytes.0, b"s.md");

    assert_eq!(metadata_index[..8], METADATA_INDEX_MAGIC);

    let start = file.len() - 4096;
    assert_eq!(checksums, &file[start..]);
    let mut bytes = Bytes(checksums);
    for block in file[4096..start].chunks(4096) {
        assert_eq!(bytes.number(4), checksum(&[salt, block]));
    }
    assert!(bytes.take(bytes.0.len() as u64 - 4).iter().all(|byte| *byte == 0));
    let own = checksum(&[salt, &(start as u64).to_le_bytes(), &checksums[..4092]]);
    assert_eq!(bytes.number(4), own);
}
