#!/usr/bin/env bash
# Runs the tests of crates/kernels for 64-bit Arm on an x86-64 machine, under qemu's user-mode
# emulation, and fails unless the NEON backend ran.
#
#   scripts/test-neon.sh [options of `cargo test`, such as --release]
#
# Needs: qemu-aarch64, aarch64-linux-gnu-gcc (it links), and a rustc with the Arm standard library:
# the project's own after `rustup target add aarch64-unknown-linux-gnu`, or else Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
emulator=qemu-aarch64

missing() {
    echo "test-neon: $1 is missing; $2" >&2
    exit 1
}

has_standard_library() {
    command -v "$1" >/dev/null &&
        compgen -G "$("$1" --print target-libdir --target $target)/libstd-*.rlib" >/dev/null
}

command -v cargo >/dev/null || missing cargo "see CONTRIBUTING.md"
command -v $emulator >/dev/null || missing $emulator "on Debian: apt install qemu-user"
command -v aarch64-linux-gnu-gcc >/dev/null ||
    missing aarch64-linux-gnu-gcc "on Debian: apt install gcc-aarch64-linux-gnu"

for compiler in "${RUSTC:-rustc}" /usr/bin/rustc; do
    if has_standard_library "$compiler"; then
        export RUSTC=$compiler
        break
    fi
done
has_standard_library "${RUSTC:-rustc}" || missing "a rustc with the standard library of $target" \
    "run: rustup target add $target
or on Debian: dpkg --add-architecture arm64 && apt update && apt install rustc-web libstd-rust-web-dev:arm64"

# Static programs: qemu would otherwise mix the Arm loader and C library of different packages,
# and such a program hangs. A folder of its own, because another compiler must not share one.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/neon}
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$emulator
export RAC_TEST_RUNNER=$emulator
export RAC_REQUIRE_BACKENDS=neon

cargo test -p kernels --tests --target $target "$@"
