#!/usr/bin/env bash
# Make a table of a data directory by running a command on parts of it, side by side.
#
#     utils/map_data.sh [--nj N] [--cmd LAUNCHER] [--max-rejected PERCENT] <data> <table> <command...>
#     utils/map_data.sh --nj 8 data/train data/train/utt2attr python -m c2ser.bin.extract_attributes --pitch.hop 0.01
#
# The command is called once for each part, with `--data <part> --out <part's table>` behind its own words, and writes
# the table, other tables beside it if it likes, and `<table>.rejected` with a reason for each utterance that cannot be
# done. A `.json` beside it is the same for every part, such as the command's settings, and is kept once. An archive
# `X.ark` beside it, in which the table's lines have places, becomes `X.<part>.ark`. The parts are joined in order when
# every utterance of the data directory is either done or rejected; a short table is refused, and its parts stay. A run
# that was killed goes on where it stopped when the same command is given again, after what it left running has ended;
# if the command, the data or --nj have changed in between, it starts anew. Logs: log/ beside the table.
set -euo pipefail
nj=4              # parts that run side by side; fewer where there are fewer utterances
cmd=run.py        # launcher of this folder and its options: run.py, slurm.py or ray_data.py
max_rejected=10   # refuse the table if more than so many percent of the utterances are rejected
mark=             # file that remembers the finished table; while it holds for this command and data, nothing is made again
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"
. "$utils/map.sh"

if [ $# -lt 3 ] || [[ $2 == */ || -z $2 || -z $3 ]]; then
    printf '%s: a data directory, a table and a command are needed; see --help\n' "${0##*/}" >&2
    exit 2
fi
data=$1 table=$2 && shift 2
check_arguments "$@" "$table"
check_share
[ "$nj" -ge 1 ] || die "--nj: $nj parts are too few; give 1 or more"
[ -s "$data/wav.scp" ] || die "$data/wav.scp is missing or empty; prepare the data first"
[ ! -e "$data/segments" ] || die "$data/segments: segments of recordings are not read; write each into a file first"

[[ $table == */* ]] || table=./$table
name=${table##*/} parts=$table.parts folder=${table%/*}
total=$(awk 'END { print NR }' "$data/wav.scp")
[ "$nj" -le "$total" ] || nj=$total
read_launcher "$cmd"
lock "$table"
"${launcher[@]}" --idle "$folder/log/$name.JOB.log" # else an orphan of a killed run would write beside us

# other_tables: the tables of the data directory but the one that is made.
other_tables() {
    tables_of "$data" | grep -vxF "$name" || true
}

# data_state COMMAND...: what the result depends on, as lines of a mark.
data_state() {
    local file
    echo "$total utterances in $nj parts"
    while IFS= read -r file; do echo "$file $(sha256sum < "$data/$file")"; done < <(other_tables)
    if [ -f "$data/labels.json" ]; then echo "labels.json $(sha256sum < "$data/labels.json")"; fi
    state_of "$@"
}

state=$(data_state "$@")
# the table is part of the state, so that a mark does not outlive it; tables that have come since do not matter
if [ -n "$mark" ] && { echo "$state" && state_of "$table"; } | mark_holds "$mark"; then
    log "$table: made before an earlier run was stopped" && exit 0
fi
[ -z "$mark" ] || rm -f "$mark"
parts_state="$(other_tables | tr '\n' ' ')"$'\n'$state # new tables do matter to parts, which would lack them
if mark_holds "$parts/mark" <<< "$parts_state"; then
    log "$table: going on where an earlier run stopped"
else
    discard "$parts"
    mkdir -p "$parts"
    "$utils/split_data.sh" "$data" "$nj" "$parts"
    write_mark "$parts/mark" <<< "$parts_state"
fi

# lines_of FILE PART: a table's lines, with the part's archives named as they will be.
# shellcheck disable=SC2016 # awk reads these
lines_of() {
    from=$name.parts/$2/ part=$2 awk '{
        at = index($0, " "); value = substr($0, at + 1); start = index(value, ENVIRON["from"])
        if (start && match(value, /\.ark:[0-9]+$/)) {
            head = substr($0, 1, at) substr(value, 1, start - 1)
            begin = start + length(ENVIRON["from"])
            $0 = head substr(value, begin, RSTART - begin) "." ENVIRON["part"] substr(value, RSTART)
        }
        print
    }' "$1"
}

# put_archives: the parts' archives go beside the table, whole; those of the table that was there before go, and it first.
put_archives() {
    local file part archive old=()
    if [ -e "$table" ]; then mapfile -t old < <(sed -n 's|.*/\([^/]*\.ark\):[0-9]*$|\1|p' "$table" | sort -u); fi
    for file in "$parts"/*/*.ark; do
        [ -s "$file" ] || continue
        rm -f "$table"
        for archive in "${old[@]}"; do rm -f "$folder/$archive"; done
        old=() part=${file%/*} archive=${file##*/}
        archive=$folder/${archive%.ark}.${part##*/}.ark
        # the part keeps it too, so that a kill from here on loses nothing
        ln -f "$file" "$archive" 2> /dev/null || cp "$file" "$archive"
    done
}

log "$table: $total utterances in $nj parts; logs: $folder/log/$name.*.log"
# A part is done if its table is there and the journal of an unfinished one is not. The shell becomes the command, because
# the launcher ends its own children, not theirs.
# shellcheck disable=SC2016 # the quotes are for the inner shell
run_part='[ -e "$1" ] && [ ! -e "$1.partial" ] && exit 0; shift; exec "$@"'
"${launcher[@]}" "JOB=1:$nj" "$folder/log/$name.JOB.log" bash -c "$run_part" part "$parts/JOB/$name" \
    "$@" --data "$parts/JOB/data" --out "$parts/JOB/$name" || die "$table: some parts failed; mend that and run it again"

# Join whatever tables the parts hold.
rm -rf "$parts/joined" && mkdir "$parts/joined"
for ((part = 1; part <= nj; part++)); do
    [ -e "$parts/$part/$name" ] || die "$table: part $part is missing; see $folder/log/$name.$part.log"
    for file in "$parts/$part"/*; do
        case $file in
            *.ark) ;; # see put_archives
            *.json) cp "$file" "$parts/joined/" ;;
            *) if [ -f "$file" ]; then lines_of "$file" "$part" >> "$parts/joined/${file##*/}"; fi ;;
        esac
    done
done
for file in "$parts/joined"/*; do [[ $file = *.json ]] || sort -k1,1 -o "$file" "$file"; done
check_whole "$parts/joined" "$name" "$data" "$table"

if [ -s "$parts/joined/$name.rejected" ]; then
    log "$table: $(awk 'END { print NR }' "$parts/joined/$name.rejected") of $total utterances rejected, see $table.rejected"
else
    rm -f "$parts/joined/$name.rejected" "$table.rejected"
fi
put_archives
# of the seven emotions the parts write none
[ "$folder" -ef "$data" ] || rm -f "$folder/labels.json"
for file in "$parts/joined"/*; do
    if [ "${file##*/}" != "$name" ]; then mv "$file" "$folder/"; fi
done
mv "$parts/joined/$name" "$table"
discard "$parts"
[ -z "$mark" ] || { data_state "$@" && state_of "$table"; } | write_mark "$mark"
