#!/usr/bin/env bash
# Fuzzes the database: random histories that are crashed at every point, then the targets in
# fuzz/fuzz_targets, guided by coverage, under the address sanitizer. Ends with the first finding.
#
#   FUZZ_SECONDS=600 scripts/fuzz.sh [TARGET...]      seconds for each; all targets by default
#
# A finding of the histories names a seed, which RAC_FUZZ_SEED plays again; one of a target is a file
# under fuzz/artifacts, which its program plays again. The targets need a C++ compiler, for libFuzzer,
# and nothing else: cargo-fuzz works with them too, where it is installed. What is found on the way is
# kept in fuzz/corpus for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
triple=$(rustc -vV | sed -n 's/^host: //p')

if [ $# -eq 0 ]; then
    RAC_FUZZ_SECONDS=$seconds cargo test --locked --package database --profile bench \
        --test durability -- --ignored --nocapture crashes_at_length
    set -- $(cd fuzz/fuzz_targets && ls ./*.rs | sed 's|^\./||; s|\.rs$||')
fi
if ! command -v "${CXX:-c++}" >/dev/null; then
    echo "fuzz: no C++ compiler (${CXX:-c++}): the targets guided by coverage are left out" >&2
    exit 1
fi

# What cargo-fuzz sets too; the variable has the pinned toolchain take the sanitizer's option.
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=$PWD/fuzz/target
export RUSTFLAGS="-Zsanitizer=address -Ccodegen-units=1 --cfg fuzzing -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
(cd fuzz && cargo build --locked --release --bins --target "$triple")
for target; do
    case $target in
        crashes) limits="-max_len=96" ;;
        manifest | filter | folder) limits="-max_len=1024" ;;
        *) limits="-max_len=40000" ;;
    esac
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target" "fuzz/seeds/$target"
    echo "fuzz: $target for $seconds seconds"
    ASAN_OPTIONS=detect_leaks=0 "fuzz/target/$triple/release/$target" \
        "fuzz/corpus/$target" "fuzz/seeds/$target" -artifact_prefix="fuzz/artifacts/$target/" \
        -max_total_time="$seconds" -len_control=0 $limits \
        -timeout=60 -rss_limit_mb=4096 -print_final_stats=1
done
