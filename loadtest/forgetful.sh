#!/bin/sh
# A server that forgets: from its third start on, its ledger is as it was at the second. For `loadtest recover --kembali loadtest/forgetful.sh`,
# which has to find that out. KEMBALI names the server that is started (target/release/kembali).
set -eu
if [ "$1" = serve ] && [ "$2" = --data-dir ]; then
    if [ -d "$3.before" ]; then
        rm -rf "$3"
        cp -a "$3.before" "$3"
    elif [ -d "$3" ]; then
        cp -a "$3" "$3.before"
    fi
fi
exec "${KEMBALI:-target/release/kembali}" "$@"
