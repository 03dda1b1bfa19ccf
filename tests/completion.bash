#!/bin/bash
# completion.bash SCRIPT PROGRAM: what the script offers for the beginnings of command lines.
set -u
# shellcheck source=/dev/null
. "$1"
program=$2
failed=0

# shellcheck disable=SC2317
compopt() { asked="$*"; } # the real one works in the middle of a completion only

# Cuts a command line into words as bash does, at blanks, = and :.
cut_words() {
    local line=$1 word
    COMP_WORDS=("$program")
    while [[ -n $line ]]; do
        case $line in
        ' '*) line=${line# } && [[ -z $line ]] && COMP_WORDS+=('') ;;
        [=:]*)
            word=${line%%[!=:]*}
            COMP_WORDS+=("$word")
            line=${line#"$word"}
            ;;
        *)
            word=${line%%[ =:]*}
            COMP_WORDS+=("$word")
            line=${line#"$word"}
            ;;
        esac
    done
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
}

# offers LINE EXPECTED: the words offered at the end of the line; @file or @folder where the shell
# is asked for those.
offers() {
    local found
    asked=''
    cut_words " $1"
    _wavefield
    found="${COMPREPLY[*]}"
    case $asked in
    '-o default') found+='@file' ;;
    '-o dirnames') found+='@folder' ;;
    esac
    [[ $found == "$2" ]] && return
    printf 'wavefield %s|\n  expected: %s\n  found:    %s\n' "$1" "$2" "$found"
    failed=1
}

offers 'tr' 'train'
offers '--v' '--version'
offers 'train --learn' '--learning-rate'
offers 'generate --model m --re' '--repetition-penalty --repetition-window'
offers 'train --config v4' 'v4-20m v4-130m v4-825m'
offers 'train --config=de' 'demo'
offers 'train --config ./conf' '@file'
offers 'train --evaluator ' 'auto scan fft direct'
offers 'train --evaluator=' 'auto scan fft direct'
offers 'train --evaluator fft --resu' '--resume'
offers 'train --tokenizer b' 'byte'
offers 'tokenize --tokenizer sen' 'sentencepiece-bpe sentencepiece-unigram'
offers 'train --tokenizer ./my' '@file'
offers 'train --data a.txt ' '@file'
offers 'train --data a.txt b.txt ' '@file'
offers 'train --data a.txt --out ' '@folder'
offers 'train --out=sto' '@folder'
offers 'train --set field_size=512 --conf' '--config'
offers 'train --resume --lo' '--log-every'
offers 'train --steps ' ''
offers 'eval --model ' '@folder'
offers 'nonsense --' ''
offers 'devices --n' '--names'
offers 'eval --device cp' 'cpu'
offers 'bench --figure field-' 'field-copy field-scan'

# Devices with a colon: bash replaces what follows it.
fake=$(mktemp)
trap 'rm -f "$fake"' EXIT
# shellcheck disable=SC2016,SC2028
printf '%s\n' 'if [ "$*" = "devices --names" ]; then printf "auto\ncpu\nvulkan:0\nvulkan:1\n"; fi' >"$fake"
chmod +x "$fake"
program=$fake
offers 'eval --device vul' 'vulkan:0 vulkan:1'
offers 'eval --device vulkan:' '0 1'
offers 'eval --device vulkan:1' '1'
offers 'eval --device=vulkan:1' '1'
offers 'eval --device ' 'auto cpu vulkan:0 vulkan:1'

# Every option of --help is offered.
program=$2
for command in $("$program" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    offers "$command --" "$("$program" "$command" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' |
        tr '\n' ' ' | sed 's/ $//')"
done
exit $failed
