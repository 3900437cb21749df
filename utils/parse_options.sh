# shellcheck shell=bash disable=SC2034
# Turns the settings of a script into its command line. Source it after them:
#
#     #!/usr/bin/env bash
#     # What the script does and how to call it; this block is what --help prints.
#     set -euo pipefail
#     nj=4             # jobs at once
#     size=full        # full|tiny: which configurations
#     cmd="run.py"     # launcher
#     . "$utils/parse_options.sh"
#
# Each line `name=default  # meaning` between the two is an option --name, or --na-me for na_me. A default that is a number
# wants whole numbers, `a|b:` in front of the meaning wants one of these words, anything else is taken as it is: nothing is
# evaluated. Unknown, value-less or wrongly typed options end the script with status 2 and one line. What is no option stays
# in "$@". --help prints the comment block, the stages (`if stage 3 "name: …"`) and all options with their values.
#
# Scripts may share options: a file with such lines that they source between the two, which names itself in the array
# `option_files`. The array `shared_options` then holds those of its options that were given, as words to pass on.
# `replaced_options[name]` says what to give instead of an option that there was once.

_usage_error() {
    printf '%s: %s; see --help\n' "${0##*/}" "$*" >&2
    exit 2
}

# _read_settings FILE INSIDE: fills _names, and by name _meanings, _types and _files, from the lines of a script; INSIDE says
# that its options begin with the first line.
_read_settings() {
    local line inside=$2 pattern='^([a-z][a-z0-9_]*)=[^#]*#[[:space:]]*(.+)$'
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            'set -euo pipefail'*) inside=yes ;;
            '. '*parse_options.sh*) [ -z "$inside" ] || return 0 ;;
            *)
                if [ -n "$inside" ] && [[ $line =~ $pattern ]]; then
                    _names+=("${BASH_REMATCH[1]}")
                    _meanings[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
                    _files[${BASH_REMATCH[1]}]=$1
                    _types[${BASH_REMATCH[1]}]=$(_type "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}")
                fi
                ;;
        esac
    done < "$1"
}

_type() {
    local value=${!1}
    if [[ $2 =~ ^([a-z0-9_]+(\|[a-z0-9_]+)+): ]]; then
        printf '%s' "${BASH_REMATCH[1]}"
    elif [[ $value =~ ^-?[0-9]+$ ]]; then
        printf 'number'
    fi
}

_set_option() { # name value
    case ${_types[$1]} in
        number) [[ $2 =~ ^-?[0-9]{1,9}$ ]] || _usage_error "--${1//_/-}: '$2' is not a whole number" ;;
        *'|'*) [[ "|${_types[$1]}|" == *"|$2|"* ]] || _usage_error "--${1//_/-}: '$2' is none of ${_types[$1]}" ;;
    esac
    printf -v "$1" '%s' "$2"
    # bash would take 08 for an octal number
    if [ "${_types[$1]}" = number ]; then printf -v "$1" '%d' "${2%%[0-9]*}$((10#${2#-}))"; fi
    if [ "${_files[$1]}" != "${BASH_SOURCE[2]}" ]; then shared_options+=("--${1//_/-}=${!1}"); fi
}

_print_help() {
    local name
    sed -n '2,/^[^#]/{ /^#/!q; s/^# \{0,1\}//p; }' "$1"
    if grep -q '^if stage [0-9]' "$1"; then
        printf '\nstages\n'
        sed -n 's/^if stage \([0-9]*\) "\([^:"]*\): \([^"]*\)".*/\1\t\2\t\3/p' "$1" |
            while IFS=$'\t' read -r number title what; do
                printf '  %2s  %-12s %s\n' "$number" "$title" "$what"
            done
    fi
    printf '\noptions, with their values\n'
    for name in "${_names[@]}"; do
        printf '  --%-17s %s (%s)\n' "${name//_/-}" "${_meanings[$name]}" "${!name}"
    done
}

# whatever the environment may hold under these names
[[ $(declare -p option_files 2> /dev/null) == 'declare -a'* ]] || option_files=()
[[ $(declare -p replaced_options 2> /dev/null) == 'declare -A'* ]] || { unset replaced_options; declare -A replaced_options; }
_names=() shared_options=()
declare -A _meanings=() _types=() _files=()
_read_settings "${BASH_SOURCE[1]}" ''
for _file in "${option_files[@]}"; do _read_settings "$_file" yes; done
_help=''
while [ $# -gt 0 ]; do
    case $1 in
        --) shift && break ;;
        --help | -h) _help=yes && shift ;;
        --*)
            _option=${1%%=*} && _option=${_option#--} && _option=${_option//-/_}
            [[ -n $_option && -n ${_meanings[$_option]+known} ]] ||
                _usage_error "${1%%=*}: no such option${replaced_options[${_option:-_}]+; ${replaced_options[$_option]}}"
            if [[ $1 == *=* ]]; then
                _value=${1#*=} && shift
            else
                [[ $# -ge 2 && $2 != --* ]] || _usage_error "$1: a value is missing"
                _value=$2 && shift 2
            fi
            _set_option "$_option" "$_value"
            ;;
        -?*) _usage_error "$1: no such option" ;;
        *) break ;;
    esac
done
if [ -n "$_help" ]; then
    _print_help "${BASH_SOURCE[1]}"
    exit 0
fi
