#!/bin/sh
# Removes a tier level that 100,000 customers hold while purchases stream, and measures the purchases with and without.
#
#     cargo build --release -p kembali-api -p kembali-loadtest && loadtest/removal.sh
#
# The ledger is a new one in a temporary directory. PORT, CUSTOMERS, COUNT and CONNECTIONS may be set.
set -eu
cd "$(dirname "$0")/.."
. loadtest/server.sh
customers=${CUSTOMERS:-100000} count=${COUNT:-60000} connections=${CONNECTIONS:-16}
export KEMBALI_API_KEY=grocer-demo-key
start api/demo/full.toml

sed '/name = "Gold"/d' api/demo/full.toml >"$work/without-gold.toml"
awk -v count="$customers" 'BEGIN { for (own = 0; own < count; own++) printf \
    "{\"origin_id\":\"gold-%d\",\"customer\":{\"ref\":\"customer-%08d\"},\"amount\":15000000,\"quantity\":1}\n", own, own }' \
    >"$work/gold.ndjson"
target/release/kembali send "$work/gold.ndjson"

load() {
    target/release/loadtest generate --customers "$customers" --skew 0 --count "$count" --batch 1 \
        --connections "$connections" --seed "$1"
}
spend() {
    curl -sf -H "Authorization: Bearer $KEMBALI_OPERATOR_TOKEN" "$KEMBALI_URL/v1/reports/summary?tenant=journey" |
        grep -o '"program":"Spend".*"cashback_rules"'
}

echo "== purchases alone"
load 1
echo "== purchases while Gold is removed"
spend
{
    sleep 1
    target/release/kembali apply --yes "$work/without-gold.toml"
    seconds=$(date +%s)
    while spend | grep -q to_be_placed; do sleep 0.1; done
    echo "everybody is placed after $(($(date +%s) - seconds)) s, in whole seconds"
} >"$work/sweep" 2>&1 &
sweep=$!
load 2
wait "$sweep"
cat "$work/sweep"
spend
