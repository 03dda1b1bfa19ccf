#!/bin/bash
# Runs every kernel in a simulator of OpenCL that sees data races, accesses outside of buffers, barriers
# that some threads miss, and wrong calls of OpenCL: small cases of the check under oclgrind (package
# oclgrind). Fails for any of these in a kernel or call of ours, for a wrong result, and for a kernel that
# no case launches.
#
#   ci/oclgrind.sh           all cases below, some three and a half minutes of processor time
#   ci/oclgrind.sh --quick   without attention and its kernels, which take most of them; a test of ctest
#   ci/oclgrind.sh CASE …    only these (wavefield check lists them), whatever kernels they leave out
#
# VkFFT's kernels are not ours: what is said of them is counted, and not judged. --uninitialized is left out:
# oclgrind 21.10 then reports even `add`, and changes results; the check itself runs in memory full of NaN.
set -u
cd "$(dirname "$0")/.." || exit 1

export WAVEFIELD_PRODUCTS=own # CLBlast's kernels are not ours either
build=${WAVEFIELD_BUILD:-build}
simulator=/usr/lib/oclgrind/liboclgrind-rt-icd.so
program=$build/tests/kernels_launched

# Every kernel once, in sizes beyond one group where there is such a case; products in every tile.
cases=(
    "fill 1031" "f16 fill 1031" "copy 5x67 accumulate" "f16 copy 5x67 accumulate" "add 5x67 accumulate"
    "column_sum 3x67x129" "square_sum 10007" "adamw 1009x5"
    "layernorm_backward 19x67 accumulate" "key_norm 7x257" "key_norm_backward 7x257"
    "gelu 11x91 wide" "gelu_backward 11x91 wide" "gate 11x91 wide" "gate_backward 11x91 wide"
    "feature 11x91 wide" "feature_backward 11x91 wide" "dropout 7x13 accumulate"
    "embed 3x11x29x17" "embed_backward 2x131x65x257"
    "first_token 2x1x261 accumulate" "first_token_backward 3x7x13"
    "product 21x43x130x1 At accumulate" "product 4x5x4100x1 Bt accumulate"
    "tiles product 20x24x12x4 sum" "tiles product 19x23x11x4 sum" "head_loss 7x13x31"
    "causal_mean 3x131x17" "causal_mean_backward 2x19x5 accumulate"
    "couple_backward 2x13x3x5" "cosine 67x64 accumulate" "cosine_backward 67x64 accumulate"
    "interfere 67x19 accumulate" "interfere_backward 29x131"
    "field_recall 2x5x3x7x97x65" "field_stream 3x1x3x5x97x65" "field_kernel 1x2x97 dc"
    "field_backward 2x65x2x4x97x65 scan" "field_backward 2x13x2x3x26x13 direct gated"
    "field_backward 1x50x2x3x97x97 fft v3.5"
    "attention_stream 3x1x2x5x131" "attention_stream 1x1x2x127x515"
)
slow=(
    "attention_backward 1x67x2x64" "attention_backward 1x70x1x259" "attention_backward 2x13x3x5"
    "attention_stream 2x3x3x64x1031"
)
slow_kernels=(
    attention_along attention_{32,64,128} attention_gradient_{32,64,128} attention_few_64
)
# Kernels that no case launches: copies between storage types, which only whole models make; an element a
# thread, as copy. And products with a follower, in whose choice of one clang makes integers of three bytes,
# which oclgrind 21.10 cannot load; but for that last step they are the products that run here.
exceptions=(
    copy_stored narrow widen
    product_{16x64,64x16,64x64,64x128,128x64,128x128}{,_wide}_then
    product_sum_then product_few_then
)
case ${1:-} in
'') cases+=("${slow[@]}") ;;
--quick) exceptions+=("${slow_kernels[@]}") ;;
*) cases=("$@") exceptions=(any) ;;
esac

[ -e $simulator ] || { echo "skipped: no $simulator (package oclgrind)"; exit 77; }
[ -x "$program" ] || { echo "skipped: no $program (a build with OpenCL)"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
echo $simulator >"$work/oclgrind.icd"

# Both streams into one file: what it says of a kernel's memory goes to the log, of calls to the other.
status=0
OCL_ICD_VENDORS=$work/oclgrind.icd WAVEFIELD_CACHE=off OMP_NUM_THREADS=1 \
    OCLGRIND_COMPUTE_UNITS=16 OCLGRIND_DATA_RACES=1 OCLGRIND_CHECK_API=1 OCLGRIND_LOG=$work/log \
    "$program" "${cases[@]}" -- "${exceptions[@]}" >"$work/out" 2>"$work/calls" || status=$?
cat "$work/out"

# Reports are paragraphs; those of a kernel name it.
awk -v RS= '
    /Kernel: +VkFFT/ { theirs++; next }
    { if (++ours <= 5) print $0 "\n" }
    END {
        if (ours) print ours " reports of oclgrind on kernels or calls of ours"
        if (theirs) print theirs " reports of oclgrind on kernels of VkFFT"
        exit ours > 0
    }' "$work/log" "$work/calls" || status=1
[ $status -eq 0 ] && echo "oclgrind: nothing wrong in ${#cases[@]} cases, after $SECONDS s"
exit $status
