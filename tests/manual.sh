#!/bin/sh
# manual.sh mandoc|man|completion: the pages in $MANUAL without a warning, the completion by use.
# Exit status 77 means skipped.
set -eu

needs() {
    command -v "$1" >/dev/null || {
        echo "skipped: no $1"
        exit 77
    }
}

case $1 in
mandoc)
    needs mandoc
    mandoc -T lint -W all "$MANUAL"/*.1
    ;;
man)
    needs man
    needs groff
    for page in "$MANUAL"/*.1; do
        warnings=$(LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null)
        [ -z "$warnings" ] || {
            echo "$page: $warnings"
            exit 1
        }
        LC_ALL=C.UTF-8 MANWIDTH=80 man -l "$page" | grep -q 'EXIT STATUS' || {
            echo "$page has no exit statuses"
            exit 1
        }
    done
    ;;
completion)
    needs bash
    exec bash "$(dirname "$0")/completion.bash" "$MANUAL/bash/wavefield" "$WAVEFIELD"
    ;;
esac
