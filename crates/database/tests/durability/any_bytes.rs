//! Files that hold anything at all are opened, verified and read: with an error or without one, but
//! with no panic, no hang and no read outside of a mapping.

use std::fs;
use std::path::{Path, PathBuf};

use database::disk::Disk;
use database::format::SEGMENT_BLOCK_BYTES;
use database::{Database, Error, SearchOptions, verify};

use crate::history::{Setting, weights_below};
use crate::random::Random;
use crate::scratch_folder;

/// A closed database with segments, a graph, an index of metadata, and a log.
pub(crate) fn sound(setting: &Setting, path: &Path, random: &mut Random) {
    let database = setting.open(path, Disk::default()).expect("open");
    let collection = setting.collection(&database).expect("create");
    for part in 0..3 {
        for _ in 0..10 {
            collection.write(setting.transaction(random)).expect("write");
        }
        match part {
            0 => collection.optimize().expect("optimize"),
            1 => collection.compact().expect("compact"),
            _ => {}
        }
    }
    database.close().expect("close");
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("list").map(|entry| entry.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// Other bytes in the place of a file's.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let length = bytes.len();
        match random.below(6) {
            0 => bytes.truncate(random.below(length + 1)),
            1 => bytes.extend((0..random.below(9000)).map(|byte| byte as u8)),
            2 if length > 0 => {
                let from = random.below(length);
                let to = (from + random.below(64)).min(length);
                bytes[from..to].iter_mut().for_each(|byte| *byte = random.next() as u8);
            }
            // Where most of the meaning is.
            3 if length > 0 => bytes[random.below(length.min(512))] = random.next() as u8,
            4 if length >= 8 => {
                let at = random.below(length.min(4096) / 8) * 8;
                let extreme = [0, 1, u64::MAX, u64::MAX / 2, 1 << 32][random.below(5)];
                bytes[at..at + 8].copy_from_slice(&extreme.to_le_bytes());
            }
            _ if length > 0 => bytes[random.below(length)] ^= 1 << random.below(8),
            _ => {}
        }
    }
}

/// Makes the checksum right that would have given the change away.
fn seal(path: &Path, bytes: &mut [u8]) {
    let content = match path.extension().and_then(|extension| extension.to_str()) {
        Some("seg") => SEGMENT_BLOCK_BYTES,
        Some("log") if bytes.len() >= 16 => {
            u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize
        }
        _ => bytes.len(),
    };
    if (4..=bytes.len()).contains(&content) {
        let checksum = crc32fast::hash(&bytes[..content - 4]).to_le_bytes();
        bytes[content - 4..content].copy_from_slice(&checksum);
    }
}

/// Everything that reads files. What it finds does not matter.
fn read_all(setting: &Setting, path: &Path) -> Result<(), Error> {
    let _ = verify(path);
    let database: Database = setting.open(path, Disk::default())?;
    let collection = database.collection("c", None)?;
    let page = collection.scan(None, usize::MAX, None);
    let ids: Vec<_> = (0..60).map(database::Id::Int).collect();
    let _ = collection.get(&ids);
    let _ = collection.count(&weights_below(5));
    let _ = collection.search(&[1.0, 0.5, 0.0], &SearchOptions::new(10));
    let _ = collection.search(
        &[1.0, 0.5, 0.0],
        &SearchOptions { filter: Some(&weights_below(5)), ..SearchOptions::new(10) },
    );
    let _ = collection.compact();
    page.map(drop)
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let mut random = Random::new(5);
    let (mut refused, mut read) = (0, 0);
    for seed in 0..4 {
        let setting = Setting::without_background(&mut Random::new(seed));
        let folder = scratch_folder();
        let model = folder.path().join("sound");
        sound(&setting, &model, &mut random);
        let mut paths = Vec::new();
        files(&model, &mut paths);
        for case in 0..150 {
            let path = folder.path().join("spoilt");
            fs::create_dir_all(path.join("collections/c")).expect("create");
            let victim = random.below(paths.len());
            for (number, from) in paths.iter().enumerate() {
                let mut bytes = fs::read(from).expect("read");
                if number == victim {
                    spoil(&mut bytes, &mut random);
                    if random.one_in(2) {
                        seal(from, &mut bytes);
                    }
                }
                let to = path.join(from.strip_prefix(&model).expect("inside"));
                fs::write(to, bytes).expect("write");
            }
            let outcome = std::panic::catch_unwind(|| read_all(&setting, &path));
            match outcome.unwrap_or_else(|_| panic!("seed {seed}, case {case}: {victim}")) {
                Ok(()) => read += 1,
                Err(_) => refused += 1,
            }
            fs::remove_dir_all(&path).expect("remove");
        }
    }
    println!("{refused} refused, {read} read");
    assert!(refused > 100 && read > 50, "{refused} refused, {read} read");
}
