#!/usr/bin/env bash
# Make a table of each of many data directories, the shards of a corpus that is too large for one, in one job array.
#
#     utils/map_shards.sh [--nj N] [--cmd LAUNCHER] [--max-rejected PERCENT] <data> <table> <command...>
#     utils/map_shards.sh --nj 200 --cmd "slurm.py --gpu 1 --max-jobs 16" \
#         data utt2speech python -m c2ser.bin.label_speech --model emotion2vec_plus_large.pt
#
# <data>/shards names the shards, one a line; the shard S is the data directory <data>/S and gets <data>/S/<table>. A job
# takes some neighbouring shards, joins them and calls the command once, with `--data` and `--out` behind its own words,
# so that a model is loaded once for all of them; what that writes is as for map_data.sh, and each shard gets its own
# lines. --max-jobs of the launcher says how many run at once; the others wait for a free place.
#
# Shards that have the table are passed over, and jobs without another shard are not started. What a killed or failed run
# left undone goes on where it stopped, utterance by utterance, when the same command is given again with the same --nj.
# Another command is refused as long as a shard holds the table of this one. Logs: <data>/log/.
set -euo pipefail
nj=0              # jobs into which the shards are divided; 0 for one each
cmd=run.py        # launcher of this folder and its options: run.py, slurm.py or ray_data.py
max_rejected=10   # refuse a job's tables if more than so many percent of its utterances are rejected
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"
. "$utils/map.sh"

if [ $# -lt 3 ] || [[ $2 == */* || -z $2 || -z $3 ]]; then
    printf '%s: a folder, the name of a table and a command are needed; see --help\n' "${0##*/}" >&2
    exit 2
fi
data=$1 name=$2 && shift 2
check_arguments "$@" "$data" "$name" "$utils"
check_share
[ -s "$data/shards" ] || die "$data/shards is missing or empty; list the data directories in it"
mapfile -t shards < "$data/shards"
again=$(sort "$data/shards" | uniq -d)
[ -z "$again" ] || die "$data/shards: a second line for ${again%%$'\n'*}; remove it"
for shard in "${shards[@]}"; do
    [[ /$shard/ != */../* ]] || die "$data/shards: $shard leads out of $data; name its own folders"
    [ -s "$data/$shard/wav.scp" ] || die "$data/$shard/wav.scp is missing or empty; prepare the data first"
done
total=${#shards[@]} parts=$data/$name.parts
if [ "$nj" -lt 1 ] || [ "$nj" -gt "$total" ]; then nj=$total; fi
read_launcher "$cmd"
lock "$data/$name"
"${launcher[@]}" --idle "$data/log/$name.JOB.log" # else an orphan of a killed run would write beside us

# lacking SHARD...: those that do not have the table.
lacking() {
    local shard
    for shard in "$@"; do
        if [ ! -e "$data/$shard/$name" ]; then printf '%s\n' "$shard"; fi
    done
}

# The table of one shard must not be made by other settings than that of another.
command_mark=$data/log/$name.command
if [ -e "$command_mark" ] && ! state_of "$@" | mark_holds "$command_mark"; then
    left=$(lacking "${shards[@]}" | wc -l)
    [ "$left" = "$total" ] || die "$((total - left)) shards have a $name that another command made (see the first line of" \
        "$data/log/$name.1.log); give that command, remove their $name, or remove $command_mark to keep them as they are"
fi
state_of "$@" | write_mark "$command_mark"
division=$(state_of "$nj jobs" "$data/shards" "$command_mark")
if ! mark_holds "$parts/mark" <<< "$division"; then
    discard "$parts"
    write_mark "$parts/mark" <<< "$division"
fi

# shards_state PART: size and time of the tables of a job's shards; reading all of a large corpus would take too long.
shards_state() {
    local shard
    while IFS= read -r shard; do
        find "$shard" -maxdepth 1 -type f \( -name wav.scp -o -name text -o -name 'utt2*' -o -name 'cot_*' \) \
            -printf '%p %s %T@\n'
    done < "$1/shards"
}

# finished PART: whether a job has made all it should.
finished() {
    [ -e "$1/out/$name" ] && [ ! -e "$1/out/$name.partial" ] &&
        (check_whole "$1/out" "$name" "$1/data" "$data/$name")
}

# put PART: give each shard its lines of what a job has made; the table itself comes last.
put() {
    local file shard other
    while IFS= read -r shard; do
        s=$shard awk '{ print $1 " " ENVIRON["s"] }' "$shard/wav.scp"
    done < "$1/shards" > "$1/places"
    for file in "$1/out"/*; do
        other=${file##*/}
        case $other in
            "$name") ;;
            *.ark) die "$file: an archive cannot be dealt out to shards; give each shard to map_data.sh" ;;
            *.json) while IFS= read -r shard; do cp "$file" "$shard/"; done < "$1/shards" ;;
            *) if [ -f "$file" ]; then deal "$1/places" "$file" "$other"; fi ;;
        esac
    done
    deal "$1/places" "$1/out/$name" "$name"
    while IFS= read -r shard; do touch "$shard/$name"; done < "$1/shards" # a shard may have no good utterance
    discard "$1"
}

# plan JOB SHARD...: put the tables of a job that an earlier run finished, and print its folder if there is more to do.
plan() {
    local part=$parts/$1 left && shift
    # tables that have come since do not matter, tables that have changed or gone do
    if [ ! -e "$part/mark" ] || ! shards_state "$part" | mark_holds "$part/mark"; then
        discard "$part"
    elif finished "$part" 2> /dev/null; then
        put "$part"
    fi
    if [ ! -e "$part/mark" ]; then
        left=$(lacking "$@")
        [ -n "$left" ] || return 0
        mkdir -p "$part/out"
        printf '%s\n' "$left" | while IFS= read -r shard; do printf '%s\n' "$data/$shard"; done > "$part/shards"
        shards_state "$part" | write_mark "$part/mark"
    fi
    printf '%s\n' "$part"
}

for ((job = 1; job <= nj; job++)); do
    first=$(((job - 1) * total / nj)) last=$((job * total / nj))
    plan "$job" "${shards[@]:first:last - first}"
done > "$parts/todo"
mapfile -t todo < "$parts/todo"
if [ ${#todo[@]} = 0 ]; then
    discard "$parts"
    log "$data: all $total shards have $name" && exit 0
fi

log "$data: $name of $(cat "${todo[@]/%//shards}" | wc -l) of $total shards in ${#todo[@]} jobs; logs: $data/log/$name.*.log"
# A job joins its shards and becomes the command, unless its table is there, whole.
# shellcheck disable=SC2016 # the quotes are for the inner shell
job='part=$(sed -n "$1p" "$2") out=$part/out/$3 utils=$4 && shift 4
[ ! -e "$out" ] || [ -e "$out.partial" ] || exit 0
mapfile -t shards < "$part/shards"
"$utils/combine_data.sh" "$part/data" "${shards[@]}" && exec "$@" --data "$part/data" --out "$out"'
failed=
"${launcher[@]}" "JOB=1:${#todo[@]}" "$data/log/$name.JOB.log" \
    bash -c "$job" job JOB "$parts/todo" "$name" "$utils" "$@" || failed=yes
for part in "${todo[@]}"; do
    if finished "$part"; then
        put "$part"
    else
        failed=yes
    fi
done
left=$(lacking "${shards[@]}" | wc -l)
[ -z "$failed" ] || die "$left of $total shards lack $name; mend that and run it again, the others are kept"
discard "$parts"

# count FILE: lines of a file of this name in all shards.
count() {
    local shard
    for shard in "${shards[@]}"; do
        if [ -e "$data/$shard/$1" ]; then cat "$data/$shard/$1"; fi
    done | wc -l
}
log "$data: $name is whole: $(count wav.scp) utterances, $(count "$name") done, $(count "$name.rejected") rejected"
