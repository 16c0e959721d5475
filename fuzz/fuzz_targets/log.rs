//! A log of any bytes in a sound database. With an odd first byte, its checksums are made right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rac_fuzz::{Sound, read_database, seal_log, with_folder};

fuzz_target!(|input: &[u8]| {
    let Some((seal, bytes)) = input.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if seal % 2 == 1 {
        seal_log(&mut bytes);
    }
    with_folder(|folder| {
        let sound = Sound::get();
        let (path, _) = sound.ending(".log");
        sound.write(folder, &[(path, Some(&bytes))]);
        read_database(folder);
    });
});
