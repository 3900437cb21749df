#!/usr/bin/env bash
# Take some utterances of a data directory, always the same ones.
#     utils/subset_data_dir.sh [--how spread] <data> <number> <dest>
#     utils/subset_data_dir.sh --utt-list FILE <data> <dest>
#     utils/subset_data_dir.sh --spk-list FILE <data> <dest>
set -euo pipefail
how=spread   # spread|first|last|shortest|per_speaker: evenly over the list, … or so many of each speaker
utt_list=    # file with the utterances to take, one a line
spk_list=    # file with the speakers to take, one a line
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"

usage() {
    printf '%s: %s; see --help\n' "${0##*/}" "$1" >&2
    exit 2
}

if [ -n "$utt_list$spk_list" ]; then
    [ $# = 2 ] || usage "a data directory and a destination are needed; give both"
    [ -z "$utt_list" ] || [ -z "$spk_list" ] || usage "--utt-list and --spk-list exclude each other; give one of them"
    data=$1 number=all dest=$2
else
    [ $# = 3 ] || usage "a data directory, a number and a destination are needed; give all three"
    data=$1 number=$2 dest=$3
    [[ $number =~ ^[1-9][0-9]{0,8}$ ]] || usage "$number is not a number of utterances; give 1 or more"
fi
[ -s "$data/wav.scp" ] || die "$data/wav.scp is missing or empty; prepare the data first"
for file in ${utt_list:+"$utt_list"} ${spk_list:+"$spk_list"}; do
    [ -r "$file" ] || die "$file: no such file; name a list, one id a line"
done
wanted=
[ "$how" != shortest ] || wanted=utt2dur
[ "$how" != per_speaker ] && [ -z "$spk_list" ] || wanted=utt2spk
[ -z "$wanted" ] || [ -s "$data/$wanted" ] || die "$data/$wanted is missing or empty; make it first"
[ ! "$data" -ef "$dest" ] || die "$dest is the source; choose another destination"
total=$(awk 'END { print NR }' "$data/wav.scp")

choose() {
    if [ -n "$utt_list" ]; then
        filter "$utt_list" "$data/wav.scp"
    elif [ -n "$spk_list" ]; then
        awk 'FILENAME == ARGV[1] { wanted[$1]; next } $2 in wanted' "$spk_list" "$data/utt2spk"
    else
        case $how in
            spread) awk -v n="$number" -v all="$total" 'int(NR * n / all) > int((NR - 1) * n / all)' "$data/wav.scp" ;;
            first) awk -v n="$number" 'NR <= n' "$data/wav.scp" ;;
            last) awk -v n="$number" -v all="$total" 'NR > all - n' "$data/wav.scp" ;;
            shortest) sort -k2,2n -k1,1 "$data/utt2dur" | awk -v n="$number" 'NR <= n' ;;
            per_speaker) awk -v n="$number" '++taken[$2] <= n' "$data/utt2spk" ;;
        esac
    fi
}

[ "$number" = all ] || [ "$how" = per_speaker ] || [ "$number" -le "$total" ] ||
    die "$data has $total utterances, not $number; ask for fewer"
mkdir -p "$dest"
choose | keys /dev/stdin > "$dest/.ids"
[ -s "$dest/.ids" ] || { rm "$dest/.ids"; die "$data has none of these; check the list"; }
copy_subset "$dest/.ids" "$data" "$dest"
rm "$dest/.ids"
log "$dest: $(wc -l < "$dest/wav.scp") of $total utterances"
