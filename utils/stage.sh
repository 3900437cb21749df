# shellcheck shell=bash
# The words that recipes are written in; source it. `stage` and `stop_stage` are settings of the script, `skip_stages`
# may name stages that are passed over. A stage may make the file `$begun`, in the folder `stage_marks`; it stays, however
# often the stage is called, until that has ended well.

# Say something, with the time, on standard error.
log() {
    printf '%s %s\n' "$(date '+%F %T')" "$*" >&2
}

# End the script with a message.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
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

# look_into WORD...: what the files and folders among words hold; the same again as long as nothing has changed.
look_into() {
    local word
    for word in "$@"; do
        if [ -f "$word" ]; then
            sha256sum < "$word"
        elif [ -d "$word" ]; then
            find -L "$word" -maxdepth 1 -type f -printf '%f %s %T@\n' | sort
        fi
    done
}

# once MARK WORD... -- COMMAND...: run a command unless it has ended well before, when the words were the same and the
# files and folders among them held what they hold now. The file MARK remembers that.
once() {
    local mark=$1 words=()
    while shift && [ "$1" != -- ]; do words+=("$1"); done
    shift
    if [ -s "$mark" ] && _state "${words[@]}" | cmp -s - "$mark"; then
        log "$mark says that this is done; remove it to have it done again"
        return
    fi
    "$@"
    mkdir -p "$(dirname "$mark")"
    _state "${words[@]}" > "$mark.new"
    mv "$mark.new" "$mark"
}

# begin TABLE WORD...: before a command that goes on with TABLE.partial of a killed run: remove that, unless the words were
# the same then, and the files and folders among them held what they hold now. TABLE.of remembers that.
begin() {
    local table=$1 && shift
    if _state "$@" | cmp -s - "$table.of"; then return; fi
    rm -f "$table.partial"
    mkdir -p "$(dirname "$table")"
    _state "$@" > "$table.of"
}

_state() {
    printf '%s\n' "$@"
    look_into "$@"
}

# `if stage 3 "name: what it does"; then …; fi` does the work if --stage and --stop-stage ask for it.
_stages_run=0 begun=
stage() {
    # shellcheck disable=SC2154 # both are settings of the script that sources this
    [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
    _stages_run=$((_stages_run + 1))
    if [[ " ${skip_stages-} " == *" $1 "* ]]; then log "stage $1 is skipped" && return 1; fi
    log "stage $1: $2"
    _end_stage
    begun=${stage_marks:+$stage_marks/${0##*/}.$1.begun}
}

_end_stage() {
    [ -z "$begun" ] || rm -f "$begun"
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
