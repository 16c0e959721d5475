//! A manifest of any bytes in a sound database.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rac_fuzz::{Sound, read_database, seal_end, with_folder};

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    seal_end(&mut bytes);
    with_folder(|folder| {
        let sound = Sound::get();
        let (path, _) = sound.ending("MANIFEST");
        sound.write(folder, &[(path, Some(&bytes))]);
        read_database(folder);
    });
});
