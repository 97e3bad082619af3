#!/bin/sh
# How long a purchase takes that comes by itself, on a ledger with a history, while snapshots are taken and generations change.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/latency.sh
#
# A new ledger in a temporary directory with HISTORY (10,000,000) purchases of 100,000 customers, in batches; then RATE (12,500) purchases a
# second for SECONDS_LONG (300), each a request, over 64 connections, coming by themselves (Poisson), counted from when each was to be sent.
# Of all: p50, p99, p99.9 and the longest, in microseconds; then of each minute: the median of its seconds' p50 and of their p99, the highest
# p99 of a second, and the longest; then how many segments and snapshots there are, and memory at most, in KiB. PORT may be set, and PAGE, a file for a page with plots of the run, and PLOTS, a directory for these plots as images.
set -eu
cd "$(dirname "$0")/.."
. loadtest/server.sh
history=${HISTORY:-10000000} rate=${RATE:-12500} seconds=${SECONDS_LONG:-300}
export KEMBALI_API_KEY=grocer-demo-key

send() {
    target/release/loadtest generate --skew 0 --step-millis 0 --json "$work/run.json" "$@" >"$work/run" || { cat "$work/run"; exit 1; }
}

start
send --seed 1 --count "$history" --batch 1000
send --seed 2 --count $((rate * seconds)) --batch 1 --connections 64 --rate "$rate" --arrivals poisson ${PAGE:+--page "$PAGE"} ${PLOTS:+--plots "$PLOTS"}
echo "purchases/s p50 p99 p99.9 max"
jq -r '.latency_us as $l | [.purchases_per_second, $l.p50, $l.p99, $l.p999, $l.max] | join(" ")' "$work/run.json"
echo "minute purchases p50 p99 highest_p99 max"
jq -r 'def median: sort | .[length / 2 | floor];
    [.seconds[] | select(.latency_us)] | group_by(.second / 60 | floor)[] |
    [(.[0].second / 60 | floor) + 1, (map(.purchases) | add)] + (map(.latency_us) |
        [(map(.p50) | median), (map(.p99) | median), (map(.p99) | max), (map(.max) | max)]) | join(" ")' "$work/run.json"
echo "segments and snapshots: $(ls "$work/data/archive" | wc -l) $(ls "$work/data/snapshots" | wc -l); memory at most: $(awk '$1 == "VmHWM:" { print $2 }' "/proc/$server/status") KiB"
