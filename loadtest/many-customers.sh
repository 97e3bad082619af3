#!/bin/sh
# Ten million customers of whom few are in memory: what that takes, and how fast they are served.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/many-customers.sh
#
# A new ledger in a temporary directory (needs 8 GB), with RESIDENT (200,000) customers in memory. COUNT (16,000,000) purchases are booked in batches of
# 1,000, by customers drawn evenly from DRAWN (16,000,000): ten million of these come to be. Then a snapshot is taken and the server started anew;
# single purchases of customers drawn as evenly come in at RATE (5,000) a second for SECONDS_SERVED (60). Memory is the process's resident
# set: the most while booking, while starting and while serving, and what it is after each. PORT may be set.
set -eu
cd "$(dirname "$0")/.."
. loadtest/server.sh
drawn=${DRAWN:-16000000} count=${COUNT:-16000000} rate=${RATE:-5000} seconds=${SECONDS_SERVED:-60}
export KEMBALI_API_KEY=grocer-demo-key KEMBALI_RESIDENT_MAX="${RESIDENT:-200000}"

send() {
    target/release/loadtest generate --customers "$drawn" --skew 0 --json "$work/run.json" "$@" >"$work/run" || { cat "$work/run"; exit 1; }
}

# Prints what the server's memory is, and the most it was since this was asked last.
memory() {
    awk '$1 == "VmHWM:" { most = $2 } $1 == "VmRSS:" { now = $2 }
        END { printf "memory after %s %d MB, %d MB at most\n", what, now / 1024, most / 1024 }' what="$1" "/proc/$server/status"
    echo 5 >"/proc/$server/clear_refs"
}

start
send --seed 1 --count "$count" --batch 1000 --connections 4
jq -r '"booking: \(.purchases_per_second | floor) purchases a second, batches took \(.latency_us.p50 / 1000 | floor) ms (p50), \(.latency_us.p99 / 1000 | floor) ms (p99), \(.latency_us.max / 1000 | floor) ms at most"' "$work/run.json"
memory booking
curl -sf --max-time 900 -X POST "$KEMBALI_URL/v1/snapshots" -H "Authorization: Bearer $KEMBALI_OPERATOR_TOKEN" >"$work/snapshot"
kill_server
begun=$(date +%s%N)
serve
echo "start: $((($(date +%s%N) - begun) / 1000000)) ms"
memory starting
send --seed 2 --step-millis 0 --count $((rate * seconds)) --batch 1 --connections 64 --rate "$rate" --arrivals poisson
jq -r '"serving singly: \(.purchases_per_second | floor) purchases a second, \(.latency_us.p50) us (p50), \(.latency_us.p99) us (p99), \(.latency_us.max) us at most"' "$work/run.json"
memory serving
curl -sf "$KEMBALI_URL/v1/reports/summary?tenant=journey" -H "Authorization: Bearer $KEMBALI_OPERATOR_TOKEN" |
    jq -r '"customers \(.customers), purchases \(.accepted)"'
