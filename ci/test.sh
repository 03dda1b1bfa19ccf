#!/bin/bash
# Installs what is missing, builds, runs every test, then the CPU tests again under sanitizers, fuzzes
# every reader for a minute, and checks the formatting. Ends with a summary; the exit status says
# whether all of it passed.
#
#   ci/test.sh            everything; FUZZ_SECONDS (60) for each fuzz target
#   ci/test.sh --quick    without the builds under sanitizers and without cooperative matrices
set -u
cd "$(dirname "$0")/.."

build=${WAVEFIELD_BUILD:-build}
jobs=$(nproc)
quick=
[ "${1:-}" = --quick ] && quick=1
summary=()
failed=0

# step NAME COMMAND…: runs it and notes how it went and how long it took.
step() {
    local name=$1 start=$SECONDS status=0
    shift
    printf '\n==== %s\n' "$name"
    "$@" || status=$?
    if [ $status -eq 0 ]; then
        summary+=("ok    $name ($((SECONDS - start)) s)")
    else
        summary+=("FAIL  $name ($((SECONDS - start)) s, exit status $status)")
        failed=1
    fi
    return $status
}

finish() {
    printf '\n==== summary\n'
    printf '%s\n' "${summary[@]}"
    [ $failed -eq 0 ] && echo "all passed in $SECONDS s" || echo "FAILED after $SECONDS s"
    exit $failed
}

configure_and_build() {
    local folder=$1
    shift
    cmake -S . -B "$folder" -DWAVEFIELD_WERROR=ON "$@" && cmake --build "$folder" -j "$jobs"
}

# Waiting threads sleep, because several tests share the cores.
run_tests() {
    local folder=$1
    shift
    OMP_WAIT_POLICY=passive ctest --test-dir "$folder" --output-on-failure -j "$jobs" --timeout 600 \
        "$@"
}

# As where no GLSL compiler knows them.
build_without_matrices() {
    cmake -S . -B "$build-plain" -DWAVEFIELD_WERROR=ON -DWAVEFIELD_MATRIX_COMPILER=OFF \
        -DWAVEFIELD_OPENCL=OFF -DWAVEFIELD_CUDA=OFF -DWAVEFIELD_EXAMPLES=OFF &&
        cmake --build "$build-plain" -j "$jobs" --target test_vulkan_matrix
}

# Leaks inside drivers and the OpenMP runtime are not ours: those backends are off here.
run_sanitized() {
    ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
        run_tests "$1"
}

check_format() {
    local files
    files=$(git ls-files '*.c' '*.h' | grep -v '^shaders/') # those are not C
    # shellcheck disable=SC2086
    clang-format --dry-run -Werror $files
}

step "install what is missing" sh ci/setup.sh || finish
step "build, warnings are errors" configure_and_build "$build" || finish
step "tests" run_tests "$build"
if [ -z "$quick" ]; then
    step "build with ASan and UBSan" configure_and_build "$build-sanitize" \
        -DWAVEFIELD_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DWAVEFIELD_VULKAN=OFF -DWAVEFIELD_OPENCL=OFF -DWAVEFIELD_CUDA=OFF \
        -DWAVEFIELD_EXAMPLES=OFF &&
        step "tests with ASan and UBSan" run_sanitized "$build-sanitize"
    step "build without cooperative matrices" build_without_matrices &&
        step "test without cooperative matrices" run_tests "$build-plain" -R vulkan_matrix
    step "fuzzing" ci/fuzz.sh --fresh "${FUZZ_SECONDS:-60}"
fi
step "formatting" check_format
finish
