#!/bin/sh
# How many purchases a second are booked, in the ways in which partners send them, in turns, on servers of their own.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/goals.sh
#
# Each run is a new ledger in a temporary directory, warmed up with WARM (300,000) purchases of the 100,000 customers, so that all but one in
# twenty are known; which way comes first changes from round to round. Batches come over 4 connections, and in the ways that end in "-wide" over
# more: 64 with batches of 100, 16 with batches of 1,000.
# Their promo is used up by then, but in the way "quota", which is batches of 1,000 on a promo that grants every purchase. After each run the
# server is killed and started again, and all purchases of the run are sent once more: each has to have been booked before. Then the core decides all of them
# again, alone and in the order of the ledger: nothing may differ.
# PORT, ROUNDS, COUNT (purchases a run in batches; a third of it singly), SKEW, THREADS and WAYS (all seven) may be set. Of each run: purchases a second;
# latencies of requests (of purchases, by WebSocket) in microseconds; of the server: processor time a purchase in nanoseconds, bytes
# written to disk a purchase, syncs of the journal in the run (- where it took longer than the server looks back), and memory at most in KiB. The last lines are the medians, the least and the most
# purchases a second.
set -eu
cd "$(dirname "$0")/.."
. loadtest/server.sh
sed 's/^quota = .*/quota = 1000000000/' api/demo/journey.toml >"$work/quota.toml"
rounds=${ROUNDS:-3} count=${COUNT:-1000000} skew=${SKEW:-0} threads=${THREADS:-1} warm=${WARM:-300000}
ways=${WAYS:-single batch-100 batch-100-wide batch-1000 batch-1000-wide quota socket}
export KEMBALI_API_KEY=grocer-demo-key

system() {
    curl -sf "$KEMBALI_URL/v1/system" -H "Authorization: Bearer $KEMBALI_OPERATOR_TOKEN" | jq "$1"
}

measure() {
    way=$1 purchases=$count rules=api/demo/journey.toml
    case $way in
    single) set -- --batch 1 --connections 64 && purchases=$((count / 3)) ;;
    batch-100) set -- --batch 100 ;;
    batch-100-wide) set -- --batch 100 --connections 64 ;;
    batch-1000) set -- --batch 1000 ;;
    batch-1000-wide) set -- --batch 1000 --connections 16 ;;
    quota) set -- --batch 1000 && rules=$work/quota.toml ;;
    socket) set -- --socket 1000 ;;
    esac
    start "$rules"
    begun=$(date +%s)
    # The first purchases of a server find everything cold.
    target/release/loadtest generate --seed 1 --count "$warm" --skew 0 >"$work/warm"
    cpu=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
    written=$(awk '$1 == "write_bytes:" { print $2 }' "/proc/$server/io")
    syncs=$(system .syncs.count)
    target/release/loadtest generate --seed 2 --count "$purchases" --skew "$skew" --threads "$threads" \
        --json "$work/run.json" "$@" >"$work/run" || { cat "$work/run"; exit 1; }
    cpu=$((($(awk '{ print $14 + $15 }' "/proc/$server/stat") - cpu) * 1000000000 / $(getconf CLK_TCK) / purchases))
    written=$((($(awk '$1 == "write_bytes:" { print $2 }' "/proc/$server/io") - written) / purchases))
    if [ $(($(date +%s) - begun)) -lt 50 ]; then syncs=$(($(system .syncs.count) - syncs)); else syncs=-; fi
    peak=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$server/status")
    jq -r --arg way "$way" --arg rest "$cpu $written $syncs $peak" '.latency_us as $l |
        [$way, .purchases_per_second, $l.p50, $l.p99, $l.p999, $l.max, $rest] | join(" ")' "$work/run.json" |
        tee -a "$work/figures"
    jq -e --argjson count "$purchases" '.booked == $count' "$work/run.json" >"$work/whole" ||
        { cat "$work/run"; echo 'not all purchases were booked; COUNT is too large for the time' >&2; exit 1; }
    # Everything that was answered is there after a kill: sent again, each purchase was booked before, and none is booked now.
    kill_server
    serve
    target/release/loadtest generate --seed 2 --count "$purchases" --skew "$skew" --connections 16 --decide-again \
        --json "$work/again.json" >"$work/again" || { cat "$work/again"; fail_and_keep 'the run after the kill failed'; }
    jq -e --argjson count "$purchases" '.replayed == $count and .booked == 0 and .decided_again > $count' "$work/again.json" >"$work/same" ||
        { cat "$work/again"; fail_and_keep 'after the kill, purchases that were answered are not there'; }
    stop
}

echo 'way purchases/s p50 p99 p99.9 max cpu_ns written syncs peak_kib'
for round in $(seq "$rounds"); do
    turn=cat
    [ $((round % 2)) = 1 ] || turn=tac
    for way in $(echo "$ways" | tr ' ' '\n' | $turn); do
        measure "$way"
    done
done
echo "medians of $rounds, and the least and the most purchases a second:"
for way in $ways; do
    printf '%s' "$way"
    for column in 2 3 4 5 6 7 8 9 10; do
        awk -v way="$way" -v column="$column" '$1 == way { print $column }' "$work/figures" | sort -n |
            awk '{ own[NR] = $1 } END { printf " %s", own[int((NR + 1) / 2)] }'
    done
    awk -v way="$way" '$1 == way { print $2 }' "$work/figures" | sort -n | awk 'NR == 1 { printf "  %s", $1 } END { print " " $1 }'
done
