#!/bin/sh
# Books purchases with a key that opens alone and with one whose requests are signed, in turns, on servers of their own.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/signed.sh
#
# Each round is a new ledger in a temporary directory; which key comes first changes from round to round. PORT, ROUNDS, COUNT
# and BATCH may be set. The last lines are the medians of purchases per second.
set -eu
cd "$(dirname "$0")/.."
. loadtest/server.sh
rounds=${ROUNDS:-12} count=${COUNT:-200000} batch=${BATCH:-1000}
KEMBALI_SECRETS_KEY=$(printf '%064d' 0)
export KEMBALI_SECRETS_KEY

load() {
    target/release/loadtest generate --batch "$batch" "$@"
}
measure() {
    case $1 in
    bare) load --count "$count" --api-key grocer-demo-key --seed "$2" ;;
    signed) load --count "$count" --api-key a-signed-key --api-secret a-secret-of-16-chars --seed "$2" ;;
    esac | tee "$work/run" | sed -n 's|^purchases/s *|'"$1"' |p' | tee -a "$work/figures"
    grep -q 'the server.s totals agree' "$work/run"
}

for round in $(seq "$rounds"); do
    start
    curl -sf -H "Authorization: Bearer $KEMBALI_OPERATOR_TOKEN" -H 'Content-Type: application/json' \
        -d '{"api_key":"a-signed-key","api_secret":"a-secret-of-16-chars"}' \
        "$KEMBALI_URL/v1/partners/grocer/api-keys?tenant=journey" >"$work/key"
    # The first purchases of a server find everything cold.
    load --api-key grocer-demo-key --seed 1 --count 50000 >"$work/warm"
    if [ $((round % 2)) = 0 ]; then set -- bare signed; else set -- signed bare; fi
    measure "$1" 2
    measure "$2" 3
    stop
done
for kind in bare signed; do
    awk -v kind=$kind '$1 == kind { print $2 }' "$work/figures" | sort -n |
        awk -v kind=$kind '{ own[NR] = $1 } END { print "median of " NR " " kind ": " own[int((NR + 1) / 2)] }'
done
