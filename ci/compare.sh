#!/bin/bash
# Devices against the CPU: the table of docs/devices.md.
#
#   ci/compare.sh TEXT [DEVICE …]   trains in build/compare on the first 50,000 bytes of TEXT
#
# A DEVICE is a name wavefield devices lists, or a driver that computes on the CPU: lavapipe, swiftshader,
# pocl, rusticl (default: those that are here). The demo model, 50 steps of 1 x 64 tokens, on the CPU and on
# each device; then the model the CPU trained continues a prompt on each, drawing by one seed.
set -eu
text=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
folder=${COMPARE_FOLDER:-build/compare}
program=${WAVEFIELD:-build/wavefield}

# The manifest by which a loader finds a driver; nothing where it is not here.
manifest() {
    case $1 in
    lavapipe) ls /usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 ;;
    swiftshader) dpkg -L chromium chromium-common 2>/dev/null | grep /vk_swiftshader_icd.json || true ;;
    pocl | rusticl) ls /etc/OpenCL/vendors/"$1".icd 2>/dev/null || true ;;
    esac
}

# on DEVICE COMMAND …: with --device and what its driver needs.
on() {
    local device=$1
    shift
    case $device in
    lavapipe | swiftshader) VK_DRIVER_FILES=$(manifest "$device") "$@" --device vulkan ;;
    pocl | rusticl)
        OCL_ICD_VENDORS=$(manifest "$device") RUSTICL_ENABLE=llvmpipe "$@" --device opencl ;;
    *) "$@" --device "$device" ;;
    esac
}

[ $# -gt 0 ] || for driver in lavapipe swiftshader pocl rusticl; do
    [ -z "$(manifest "$driver")" ] || set -- "$@" "$driver"
done

mkdir -p "$folder"
head -c 50000 "$text" >"$folder/text.txt"
for device in cpu "$@"; do
    out=$folder/$device
    rm -rf "$out"
    mkdir -p "$out"
    on "$device" "$program" train --config demo --data "$folder/text.txt" --out "$out" --steps 50 \
        --batch-size 1 --sequence-length 64 --held-out 0.02 --save-every 0 >"$out/log" 2>&1 ||
        { tail -n 3 "$out/log" >&2; exit 1; }
    on "$device" "$program" generate --model "$folder/cpu" --prompt The --seed 1 \
        --max-tokens 100 >"$out/generated.txt" 2>>"$out/log" || { tail -n 3 "$out/log" >&2; exit 1; }
done

python3 - "$folder" "$@" <<'END'
import json, os, sys

folder, devices = sys.argv[1], sys.argv[2:]

def read(device):
    lines = [json.loads(line) for line in open(f"{folder}/{device}/metrics.jsonl")]
    steps = [line for line in lines if "loss" in line]
    held_out = [line["held_out_loss"] for line in lines if "held_out_loss" in line]
    assert len(steps) == 50, f"{device}: {len(steps)} steps"
    text = open(f"{folder}/{device}/generated.txt", encoding="utf-8", errors="replace").read()
    return [line["loss"] for line in steps], held_out[-1], text

def same(a, b):
    n = len(os.path.commonprefix([a, b]))
    return "the CPU's" if a == b else f"differs from character {n}"

expected, expected_held_out, expected_text = read("cpu")
worst = 0
print("| device | loss, first step | last step | largest difference of a step | of the held-out loss | text |")
print("|---|---|---|---|---|---|")
print(f"| CPU | {expected[0]:.5f} | {expected[-1]:.5f} | | | |")
for device in devices:
    losses, held_out, text = read(device)
    off = [abs(a - b) / b for a, b in zip(losses, expected)]
    held_off = abs(held_out - expected_held_out) / expected_held_out
    worst = max(worst, *off)
    print(f"| {device} | {losses[0]:.5f} | {losses[-1]:.5f} | {max(off):.1e}, step {off.index(max(off)) + 1} "
          f"| {held_off:.1e} | {same(text, expected_text)} |")
sys.exit(f"a loss is off by {worst:.1e}, more than 1e-3" if worst > 1e-3 else 0)
END
