#!/bin/bash
# From nothing to generated text: installs what is missing, builds, trains the demo model on the King
# James Bible, and generates from it. Within 5 minutes on 2 cores once everything is installed.
#
#   ci/demo.sh [further options of wavefield train]
set -eu
cd "$(dirname "$0")/.."

# What reaches the lowest held-out loss in about three minutes on 2 cores.
demo_options=(--batch-size 4 --steps 2200 --eval-every 550 --log-every 110 --held-out 0.02)

build=${WAVEFIELD_BUILD:-build}
text=$build/king-james.txt
model=$build/demo-model
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# quietly COMMAND…: its output is shown only where it fails.
quietly() {
    "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; exit 1; }
}

sh ci/setup.sh
start=$SECONDS

echo "Building in $build"
quietly cmake -S . -B "$build"
quietly cmake --build "$build" -j "$(nproc)" --target wavefield_cli
[ -s "$text" ] || bible -l 200 -f gen1:1-rev22:21 >"$text"

echo "Training on $text ($(wc -c <"$text") bytes)"
rm -rf "$model"
"$build/wavefield" train --config demo --data "$text" --out "$model" "${demo_options[@]}" "$@"

for prompt in "In the beginning" "And Jesus said unto them," "The king"; do
    echo
    "$build/wavefield" generate --model "$model" --prompt "$prompt" --max-tokens 200
done
echo
echo "Done in $((SECONDS - start)) s. More: $build/wavefield generate --model $model --prompt TEXT"
