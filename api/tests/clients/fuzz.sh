#!/usr/bin/env bash
# Asks every route of the API for nonsense and for what its own description allows, as everybody who may call: no answer may be a
# server error, and each must be as described. EXAMPLES says how much of it (1 by default); KEMBALI is the program.
#
# Needs python3 with venv. schemathesis comes from the package registry, of one version, into a folder that is removed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

program=$(realpath "${KEMBALI:-$here/../../../target/release/kembali}")
dir=$(mktemp -d)
cd "$dir"
token=operator-token-of-the-fuzzer
cleanup() {
    # By its id: nothing else is stopped.
    [[ -n ${server:-} ]] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet 'schemathesis==4.32.5'

: >"$dir/log"
"$program" serve --listen 127.0.0.1:0 --data-dir "$dir/data" --operator-token "$token" --registration journey \
    --secrets-key "$(printf '5a%.0s' {1..32})" 2>"$dir/log" &
server=$!
for _ in {1..100}; do
    url=$(sed -n 's/.*listening on //p' "$dir/log")
    [[ -n $url ]] && break
    sleep 0.1
done
[[ -n $url ]] || { cat "$dir/log" >&2; exit 1; }
"$program" apply "$here/../../demo/journey.toml" --yes --url "$url" --operator-token "$token" >/dev/null

post() {
    curl -sS --fail-with-body -X POST "$url$1" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d "$2"
}
account() {
    post '/v1/accounts?tenant=journey' "{\"username\":\"$1\",\"password\":\"a long password\",\"role\":\"$1\"}" >/dev/null
}
token_of() {
    post /v1/auth/login "{\"tenant\":\"journey\",\"username\":\"$1\",\"password\":\"a long password\"}" |
        sed 's/.*"access_token":"\([^"]*\)".*/\1/'
}
account operator
account admin
post /v1/auth/register '{"tenant":"journey","username":"ann@example.com","password":"a long password"}' >/dev/null

fuzz() {
    local who=$1
    shift
    echo "as $who"
    # Logging out would end the session that the rest is asked with.
    PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS=fuzz_hooks PYTHONPATH="$here" "$dir/venv/bin/schemathesis" run "$url/openapi.json" "$@" \
        --exclude-path /v1/stream --exclude-path /v1/purchases/stream --exclude-path /v1/auth/logout \
        --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-1}" --no-color \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance |
        tail -n 40
}
fuzz partner -H 'X-Api-Key: grocer-demo-key'
for who in ann@example.com operator admin; do
    fuzz "$who" -H "Authorization: Bearer $(token_of "$who")"
done
fuzz "whoever set the server up" -H "Authorization: Bearer $token"
