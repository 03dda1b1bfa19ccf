#!/bin/sh
# What a user of an installed Wavefield does, one case a call:
#
#   check.sh CASE
#
# The environment, set by tests/install.cmake, names the install (PREFIX, and BIN, LIB, INCLUDE,
# DOC, MAN and DATA in it), what it comes from (BUILD, INTERNAL, ABI, REDUCED, MANUAL), where to
# work (WORK), this folder (SOURCE) and the tools (CMAKE, GENERATOR, CC, CXX, NM, PKG_CONFIG; CXX may
# be empty). FLAGS are for every compilation. Exit status 77 means skipped.
set -eu

die() {
    echo "$*" >&2
    exit 1
}
skip() {
    echo "skipped: $*"
    exit 77
}

# Expands a line of flags whose spaces are escaped, as pkg-config writes them, into a command.
with_flags() {
    line=$1
    shift
    command=
    for word; do command="$command '$word'"; done
    eval "$command $line"
}

# project NAME OPTION…: builds the project beside this script in a folder NAME and runs its tests.
project() {
    build="$WORK/$1"
    shift
    rm -rf "$build"
    "$CMAKE" -S "$SOURCE" -B "$build" -G "$GENERATOR" -DCMAKE_C_COMPILER="$CC" \
        -DCMAKE_C_FLAGS="$FLAGS" -DCMAKE_CXX_FLAGS="$FLAGS" \
        ${CXX:+-DCMAKE_CXX_COMPILER="$CXX"} -DCONSUMER_CXX="${CXX:+ON}" "$@"
    "$CMAKE" --build "$build" -j 2
    (cd "$build" && ctest --output-on-failure --no-tests=error)
}

# programs FLAGS: the C and the C++ program, built and run without CMake.
programs() {
    # shellcheck disable=SC2086
    with_flags "$1" "$CC" $FLAGS -std=c11 -Wall -Wextra -pedantic -Werror "$SOURCE/consumer.c" \
        -o "$WORK/plain c"
    "$WORK/plain c"
    [ -n "$CXX" ] || return 0
    # shellcheck disable=SC2086
    with_flags "$1" "$CXX" $FLAGS -std=c++17 -Wall -Wextra -pedantic -Werror \
        "$SOURCE/consumer.cc" -o "$WORK/plain c++"
    "$WORK/plain c++"
}

# Names that a library shows to a linker, without those of undefined symbols.
shown() {
    "$NM" --defined-only "$@" | awk 'NF == 3 && $2 != "U" { print $3 }' | sort -u
}
# only_wf FILE NAMES: all of them begin with wf_, and there are some.
only_wf() {
    echo "$2" | grep -q '^wf_model_create$' || die "$1 does not show wf_model_create"
    others=$(echo "$2" | grep -v '^wf_' || true)
    [ -z "$others" ] || die "$1 shows names that are not ours: $others"
}

WORK="$WORK/$1"
mkdir -p "$WORK"
case $1 in
cmake-shared)
    project "a build" -DCMAKE_PREFIX_PATH="$PREFIX" -DCONSUMER_LINK=wavefield::wavefield
    ;;
cmake-static)
    project "a build" -DCMAKE_PREFIX_PATH="$PREFIX" -DCONSUMER_LINK=wavefield::static
    ;;
cmake-alone) # without the archive, and the development files of the libraries that Wavefield links
    rm -rf "$WORK/prefix"
    cp -R "$PREFIX" "$WORK/prefix"
    rm "$WORK/prefix/${LIB#"$PREFIX"/}/libwavefield.a"
    PREFIX="$WORK/prefix"
    export PKG_CONFIG_LIBDIR=/nonexistent PKG_CONFIG_PATH=
    project "shared only" -DCMAKE_PREFIX_PATH="$PREFIX" -DCONSUMER_LINK=wavefield::wavefield
    if project "static too" -DCMAKE_PREFIX_PATH="$PREFIX" -DCONSUMER_LINK=wavefield::static \
        >"$WORK/log" 2>&1; then
        die "the component static was found without libwavefield.a and jansson"
    fi
    tr -s ' \n' ' ' <"$WORK/log" |
        grep -q "static link of Wavefield needs.* libwavefield.a, .*jansson" ||
        { cat "$WORK/log"; die "the message does not name libwavefield.a and jansson"; }
    ;;
subproject) # without the variants of the CPU backend, which would take most of the time
    project "a build" -DWAVEFIELD_SOURCE="$SOURCE/../.." -DCONSUMER_LINK=wavefield::static \
        -DWAVEFIELD_VULKAN=OFF -DWAVEFIELD_OPENCL=OFF -DWAVEFIELD_CUDA=OFF \
        -DWAVEFIELD_X86_64_V3=OFF -DWAVEFIELD_X86_64_V4=OFF
    "$CMAKE" --install "$build" --prefix "$WORK/nothing"
    [ ! -e "$WORK/nothing" ] || die "a subproject installs its own files with its parent's"
    ;;
pkg-config)
    export PKG_CONFIG_PATH="$LIB/pkgconfig" LD_LIBRARY_PATH="$LIB"
    programs "$("$PKG_CONFIG" --cflags --libs wavefield)"
    ;;
pkg-config-static) # in a copy of the install without the shared library, which would be preferred
    rm -rf "$WORK/static only"
    cp -R "$PREFIX" "$WORK/static only"
    lib="$WORK/static only/${LIB#"$PREFIX"/}"
    rm "$lib"/libwavefield.so*
    export PKG_CONFIG_PATH="$lib/pkgconfig"
    programs "$("$PKG_CONFIG" --static --cflags --libs wavefield)"
    ;;
headers)
    for header in "$INCLUDE"/wavefield/*.h; do
        "$CC" -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -I "$INCLUDE" -x c "$header"
        [ -z "$CXX" ] || "$CXX" -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only \
            -I "$INCLUDE" -x c++ "$header"
    done
    # The calls of a program that warns of as much as it can, by every compiler there is, with the
    # headers as its own and as the system's.
    for compiler in "$CC" gcc clang; do
        command -v "$compiler" >/dev/null || continue
        for include in -I -isystem; do
            "$compiler" -std=c11 -pedantic -Wall -Wextra -Wshadow -Wconversion -Werror \
                -fsyntax-only "$include" "$INCLUDE" "$SOURCE/params.c"
        done
    done
    ;;
symbols-shared)
    only_wf libwavefield.so "$(shown -D "$LIB/libwavefield.so")"
    ;;
symbols-static)
    [ "$REDUCED" = TRUE ] || skip "this build's libwavefield.a is the plain one"
    only_wf libwavefield.a "$(shown -g "$LIB/libwavefield.a")"
    ;;
names) # a program may use each of our internal names for something of its own
    [ "$REDUCED" = TRUE ] || skip "this build's libwavefield.a is the plain one"
    shown -g "$INTERNAL" | grep -v '^wf_' | grep -x '[A-Za-z_][A-Za-z0-9_]*' >"$WORK/names"
    for name in fail graph_create; do
        grep -qx $name "$WORK/names" || die "$name is no internal name any more"
    done
    sed 's/.*/int &(void); int &(void) { return 1; }/' "$WORK/names" >"$WORK/names.c"
    # shellcheck disable=SC2086
    "$CC" $FLAGS -w -fno-builtin -c "$WORK/names.c" -o "$WORK/names.o"
    export PKG_CONFIG_PATH="$LIB/pkgconfig"
    flags=$("$PKG_CONFIG" --static --cflags --libs wavefield |
        sed 's/-lwavefield/-l:libwavefield.a/')
    # shellcheck disable=SC2086
    with_flags "$flags" "$CC" $FLAGS -std=c11 "$SOURCE/consumer.c" "$WORK/names.o" -o "$WORK/names"
    "$WORK/names"
    ;;
layout) # what lies where, of which component, and that it works after the move
    [ -f "$DOC/LICENSE" ] || die "no LICENSE"
    grep -oh -e 'examples/[a-z_]*\.[a-z]*' -e 'images/[a-z]*\.[a-z]*' "$DOC/README.md" \
        "$DOC"/docs/*.md | sort -u >"$WORK/named"
    while read -r name; do
        [ -f "$DOC/$name" ] || [ -f "$DOC/docs/$name" ] || die "no $name, which the pages name"
    done <"$WORK/named"
    "$BIN/wavefield" --version | grep -q '^backends:.* cpu' || die "no backends in --version"
    if [ "$MANUAL" = TRUE ]; then
        "$BIN/wavefield" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' >"$WORK/commands"
        [ -s "$WORK/commands" ] || die "no commands in --help"
        while read -r command; do
            [ -s "$MAN/man1/wavefield-$command.1" ] || die "no page for $command"
        done <"$WORK/commands"
        bash -c '. "$0" && complete -p wavefield' \
            "$DATA/bash-completion/completions/wavefield" >/dev/null
    fi
    if command -v readelf >/dev/null; then
        ! readelf -d "$BIN/wavefield" "$LIB/libwavefield.so" | grep -E 'R(UN)?PATH' ||
            die "a path of the build is left in the install"
        readelf -d "$LIB/libwavefield.so" | grep -q "SONAME.*\[libwavefield.so.$ABI\]" ||
            die "the soname is not libwavefield.so.$ABI"
    fi
    rm -rf "$WORK/run" "$WORK/develop"
    "$CMAKE" --install "$BUILD" --prefix "$WORK/run" --component Runtime >/dev/null
    "$CMAKE" --install "$BUILD" --prefix "$WORK/develop" --component Development >/dev/null
    (cd "$WORK/run" && find . -type f -o -type l) | sort >"$WORK/run.txt"
    (cd "$WORK/develop" && find . -type f -o -type l) | sort >"$WORK/develop.txt"
    (cd "$PREFIX" && find . -type f -o -type l) | sort >"$WORK/all.txt"
    sort -m "$WORK/run.txt" "$WORK/develop.txt" | diff - "$WORK/all.txt" ||
        die "the components do not make up the install, each file once"
    ! grep -E '\.(h|a|pc|cmake|so)$' "$WORK/run.txt" || die "development files in Runtime"
    ! grep -E '/bin/|\.so\.|/man/' "$WORK/develop.txt" || die "programs in Development"
    ;;
*)
    die "no case $1"
    ;;
esac
