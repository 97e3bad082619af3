#!/bin/sh
# How many instructions a purchase takes, piece by piece of its way: a figure that a busy machine does not change.
#
#     benches/instructions.sh
#
# Counted by callgrind (Debian's package is `valgrind`) over COUNT (10,000) purchases, without what makes them ready and puts them away. The
# allocator is the system's, not that of the server. Figures of two builds can be compared where compiler and processor are the same.
set -eu
cd "$(dirname "$0")/.."
count=${COUNT:-10000}
command -v valgrind >/dev/null || { echo 'valgrind is not installed' >&2; exit 1; }
cargo build --release -q -p kembali-benches --bin instructions
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
echo 'stage instructions_a_purchase'
for stage in read decide pipeline encode decode answer; do
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --collect-atstart=no \
        --toggle-collect='instructions::measured*' "${CARGO_TARGET_DIR:-target}/release/instructions" "$stage" "$count" 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
    collected=$(awk '/Collected :/ { print $NF }' "$work/log")
    [ "${collected:-0}" -gt 0 ] || { echo 'nothing was counted: the program does not name what is measured' >&2; exit 1; }
    echo "$stage $((collected / count))"
done
