//! A segment of any bytes in a sound database. With an odd first byte, its checksums are made right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rac_fuzz::{Sound, read_database, seal_segment, unpack, with_folder};

fuzz_target!(|input: &[u8]| {
    let Some((seal, packed)) = input.split_first() else {
        return;
    };
    let mut bytes = unpack(packed);
    if seal % 2 == 1 {
        seal_segment(&mut bytes);
    }
    with_folder(|folder| {
        let sound = Sound::get();
        let (path, _) = sound.ending(".seg");
        sound.write(folder, &[(path, Some(&bytes))]);
        read_database(folder);
    });
});
