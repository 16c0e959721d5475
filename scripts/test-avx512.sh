#!/usr/bin/env bash
# Runs the tests of crates/kernels on an emulated CPU with AVX-512, for machines without one, and
# fails unless the AVX-512 backend ran. It boots a Linux kernel in Bochs (a full-system emulator;
# qemu emulates no AVX-512) with the test programs as its whole file system.
#
#   scripts/test-avx512.sh [options of `cargo test`, such as --release]
#
# Needs: bochs with its terminal display, a static busybox, grub-mkrescue with the BIOS platform,
# xorriso, cpio, and a Linux kernel image: the file that KERNEL names, or else Debian's, which is
# downloaded and unpacked, not installed. TIME_LIMIT is in seconds.
set -euo pipefail
cd "$(dirname "$0")/.."

target=x86_64-unknown-linux-gnu
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/avx512}
machine=$CARGO_TARGET_DIR/machine
time_limit=${TIME_LIMIT:-1800}
bios=/usr/share/bochs/BIOS-bochs-latest
video_bios=/usr/share/vgabios/vgabios.bin

missing() {
    echo "test-avx512: $1 is missing; $2" >&2
    exit 1
}

for need in cargo:cargo bochs:bochs busybox:busybox-static grub-mkrescue:grub-common \
    xorriso:xorriso cpio:cpio script:bsdutils; do
    command -v "${need%:*}" >/dev/null || missing "${need%:*}" "on Debian: apt install ${need#*:}"
done
! ldd "$(command -v busybox)" >/dev/null 2>&1 ||
    missing "a static busybox" "on Debian: apt install busybox-static"
[ -d /usr/lib/grub/i386-pc ] || missing "grub's BIOS platform" "on Debian: apt install grub-pc-bin"
compgen -G "/usr/lib/*/bochs/plugins/libbx_term*" >/dev/null ||
    missing "the terminal display of bochs" "on Debian: apt install bochs-term"
[ -f $bios ] && [ -f $video_bios ] || missing "the firmware of bochs" \
    "on Debian: apt install bochsbios vgabios"

rm -rf "$machine"
mkdir -p "$machine"/{root/{bin,dev,proc,tests},disc/boot/grub}

if [ -z "${KERNEL:-}" ]; then
    unpacked=$CARGO_TARGET_DIR/kernel-package
    if ! compgen -G "$unpacked/boot/vmlinuz-*" >/dev/null; then
        command -v apt-get >/dev/null || missing "a Linux kernel" "name its image in KERNEL"
        package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')
        mkdir -p "$unpacked"
        (cd "$unpacked" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$package" &&
            dpkg -x ./*.deb .)
    fi
    KERNEL=$(compgen -G "$unpacked/boot/vmlinuz-*")
fi
cp "$KERNEL" "$machine/disc/boot/kernel"

# Static programs: the emulated machine has no C library.
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols"
cargo test -p kernels --tests --no-run --target $target "$@" 2>&1 | tee "$machine/build.log"
programs=0
while read -r program; do
    cp "$program" "$machine/root/tests/$(basename "${program%-*}")"
    programs=$((programs + 1))
done < <(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$machine/build.log")
[ $programs -gt 0 ] || missing "the list of test programs" "cargo test --no-run printed none"

cp "$(command -v busybox)" "$machine/root/bin/busybox"
cat >"$machine/root/init" <<'EOF'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devices /dev
/bin/busybox grep -m 1 "model name" /proc/cpuinfo
export RAC_REQUIRE_BACKENDS=avx512
for program in /tests/*; do
    echo "running $program"
    "$program"
    echo "exit status of $program: $?"
done
/bin/busybox sleep 1
/bin/busybox poweroff -f
EOF
chmod +x "$machine/root/init"
(cd "$machine/root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$machine/disc/boot/files"

# Bochs 2.7 states a wrong size for the compacted form of the register state; a kernel that saw it
# would refuse to switch AVX on. Without XSAVES and XSAVEC it uses the plain form.
cat >"$machine/disc/boot/grub/grub.cfg" <<'EOF'
set timeout=0
menuentry tests {
    linux /boot/kernel console=ttyS0 quiet mitigations=off clearcpuid=xsaves,xsavec panic=-1 reboot=t
    initrd /boot/files
}
EOF
grub-mkrescue -o "$machine/disc.iso" "$machine/disc" >"$machine/grub.log" 2>&1 ||
    { cat "$machine/grub.log" >&2; exit 1; }

cat >"$machine/bochsrc" <<EOF
cpu: model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=512, host=512
romimage: file=$bios
vgaromimage: file=$video_bios
ata0-master: type=cdrom, path=$machine/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$machine/serial.log
display_library: term
plugin_ctrl: speaker=0, sb16=0, es1370=0, parallel=0, gameport=0
log: $machine/bochs.log
panic: action=fatal
EOF
start=()
if [[ $(bochs --help 2>&1) == *" -rc "* ]]; then
    # A build with the debugger waits for its first command.
    echo continue >"$machine/debugger"
    start=(-rc "$machine/debugger")
fi

echo "booting; the serial console follows"
: >"$machine/serial.log"
tail -n +1 -f "$machine/serial.log" &
follower=$!
# The terminal display wants a terminal, which script(1) gives it.
TERM=xterm timeout "$time_limit" nice script -qec \
    "bochs -q -f '$machine/bochsrc' ${start[*]@Q}" /dev/null \
    </dev/null >"$machine/screen.log" 2>&1 &
emulator=$!
trap 'kill $emulator $follower 2>/dev/null || true' EXIT
wait $emulator || true
sleep 1

passed=$(grep -c '^exit status of .*: 0' "$machine/serial.log" || true)
if [ "$passed" -ne $programs ]; then
    echo "test-avx512: $passed of $programs test programs passed; see $machine/*.log" >&2
    exit 1
fi
echo "test-avx512: all $programs test programs passed"
