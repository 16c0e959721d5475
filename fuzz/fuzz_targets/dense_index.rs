//! An index of the vectors in a dense field, flat or a graph, of any bytes beside a segment of a sound
//! database.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rac_fuzz::{DENSE_INDEX, read_with_index};

fuzz_target!(|input: &[u8]| {
    read_with_index(DENSE_INDEX, input);
});
