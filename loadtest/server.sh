# Servers for the scripts of this folder, each with a ledger of its own; for `.`, in the top folder. PORT may be set.
#
# Gives `start`, `serve`, `stop`, `kill_server` and `fail_and_keep`, and $work, a temporary directory that is gone at the end. $server is the process that runs.
port=${PORT:-8080}
export KEMBALI_URL="http://127.0.0.1:$port" KEMBALI_OPERATOR_TOKEN=loadtest-operator-token
work=$(mktemp -d)
server=
stop() {
    # It may have ended by itself.
    [ -z "$server" ] || { kill "$server" || true; wait "$server" || true; }
    server=
    rm -rf "$work/data"
}
trap 'stop; rm -r "$work"' EXIT

# Starts a server on the ledger that there is.
serve() {
    target/release/kembali serve --listen "127.0.0.1:$port" --data-dir "$work/data" 2>"$work/log" &
    server=$!
    until curl -sf "$KEMBALI_URL/readyz" >"$work/ready"; do
        kill -0 "$server" || { cat "$work/log" >&2; exit 1; }
        sleep 0.2
    done
}

# Starts a server on a new ledger, with the rules of a file or those of the Journey programme.
start() {
    serve
    target/release/kembali apply --yes "${1:-api/demo/journey.toml}" >"$work/applied"
}

# Kills the server at once.
kill_server() {
    kill -KILL "$server"
    wait "$server" 2>"$work/killed" || true
}

# Ends with what is wrong, and keeps the ledger and what its server said.
fail_and_keep() {
    kill "$server" || true
    trap - EXIT
    echo "$1; what there is is kept in $work" >&2
    exit 1
}
