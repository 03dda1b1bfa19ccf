#!/bin/bash
# Checks and measures every graphics card here, unattended: for each backend with a card (CUDA, Vulkan,
# OpenCL) the check with training, every case timed, and the figures of `wavefield bench` with v4-130m and
# v4-825m. The backends' times stand side by side first. Ends within 8 minutes, whatever hangs, and needs no
# network; the tables side by side need python3.
#
#   ci/gpu.sh [FOLDER]           writes FOLDER/gpu.json and FOLDER/gpu.md (default: $OUT, else build/gpu)
#   ci/gpu.sh --quick [FOLDER]   small sizes, and software drivers too: for trying this script
#
# A part that fails or takes too long is said to have, and the others go on; the exit status is then 1.
set -u
cd "$(dirname "$0")/.." || exit 1

quick=
[ "${1:-}" = --quick ] && quick=1 && shift
build=${WAVEFIELD_BUILD:-build}
folder=${1:-${OUT:-$build/gpu}}
program=$build/wavefield
deadline=470 # seconds, of all
date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
failed=0
first=1

mkdir -p "$folder" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

if [ ! -x "$program" ]; then
    echo "Building $program"
    { cmake -S . -B "$build" -DWAVEFIELD_EXAMPLES=OFF &&
        cmake --build "$build" -j "$(nproc)" --target wavefield_cli; } >"$work/build" 2>&1 ||
        { tail -n 30 "$work/build" >&2; exit 1; }
    SECONDS=0 # what is measured has the time to itself
fi

# A line as the inside of a JSON string, and of a cell of a table.
json_text() { tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g'; }
cell() { tr -d '\000-\037' | tr '|' '/'; }

# part BACKEND NAME SECONDS COMMAND…: runs `wavefield COMMAND…`, at most so long, and notes how it went.
# Each part still to come is left 20 seconds.
part() {
    local backend=$1 name=$2 limit=$3 start=$SECONDS status=0 left how
    shift 3
    to_come=$((to_come - 1))
    left=$((deadline - SECONDS - 20 * to_come))
    [ "$left" -lt "$limit" ] && limit=$left
    rm -f "$work/result.json"
    : >"$work/out"
    echo "$backend: $name"
    if [ "$limit" -lt 5 ]; then
        status=124
    else
        timeout -k 5 "$limit" "$program" "$@" --device "$backend" --json "$work/result.json" \
            >"$work/out" 2>"$work/err" || status=$?
    fi
    case $status in
    0) how=ok ;;
    124 | 137) how="FAILED: no time left after $((SECONDS - start)) s" ;;
    *) how="FAILED: exit status $status, $(tail -n 1 "$work/err" | cell)" ;;
    esac
    [ $status -eq 0 ] || failed=1
    echo "  $how ($((SECONDS - start)) s)"

    printf '| %s | %s | %s | %d |\n' "$backend" "$name" "$how" $((SECONDS - start)) >>"$work/parts"
    if grep -q '^|' "$work/out"; then
        { printf '\n## %s: %s\n\n' "$backend" "$name" && grep '^|' "$work/out"; } >>"$work/tables"
    fi
    {
        [ -n "$first" ] || echo ,
        printf '{"backend": "%s", "part": "%s", "outcome": "%s", "seconds": %d, "result": ' \
            "$backend" "$name" "$(echo "$how" | json_text)" $((SECONDS - start))
        cat "$work/result.json" 2>/dev/null || printf null
        printf '}'
    } >>"$work/json"
    first=
}

# The backend's devices, those of software drivers only where they are wanted.
has_device() {
    "$program" devices 2>/dev/null | grep "^$1:" | { [ -n "$quick" ] && cat || grep -v ' software '; } |
        grep -q .
}

: >"$work/json"
: >"$work/parts"
: >"$work/tables"
backends=
for backend in cuda vulkan opencl; do
    if has_device $backend; then
        backends="$backends $backend"
    else
        printf '| %s | | no card | |\n' $backend >>"$work/parts"
    fi
done

# What matters most comes first, should the time run out.
to_come=$(($(echo "$backends" | wc -w) * $([ -n "$quick" ] && echo 2 || echo 3)))
for backend in $backends; do
    if [ -n "$quick" ]; then
        part "$backend" "check of layernorm" 120 check --train --bench --op layernorm
    else
        part "$backend" check 120 check --train --bench
    fi
done
for backend in $backends; do
    if [ -n "$quick" ]; then
        part "$backend" "bench, demo" 120 bench --quick --preset demo
    else
        part "$backend" "bench, v4-130m" 90 bench --preset v4-130m
    fi
done
for backend in $backends; do
    [ -n "$quick" ] || part "$backend" "bench, v4-825m" 90 bench --preset v4-825m --figure model
done

{
    printf '{"date": "%s", "quick": %s, "seconds": %d, "parts": [\n' "$date" \
        "$([ -n "$quick" ] && echo true || echo false)" $SECONDS
    cat "$work/json"
    printf '\n]}\n'
} >"$folder/gpu.json"

# The backends side by side, from the file just written: tokens a second, then times, those first in which
# the second backend is slowest against the first.
side_by_side() {
    python3 - "$folder/gpu.json" <<'END'
import json, sys

parts = [part for part in json.load(open(sys.argv[1]))["parts"] if part["result"]]
names = {"cuda": "CUDA", "vulkan": "Vulkan", "opencl": "OpenCL"}
backends = [b for b in names if any(part["backend"] == b for part in parts)]
speeds, figures, cases = {}, {}, {}  # of what: {backend: tokens a second, or seconds}

def note(table, what, backend, value):
    if value:
        table.setdefault(what, {})[backend] = value

for part in parts:
    backend = part["backend"]
    for rate in part["result"].get("rates", []):
        if rate.get("unit") == "tokens/s":
            note(speeds, (rate["figure"], rate["of"]), backend, rate.get("per_second"))
        else:
            note(figures, f'{rate["figure"]}: {rate["of"]}', backend, rate.get("seconds"))
    for case in part["result"].get("cases", []):
        note(cases, case["case"], backend, case.get("seconds"))

def head(*first):
    print("| " + " | ".join(first) + " |\n|" + "---|" * len(first))

def ratio(values, top, bottom):
    return values[top] / values[bottom] if top in values and bottom in values else None

def times(title, table):
    if not table or not backends:
        return
    over = [b for b in backends[1:]]  # each against the first
    print(f"\n## {title}\n")
    head("op", *(names[b] + " ms" for b in backends), *(f"{names[b]}/{names[backends[0]]}" for b in over))
    first = lambda values: ratio(values, over[0], backends[0]) if over else None
    for what, values in sorted(table.items(), key=lambda item: -(first(item[1]) or 0)):
        cells = [f"{1e3 * values[b]:.4f}" if b in values else "" for b in backends]
        ratios = [ratio(values, b, backends[0]) for b in over]
        print("| " + " | ".join([what, *cells, *(f"{r:.2f}" if r else "" for r in ratios)]) + " |")

def longest():  # of each op the case that takes longest
    ops = {}
    for name, values in cases.items():
        op = name.split()[0]
        if op not in ops or max(values.values()) > max(ops[op][1].values()):
            ops[op] = (name, values)
    return dict(ops.values())

if speeds:
    print("\n## Tokens a second\n")
    head("figure", "of", *(names[b] for b in backends))
    for (figure, of), values in speeds.items():
        print(f"| {figure} | {of} | " + " | ".join(f"{values[b]:,.0f}" if b in values else "" for b in backends) + " |")
times("Times of large ops", figures)
times("Times of the check's ops: of each the longest case", longest())
END
}

devices=$("$program" devices 2>&1 | grep '^[a-z]*:[0-9]')
{
    printf '# Graphics cards, %s\n\n' "$date"
    [ -z "$quick" ] || printf 'Small sizes, software drivers too: a trial of the script, no measurement.\n\n'
    printf '```\n%s\n```\n\n' "$devices"
    printf '| backend | part | outcome | seconds |\n|---|---|---|---|\n'
    cat "$work/parts"
    side_by_side || { failed=1; echo "the tables side by side FAILED"; }
    cat "$work/tables"
} >"$folder/gpu.md"
echo "$folder/gpu.md and $folder/gpu.json, after $SECONDS s"
[ -n "$first" ] && echo "no graphics card was found" && exit 1
exit $failed
