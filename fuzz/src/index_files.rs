//! Any bytes in the place of an index beside a segment.

use std::path::Path;

use database::{Database, Options};

use crate::checksums::{IndexLayout, seal_index};
use crate::reading::{read_collection, read_database};
use crate::sound::{Sound, with_folder};

/// Searches, in a process that reads only and in one that writes, a sound database in which the
/// bytes of one index are these. The first byte of the input makes the choices: whether the bytes
/// say that they are of their segment, and have checksums that are right; in the place of which
/// index they are; and whether segments are merged out of them.
pub fn read_with_index(layout: IndexLayout, input: &[u8]) {
    let Some((choices, bytes)) = input.split_first() else {
        return;
    };
    let sound = Sound::get();
    let files = sound.all_ending(layout.ending);
    let number = usize::from(choices / 4) % files.clone().count().max(1);
    let (path, original) = files.clone().nth(number).expect("there is one");
    let mut bytes = bytes.to_vec();
    if choices % 2 == 1 {
        // A segment has another salt each time.
        let (start, end) = layout.identity;
        if let Some(place) = bytes.get_mut(start..end) {
            place.copy_from_slice(&original[start..end]);
        }
        seal_index(&mut bytes, layout);
    }
    with_folder(|folder| {
        sound.write(folder, &[(path, Some(&bytes))]);
        read_database(folder);
        if choices / 2 % 2 == 1 {
            let _ = write(folder);
            read_database(folder);
        }
    });
}

fn write(folder: &Path) -> database::Result<()> {
    let database = Database::open(folder, &Options { threads: 1, ..Options::default() })?;
    let collection = database.collection("c", None)?;
    // Before a search finds out what is damaged: merges read indexes too.
    collection.optimize()?;
    read_collection(&collection);
    database.close()
}
