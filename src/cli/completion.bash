# Completion of wavefield's command lines, for bash.

# _wavefield_tables [COMMAND [OPTION]]: sets commands, the command's options, and what the option
# takes: nothing, one value or a list; of which kind of name; or one of which words.
_wavefield_tables() {
# @TABLES@
}

# The word that is being completed, cut where bash cuts words (at = and :) no longer.
_wavefield_words() {
    local i word glue=''
    typed=()
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#typed[@]})) && [[ -n $glue || $word == [:=]* ]]; then
            typed[${#typed[@]} - 1]+=$word
        else
            typed+=("$word")
        fi
        glue=''
        [[ $word == *[:=] ]] && glue=1
    done
}

# The option whose value the word is, "" where it is none; for --option=value the word is cut.
_wavefield_option() {
    local i last=$((${#typed[@]} - 1))
    option=''
    if [[ $current == --*=* ]]; then
        option=${current%%=*}
        current=${current#*=}
        _wavefield_tables "$command" "$option"
        return
    fi
    [[ $current == -* ]] && return
    for ((i = last - 1; i > 0; i--)); do
        [[ ${typed[i]} == --* ]] && break
    done
    ((i > 0)) && [[ ${typed[i]} != *=* ]] || return
    _wavefield_tables "$command" "${typed[i]}"
    if [[ $takes == list || ($takes == one && i -eq $((last - 1))) ]]; then
        option=${typed[i]}
    fi
}

_wavefield_reply() {
    local word
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(compgen -W "$1" -- "$current")
}

_wavefield() {
    local typed current command option i
    local commands='' options='' takes='' names='' words=''
    COMPREPLY=()
    _wavefield_words
    command=${typed[0]}
    current=${typed[${#typed[@]} - 1]}
    if ((${#typed[@]} == 1)); then
        _wavefield_tables
        _wavefield_reply "$commands --help --version"
        return
    fi
    _wavefield_option
    if [[ -z $option ]]; then
        _wavefield_tables "$command" # and what its operand names
        [[ -z $names || $current == -* ]] && words=$options names=
    fi
    [[ $names == device ]] && words=$("${COMP_WORDS[0]}" devices --names 2>/dev/null)
    _wavefield_reply "$words"
    # Of vulkan:0 bash replaces what follows the colon.
    if [[ $current == *:* ]]; then
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]=${COMPREPLY[i]#"${current%"${current##*:}"}"}
        done
    fi
    ((${#COMPREPLY[@]})) && return
    # The shell's own completion of paths knows quotes and tildes.
    [[ $names == file ]] && compopt -o default
    [[ $names == folder ]] && compopt -o dirnames
}

complete -F _wavefield wavefield
