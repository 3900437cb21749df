# shellcheck shell=bash
# What every script of stages needs; source it. `stage` and `stop_stage` are settings of the script; `skip_stages` may
# name stages to pass over, `stage_marks` a folder. There each stage has the folder `$marks` for its marks, which goes when
# the stage has ended well: a stage that was stopped goes on where it was, another call of it does everything again.

# Say something, with the time, on standard error.
log() {
    printf '%s %s\n' "$(date '+%F %T')" "$*" >&2
}

# End the script with a message.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# check_numbers OPTION LIST: end the script unless a list consists of numbers.
check_numbers() {
    [[ $2 =~ ^\ *(0|[1-9][0-9]*)(\ +(0|[1-9][0-9]*))*\ *$ ]] ||
        die "$1: '$2' is no list of numbers; write them with blanks, as \"1 2\""
}

# read_launcher COMMAND: put the words of a launcher and its options into the array `launcher`. A name without a folder is
# looked up in this folder first, so that no setting needs a path, which may hold blanks.
read_launcher() {
    read -ra launcher -d '' <<< "$1" || true
    [ ${#launcher[@]} -gt 0 ] || die "the launcher has no name; give run.py, slurm.py or ray_data.py"
    local beside=${BASH_SOURCE[0]%/*}/${launcher[0]}
    if [[ ${launcher[0]} != */* && -x $beside ]]; then launcher[0]=$beside; fi
    type -P "${launcher[0]}" > /dev/null ||
        die "${launcher[0]}: no such launcher; name one of utils/ without its folder, such as \"slurm.py --mem 4G\""
}

# need FILE STAGE: end the script unless an earlier stage has made the file.
need() {
    [ -s "$1" ] || die "$1 is missing or empty; run stage $2 first"
}

# What is done is remembered by marks: files that hold the state of what it was done with, sorted lines. A mark holds as
# long as each of its lines is true; lines that are true beside them do not matter.

# state_of ARGUMENT...: the arguments, and what the files and the folders among them hold.
state_of() {
    local argument
    printf 'arguments'
    printf ' %q' "$@"
    printf '\n'
    for argument in "$@"; do
        if [ -f "$argument" ]; then
            printf '%q %s\n' "$argument" "$(sha256sum < "$argument")"
        elif [ -d "$argument" ]; then
            printf '%q %s\n' "$argument" "$(find -L "$argument" -maxdepth 1 -type f -printf '%f %s %T@\n' | sort | sha256sum)"
        else
            printf '%q none\n' "$argument"
        fi
    done
}

# mark_holds MARK: whether a mark holds for the state in standard input.
mark_holds() {
    local state
    state=$(LC_ALL=C sort)
    [ -s "$1" ] && [ -z "$(LC_ALL=C comm -23 "$1" - <<< "$state")" ]
}

# write_mark MARK: make a mark of the state in standard input.
write_mark() {
    mkdir -p "$(dirname "$1")"
    LC_ALL=C sort > "$1.new"
    mv "$1.new" "$1"
}

# run_once MARK INPUT... -- COMMAND...: run a command unless it has ended well before with the same inputs: files, folders
# and settings that its result depends on. Files and folders must hold what they held then.
run_once() {
    local mark=$1 inputs=()
    while shift && [ "$1" != -- ]; do inputs+=("$1"); done
    shift
    if state_of "${inputs[@]}" | mark_holds "$mark"; then
        log "$mark says that this is done; remove it to have it done again"
        return
    fi
    rm -f "$mark"
    "$@"
    state_of "${inputs[@]}" | write_mark "$mark"
}

# `if stage 3 "name: what it does"; then …; fi` does the work if --stage and --stop-stage ask for it.
_stages_run=0 marks=
stage() {
    # shellcheck disable=SC2154 # both are settings of the script that sources this
    [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
    _stages_run=$((_stages_run + 1))
    if [[ " ${skip_stages-} " == *" $1 "* ]]; then log "stage $1 is skipped" && return 1; fi
    log "stage $1: $2"
    _end_stage
    marks=${stage_marks:+$stage_marks/${0##*/}.$1.marks}
}

_end_stage() {
    [ -z "$marks" ] || rm -rf "$marks"
}

# Say at the end that all went well; a range without a stage in it is a mistake.
finish() {
    if [ "$_stages_run" = 0 ]; then
        printf '%s: no stage from %s to %s; see --help\n' "${0##*/}" "$stage" "$stop_stage" >&2
        exit 2
    fi
    _end_stage
    log "done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
}
