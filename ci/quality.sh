#!/bin/bash
# Wave Field against a Transformer of the same size on the same tokens: the table of docs/benchmarks.md.
#
#   ci/quality.sh TEXT [FOLDER]     trains in FOLDER (default: build/quality) on the first 90 % of TEXT, a
#                                   file of about a megabyte; runs that are finished there are not repeated
#
# Characters, context 64, batch 12, 2,000 steps (1.5 million tokens), 0.84 million parameters each, three
# seeds. About two minutes a run on one core; JOBS runs at a time (default: one a core). Every run is one
# thread's, so its figures do not depend on JOBS.
set -eu
text=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=${2:-build/quality}
program=${WAVEFIELD:-build/wavefield}
seeds=(1 2 3)

# Shared by all: the shape of the problem.
size=(vocab_size=65 embedding_dim=128 num_layers=4 num_heads=4 max_seq_len=64 dropout=0 tokenizer=char)
steps=(--steps 2000 --warmup 100 --batch-size 12 --held-out 0.1 --eval-every 500 --save-every 0)

# The models: NAME PRESET RATE KEY=VALUE …, each at the peak rate that is best for it of 1e-3, 2e-3, 4e-3.
models=(
    "v3.5 v3.5-6m 4e-3 ffn_dim=342 field_size=127 interference_interval=2 residual_scale=true"
    "v4 demo 2e-3 ffn_dim=320 field_size=64 interference_interval=2"
    "transformer demo 2e-3 ffn_dim=552 mixer=attention interference_interval=0"
    "hybrid demo 2e-3 ffn_dim=352 field_size=64 interference_interval=2 mixer=wave,wave,attention,wave"
)

# one SEED NAME PRESET RATE KEY=VALUE …
one() {
    local seed=$1 name=$2 preset=$3 rate=$4 run=$folder/$2-$1
    shift 4
    [ -s "$run/model.safetensors" ] && return
    rm -rf "$run"
    mkdir -p "$run"
    OMP_NUM_THREADS=1 "$program" train --device cpu --config "$preset" --set "${size[@]}" "$@" \
        --data "$text" --out "$run" --seed "$seed" "${steps[@]}" \
        --learning-rate "$rate" --min-learning-rate "${rate%e*}e-4" >"$run/log" 2>&1 ||
        { cat "$run/log" >&2; return 1; }
}

mkdir -p "$folder"
for model in "${models[@]}"; do
    for seed in "${seeds[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n; done
        # shellcheck disable=SC2086
        one "$seed" $model &
    done
done
wait

python3 - "$folder" "${models[@]}" <<'END'
import json, statistics, sys

folder, models = sys.argv[1], [line.split() for line in sys.argv[2:]]
print("| model | rate | held-out loss, each seed | mean | spread | accuracy | bits per byte | tokens/s, one core |")
print("|---|---|---|---|---|---|---|---|")
for name, _, rate, *_ in models:
    last, speed = [], []
    for seed in (1, 2, 3):
        with open(f"{folder}/{name}-{seed}/metrics.jsonl") as lines:
            records = [json.loads(line) for line in lines]
        last.append([r for r in records if "held_out_loss" in r][-1])
        speed += [r["tokens"] / r["seconds"] for r in records if "loss" in r]
    loss = [e["held_out_loss"] for e in last]
    mean = lambda key: statistics.mean(e["held_out_" + key] for e in last)
    print(f"| {name} | {rate} | {', '.join(f'{x:.4f}' for x in loss)} | **{mean('loss'):.4f}** | "
          f"{max(loss) - min(loss):.4f} | {100 * mean('accuracy'):.2f} % | {mean('bits_per_byte'):.3f} | "
          f"{statistics.median(speed):,.0f} |")
END
