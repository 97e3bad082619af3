#!/usr/bin/env bash
# Looks for bytes that break a reader, guided by what they reach: each target (all of them, or those that are named) for EACH seconds
# (20 by default), beginning with what a person wrote (seeds/) and what was found before (corpus/). With KEEP=1 what is found goes
# to corpus/ as well, the least that reaches everything. What breaks one is left in artifacts/, and the script fails.
#
# Needs a C++ compiler. cargo-fuzz comes from the package registry, of one version, into the folder of builds.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

version=0.13.2
tools=$root/target/tools
"$tools/bin/cargo-fuzz" --version 2>/dev/null | grep -qF "$version" ||
    cargo install cargo-fuzz --version "$version" --locked --root "$tools" --quiet
# Linking over the borders of crates takes long, and helps no fuzzer.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0
# A ledger in memory is synced at once, where there is room for one. Everything that a run writes is in one folder.
room=$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1 || true)
work=$(mktemp -d -p "$( ((${room:-0} > 2000)) && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$work"' EXIT

built=$root/target/$(rustc -vV | sed -n 's/^host: //p')/release

fuzz() {
    # A client that has left is an error to whoever writes to it, and no signal: a fuzzer does not run the start of a Rust program,
    # which sees to that.
    (trap '' PIPE && TMPDIR=$work "$built/$target" -artifact_prefix="artifacts/$target/" -rss_limit_mb=4096 "$@")
}

targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cd fuzz_targets && basename -s .rs -- *.rs)
# A sanitizer would take a nightly compiler, and there is no unsafe code here for it to watch.
"$tools/bin/cargo-fuzz" build --fuzz-dir . --sanitizer none
for target in "${targets[@]}"; do
    mkdir -p "$work/corpus/$target" "artifacts/$target"
    if [[ -f corpus/$target.tar.gz ]]; then tar -xzf "corpus/$target.tar.gz" -C "$work/corpus/$target"; fi
    if [[ -d seeds/$target ]]; then cp "seeds/$target"/* "$work/corpus/$target"; fi
    log=$work/$target.log
    fuzz -dict=edges.dict -max_total_time="${EACH:-20}" "$work/corpus/$target" >"$log" 2>&1 || { tail -n 60 "$log"; exit 1; }
    echo "$target: $(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) .*/\1 inputs in \2 s/p' "$log")," \
        "$(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -n 1)"
    if [[ ${KEEP:-} == 1 ]]; then
        mkdir -p "$work/kept/$target" corpus
        fuzz -merge=1 "$work/kept/$target" "$work/corpus/$target" >"$log" 2>&1 || { tail -n 20 "$log"; exit 1; }
        tar -C "$work/kept/$target" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - . | gzip -9n >"$work/packed"
        mv "$work/packed" "corpus/$target.tar.gz"
    fi
done
