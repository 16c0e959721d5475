//! A database with files that were cut, extended, overwritten or removed, opened for writing too.

#![no_main]

use std::path::Path;

use database::{Batch, Database, Id, Options};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rac_fuzz::{
    Sound, read_collection, read_database, seal_end, seal_log, seal_segment, with_folder,
};

#[derive(Arbitrary, Debug)]
enum Edit {
    Overwrite { at: u32, bytes: Vec<u8> },
    Zero { at: u32, length: u16 },
    Cut { at: u32 },
    Extend { bytes: Vec<u8> },
    Remove,
}

#[derive(Arbitrary, Debug)]
struct Spoilt {
    file: u8,
    edits: Vec<Edit>,
    seal: bool,
}

impl Spoilt {
    fn apply<'a>(&self, sound: &'a Sound) -> (&'a Path, Option<Vec<u8>>) {
        let (path, bytes) = &sound.files[usize::from(self.file) % sound.files.len()];
        let mut bytes = Some(bytes.clone());
        for edit in &self.edits {
            let Some(bytes) = bytes.as_mut().filter(|_| !matches!(edit, Edit::Remove)) else {
                bytes = None;
                break;
            };
            let place = |at: u32| at as usize % (bytes.len() + 1);
            match edit {
                Edit::Overwrite { at, bytes: other } => {
                    let at = place(*at);
                    let length = other.len().min(bytes.len() - at);
                    bytes[at..at + length].copy_from_slice(&other[..length]);
                }
                Edit::Zero { at, length } => {
                    let at = place(*at);
                    let length = usize::from(*length).min(bytes.len() - at);
                    bytes[at..at + length].fill(0);
                }
                Edit::Cut { at } => bytes.truncate(place(*at)),
                Edit::Extend { bytes: other } => bytes.extend_from_slice(other),
                Edit::Remove => {}
            }
        }
        if let Some(bytes) = bytes.as_mut().filter(|_| self.seal) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("seg") => seal_segment(bytes),
                Some("log") => seal_log(bytes),
                _ => seal_end(bytes),
            }
        }
        (path, bytes)
    }
}

fn write(folder: &Path) -> database::Result<()> {
    let database = Database::open(folder, &Options { threads: 1, ..Options::default() })?;
    let collection = database.collection("c", None)?;
    read_collection(&collection);
    let batch = Batch { ids: vec![Id::Int(8)], vectors: vec![0.5; 3], ..Batch::default() };
    let _ = collection.upsert(batch);
    let _ = collection.delete(&[Id::Int(10)]);
    let _ = collection.compact();
    let _ = collection.optimize();
    read_collection(&collection);
    database.close()
}

fuzz_target!(|spoilt: Vec<Spoilt>| {
    let sound = Sound::get();
    let files: Vec<_> = spoilt.iter().map(|spoilt| spoilt.apply(sound)).collect();
    let files: Vec<_> = files.iter().map(|(path, bytes)| (*path, bytes.as_deref())).collect();
    with_folder(|folder| {
        sound.write(folder, &files);
        read_database(folder);
        let _ = write(folder);
        read_database(folder);
    });
});
