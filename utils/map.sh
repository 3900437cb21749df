# shellcheck shell=bash
# What map_data.sh and map_shards.sh share; source it after stage.sh and tables.sh. `max_rejected` is a setting of theirs.

# check_share: end the script unless --max-rejected is a share.
check_share() {
    # shellcheck disable=SC2154
    [ "$max_rejected" -ge 0 ] && [ "$max_rejected" -le 100 ] || die "--max-rejected: $max_rejected is no percentage; give 0 to 100"
}

# check_arguments ARGUMENT...: end the script if job arrays would take one for the number of a job.
check_arguments() {
    local argument
    for argument in "$@"; do
        [[ $argument != *JOB* ]] || die "'$argument': JOB stands for the number of a part in job arrays; rename it"
    done
}

# lock TABLE: keep a second run out. Whatever is started from here holds the lock too.
lock() {
    local folder=${1%/*} name=${1##*/}
    mkdir -p "$folder/log"
    exec 9> "$folder/log/$name.lock"
    flock -n 9 || [ $? != 1 ] || die "$1: another run is making it; wait for it, or stop it"
}

# discard FOLDER: remove it in one step for whoever looks at it, so that a kill leaves no half of it to go on with.
discard() {
    rm -rf "$1.gone"
    [ ! -e "$1" ] || mv "$1" "$1.gone"
    rm -rf "$1.gone"
}

# check_whole FOLDER NAME DATA TABLE: end the (sub)shell unless each utterance of DATA is in FOLDER/NAME or rejected,
# and not too many are; TABLE is what messages call it. FOLDER/NAME.rejected is there afterwards, perhaps empty.
check_whole() {
    local made=$1/$2 rejected total done_count
    touch "$made.rejected"
    rejected=$(awk 'END { print NR }' "$made.rejected") total=$(awk 'END { print NR }' "$3/wav.scp")
    if ! keys "$made" "$made.rejected" | sort | cmp -s - <(keys "$3/wav.scp" | sort); then
        done_count=$(awk 'END { print NR }' "$made")
        die "$4: $done_count done and $rejected rejected do not make $total utterances; the parts are kept in $4.parts"
    fi
    # shellcheck disable=SC2154
    if [ $((100 * rejected)) -gt $((max_rejected * total)) ]; then
        die "$4: $rejected of $total utterances were rejected, the first because: $(head -n 1 "$made.rejected"); mend" \
            "that, or raise --max-rejected; all reasons: $made.rejected"
    fi
}
