#!/bin/sh
# Books purchases at a rate while the event stream is watched: by nobody, by many, and by as many and one that stalls, in turns, on
# servers of their own.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/subscribers.sh
#
# Each round is a new ledger in a temporary directory; which comes first changes from round to round. PORT, ROUNDS, SECONDS_EACH, RATE,
# BATCH and SUBSCRIBERS may be set. Of each run: purchases a second, events a second, latencies of requests in microseconds, the server's
# time on processors in milliseconds and its memory in KiB, both with what it takes to book. The last lines are the medians.
set -eu
cd "$(dirname "$0")/.."
. loadtest/server.sh
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-60} rate=${RATE:-10000} batch=${BATCH:-100} many=${SUBSCRIBERS:-100}
export KEMBALI_API_KEY=grocer-demo-key

measure() {
    case $1 in
    nobody) set -- "$1" --subscribers 0 ;;
    many) set -- "$1" --subscribers "$many" ;;
    stalled) set -- "$1" --subscribers "$many" --stalled 1 ;;
    esac
    start
    # The first purchases of a server find everything cold.
    target/release/loadtest generate --seed 1 --count 50000 >"$work/warm"
    kind=$1
    shift
    before=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
    target/release/loadtest generate --seed 2 --count $((rate * seconds)) --rate "$rate" --batch "$batch" --threads 2 \
        --json "$work/run.json" "$@" >"$work/run" || { cat "$work/run"; exit 1; }
    after=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
    peak=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$server/status")
    cpu=$(((after - before) * 1000 / $(getconf CLK_TCK)))
    jq -r --arg kind "$kind" --arg cpu "$cpu" --arg peak "$peak" '(.delivered // {}) as $d | [$kind, .purchases_per_second,
        ($d.events_per_second // 0), .latency_us.p50, .latency_us.p99, .latency_us.max, $cpu, $peak,
        ($d.stalled_told // 0), ($d.stalled_dropped // 0)] | join(" ")' "$work/run.json" | tee -a "$work/figures"
    stop
}

echo 'who purchases/s events/s p50 p99 max cpu_ms peak_kib told dropped'
for round in $(seq "$rounds"); do
    case $((round % 3)) in
    0) set -- nobody many stalled ;;
    1) set -- stalled nobody many ;;
    2) set -- many stalled nobody ;;
    esac
    for kind in "$@"; do
        measure "$kind"
    done
done
for kind in nobody many stalled; do
    echo "median of $rounds $kind:"
    for column in 2 3 4 5 6 7 8; do
        awk -v kind=$kind -v column=$column '$1 == kind { print $column }' "$work/figures" | sort -n |
            awk '{ own[NR] = $1 } END { printf " %s", own[int((NR + 1) / 2)] }'
    done
    echo
done
