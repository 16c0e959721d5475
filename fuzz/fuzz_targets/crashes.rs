//! Histories of a database that is crashed between any two changes to its files, as in the tests of
//! durability; the input makes the choices.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/database/tests/durability/crash_points.rs"]
mod crash_points;
#[path = "../../crates/database/tests/durability/history.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod history;
#[path = "../../crates/database/tests/durability/medium.rs"]
mod medium;
#[path = "../../crates/database/tests/durability/random.rs"]
#[expect(dead_code, reason = "tests begin with seeds")]
mod random;
#[path = "../../crates/database/tests/durability/recorder.rs"]
mod recorder;

use rac_fuzz::scratch_folder;
use random::Random;

fuzz_target!(|input: &[u8]| {
    crash_points::crash_everywhere("fuzzed", Random::choosing(input), 1);
});
