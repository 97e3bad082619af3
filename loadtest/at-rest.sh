#!/bin/sh
# What a ledger costs while nobody buys: memory by customer and by remembered purchase, bytes of the archive, and how long a start takes.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/at-rest.sh
#
# A new ledger in a temporary directory. CUSTOMERS (1,000,000) draw first three purchases each on average, then MORE (7,000,000) in all;
# after each part a snapshot is taken, the server is started anew, and its memory is read a while later, when nothing of the start is left.
# Memory by customer and by purchase solves the two equations. At the end TAIL (1,000,000) purchases are booked behind the snapshot, the
# server is killed, and starting is timed until it is ready. PORT may be set.
set -eu
cd "$(dirname "$0")/.."
. loadtest/server.sh
customers=${CUSTOMERS:-1000000} more=${MORE:-7000000} tail=${TAIL:-1000000}
export KEMBALI_API_KEY=grocer-demo-key

get() {
    curl -sf "$KEMBALI_URL$1" -H "Authorization: Bearer $KEMBALI_OPERATOR_TOKEN"
}

book() {
    target/release/loadtest generate --seed "$1" --count "$2" --customers "$customers" --skew 0 --batch 1000 >"$work/run" ||
        { cat "$work/run"; exit 1; }
}

# Reads customers, booked purchases and resident bytes of a server that has just started and does nothing.
at_rest() {
    curl -sf --max-time 600 -X POST "$KEMBALI_URL/v1/snapshots" -H "Authorization: Bearer $KEMBALI_OPERATOR_TOKEN" >"$work/snapshot"
    kill_server
    serve
    # What the start let go of is given back by and by, and while something is asked for.
    for _ in $(seq 30); do
        get /v1/system >"$work/system"
        sleep 1
    done
    get "/v1/reports/summary?tenant=journey" >"$work/summary"
    jq -r '[.customers, .accepted] | join(" ")' "$work/summary" >"$work/counts"
    echo "$(cat "$work/counts") $(($(awk '$1 == "VmRSS:" { print $2 }' "/proc/$server/status") * 1024))"
}

start
at_rest >"$work/empty"
book 1 $((3 * customers))
at_rest >"$work/first"
book 2 "$more"
at_rest >"$work/second"
bytes=$(cat "$work"/data/archive/* | wc -c)
echo "customers, purchases, bytes of memory: empty $(cat "$work/empty"); first $(cat "$work/first"); second $(cat "$work/second")"
cat "$work/empty" "$work/first" "$work/second" | awk -v archive="$bytes" '
    { customers[NR] = $1; purchases[NR] = $2; bytes[NR] = $3 }
    END {
        c1 = customers[2]; c2 = customers[3]; p1 = purchases[2]; p2 = purchases[3]
        b1 = bytes[2] - bytes[1]; b2 = bytes[3] - bytes[1]
        purchase = (b2 * c1 - b1 * c2) / (p2 * c1 - p1 * c2)
        printf "bytes of memory: %d a customer, %d a remembered purchase\n", (b1 - p1 * purchase) / c1, purchase
        printf "bytes of the archive: %d a purchase\n", archive / p2
    }'
# Rotation would move the tail into a snapshot.
kill "$server"
wait "$server" || true
export KEMBALI_GENERATION_BYTES=8000000000
serve
book 3 "$tail"
kill_server
begun=$(date +%s%N)
serve
echo "start with $(cut -d ' ' -f 1 "$work/second") customers and $tail purchases behind the snapshot: $((($(date +%s%N) - begun) / 1000000)) ms"
