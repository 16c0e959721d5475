//! An index of words of any bytes beside a segment of a sound database.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rac_fuzz::{TEXT_INDEX, read_with_index};

fuzz_target!(|input: &[u8]| {
    read_with_index(TEXT_INDEX, input);
});
