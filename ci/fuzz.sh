#!/bin/bash
# Feeds mutated files to everything that reads one (docs/robustness.md), two targets at a time.
#
#   ci/fuzz.sh [SECONDS] [TARGET…]          all targets, 600 s each; the corpus found so far is kept in
#                                           the build folder, gone on from, and minimised at the end
#   ci/fuzz.sh --fresh [SECONDS] [TARGET…]  from the seeds alone
#
# A finding ends its target and is kept in the build folder; the exit status says whether there was one.
set -u
cd "$(dirname "$0")/.." || exit

build=${WAVEFIELD_BUILD:-build}-fuzz
fresh=
[ "${1:-}" = --fresh ] && fresh=1 && shift
seconds=600
case ${1:-} in [0-9]*) seconds=$1 && shift ;; esac

# No good input needs more than this; a small file that makes the library ask for more is a finding.
limits=(-max_len=16384 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256)

configure() {
    CC=$CC CXX=${CXX:-${CC/clang/clang++}} cmake -S . -B "$build" -DWAVEFIELD_FUZZ=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DWAVEFIELD_VULKAN=OFF -DWAVEFIELD_OPENCL=OFF -DWAVEFIELD_CUDA=OFF \
        -DWAVEFIELD_OPENMP=OFF -DWAVEFIELD_EXAMPLES=OFF -DWAVEFIELD_WERROR=OFF
}

# quietly COMMAND…: its output is shown only where it fails, which ends the script.
quietly() {
    "$@" >"$build/log/build" 2>&1 || { tail -n 30 "$build/log/build"; exit 1; }
}

# fuzz TARGET: runs it on its corpus; a summary on success, the report on a finding.
fuzz() {
    local target=$1 corpus=$build/corpus/$1 log=$build/log/$1 folder seed status=0
    [ -z "$fresh" ] || rm -rf "$corpus"
    mkdir -p "$corpus" "$build/findings"
    for folder in "$build/seeds" "$build/tests/fuzz/files" tests/fuzz/{taken,refused}; do
        for seed in "$folder/$target"/*; do
            [ -f "$seed" ] && cp "$seed" "$corpus/${folder##*/}-${seed##*/}"
        done
    done
    ASAN_OPTIONS=quarantine_size_mb=32 OMP_NUM_THREADS=1 TMPDIR=$scratch \
        "$build/tests/fuzz/$target" "${limits[@]}" -dict="tests/fuzz/$target.dict" \
        -max_total_time="$seconds" -artifact_prefix="$build/findings/$target-" \
        "$corpus" >"$log" 2>&1 || status=$?
    if [ $status -ne 0 ]; then
        tail -n 60 "$log"
        echo "$target: FOUND something, all of it in $log; to see it again:"
        sed -n "s|.*Test unit written to |    $build/tests/fuzz/$target |p" "$log"
        return 1
    fi
    echo "$target: $(grep -a 'DONE' "$log" | sed 's/ *DONE */ inputs, /; s/ *lim:.*//; s/^#//')"
    [ -n "$fresh" ] || minimise "$target" "$corpus"
}

# Keeps of the corpus what its coverage needs.
minimise() {
    rm -rf "$2.least" && mkdir "$2.least"
    if TMPDIR=$scratch "$build/tests/fuzz/$1" "${limits[@]}" -merge=1 "$2.least" "$2" \
        >"$build/log/$1.merge" 2>&1; then
        rm -rf "$2" && mv "$2.least" "$2"
        echo "$1: corpus of $(find "$2" -type f | wc -l) inputs in $2"
    else
        echo "$1: the corpus could not be minimised, see $build/log/$1.merge"
    fi
}

CC=${CC:-clang}
mkdir -p "$build/log"
quietly configure
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets <"$build/tests/fuzz/targets"
quietly cmake --build "$build" -j "$(nproc)" --target make_seeds "${targets[@]}"
rm -rf "$build/seeds"
"$build/tests/fuzz/make_seeds" "$build/seeds" || exit

memory=/dev/shm
[ -w $memory ] || memory=${TMPDIR:-/tmp}
scratch=$(mktemp -d "$memory/wavefield-fuzz-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
failed=0
running=0
for target in "${targets[@]}"; do
    if [ $running -eq 2 ]; then
        wait -n || failed=1
        running=1
    fi
    fuzz "$target" &
    running=$((running + 1))
done
while [ $running -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit $failed
