#!/bin/sh
# How long a purchase takes that comes by itself, on a ledger with a history, while snapshots are taken and generations change.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/latency.sh
#
# A new ledger in a temporary directory with HISTORY (10,000,000) purchases of 100,000 customers, in batches; then RATE (12,500) purchases a
# second for SECONDS_LONG (300), each a request, over 64 connections, coming by themselves (Poisson), counted from when each was to be sent.
# Of each minute: p50, p99, p99.9 and the longest, in microseconds; then memory at most, in KiB. PORT may be set.
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
echo "minute purchases/s p50 p99 p99.9 max"
minute=0
while [ $((minute * 60)) -lt "$seconds" ]; do
    left=$((seconds - minute * 60))
    part=$((left < 60 ? left : 60))
    minute=$((minute + 1))
    send --seed $((minute + 1)) --count $((rate * part)) --batch 1 --connections 64 --rate "$rate" --arrivals poisson
    jq -r --arg minute "$minute" '.latency_us as $l |
        [$minute, .purchases_per_second, $l.p50, $l.p99, $l.p999, $l.max] | join(" ")' "$work/run.json"
done
echo "segments and snapshots: $(ls "$work/data/archive" | wc -l) $(ls "$work/data/snapshots" | wc -l); memory at most: $(awk '$1 == "VmHWM:" { print $2 }' "/proc/$server/status") KiB"
