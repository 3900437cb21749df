#!/usr/bin/env bash
# Check a data directory. Each defect is one line: what is wrong and how to mend it.
#     utils/validate_data_dir.sh [--no-wav true] <data>
# What passes here passes Kaldi's validate_data_dir.sh --no-feats too.
# shellcheck disable=SC2016 # the dollars in quotes are awk's
set -euo pipefail
no_wav=false   # true|false: do not look whether the audio files exist
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"

[ $# = 1 ] || { printf '%s: one data directory is needed; see --help\n' "${0##*/}" >&2; exit 2; }
data=$1
[ -d "$data" ] || die "$data: no such folder; run stage 0 first"
fix="run utils/fix_data_dir.sh $data"
defects=0

defect() {
    printf '%s: %s\n' "$data" "$1" >&2
    defects=$((defects + 1))
}

# first_line FILE AWK-CONDITION: number and first word of the first line that fulfils it.
first_line() {
    awk "$2"' { printf "line %d (%s)", NR, $1; exit }' "$1"
}

check_form() { # TABLE
    local file=$data/$1 found
    if [ "$(head -c 3 "$file")" = $'\xef\xbb\xbf' ]; then defect "$1 begins with a byte order mark; $fix"; fi
    if grep -q $'\r' "$file"; then defect "$1 has carriage returns; $fix"; fi
    found=$(first_line "$file" '/^[ \t]*$/ || /^[ \t]/ || /\t/ || /[ ]$/')
    [ -z "$found" ] || defect "$1: blank line, tab or blank at an edge in $found; $fix"
    sort -k1,1 -c "$file" 2> /dev/null || defect "$1 is not sorted (LC_ALL=C); $fix"
    found=$(first_line "$file" 'seen[$1]++')
    [ -z "$found" ] || defect "$1: second line for one id in $found; $fix"
    if [ "$(tail -c 1 "$file" | od -An -tx1 | tr -d ' ')" != 0a ]; then defect "$1 ends without a line break; $fix"; fi
}

# missing TABLE OTHER: how many ids of the first table the second lacks, and one of them.
missing() {
    comm -23 <(keys "$data/$1" | sort -u) <(keys "$data/$2" | sort -u) |
        awk 'NR == 1 { first = $1 } END { if (NR) printf "%d utterances, such as %s", NR, first }'
}

for name in wav.scp utt2spk; do
    [ -s "$data/$name" ] || defect "$name is missing or empty; write it, see the recipe's data_prep.py"
done
while IFS= read -r name; do
    is_text "$data/$name" || defect "$name is not UTF-8; convert it, for example with iconv"
done < <(tables_of "$data")
if [ -e "$data/segments" ]; then
    defect "segments: segments of recordings are not read; write each into a file first, for example with Kaldi's \
utils/data/extract_wav_segments_data_dir.sh"
fi
[ "$defects" = 0 ] || exit 1
[ -s "$data/spk2utt" ] || defect "spk2utt is missing; $fix"

while IFS= read -r name; do
    check_form "$name"
    lost=$(missing "$name" wav.scp)
    [ -z "$lost" ] || defect "$name: $lost, are not in wav.scp; $fix"
    case $name in
        utt2spk | utt2emo | utt2lang | utt2dur | text)
            lost=$(missing wav.scp "$name")
            [ -z "$lost" ] || defect "$name lacks $lost; add them, or take them out of wav.scp and $fix"
            ;;
    esac
done < <(tables_of "$data")

found=$(first_line "$data/wav.scp" '/\|[ ]*$/ || $2 ~ /^\|/')
[ -z "$found" ] || defect "wav.scp: a pipe in $found, and pipes are never run; write the audio to files"
found=$(first_line "$data/utt2spk" 'NF != 2 || index($1, $2) != 1')
[ -z "$found" ] || defect "utt2spk: the speaker is not the beginning of the utterance id in $found; rename utterances"
sort -k2,2 -c "$data/utt2spk" 2> /dev/null ||
    defect "utt2spk: sorted by utterance it is not sorted by speaker; give all speakers ids of one length, or end them with '-'"
if [ -s "$data/spk2utt" ] && ! "$utils/utt2spk_to_spk2utt.sh" "$data/utt2spk" | cmp -s - "$data/spk2utt"; then
    defect "spk2utt does not say what utt2spk says; $fix"
fi
if [ -f "$data/utt2dur" ]; then
    found=$(first_line "$data/utt2dur" 'NF != 2 || $2 !~ /^[0-9]+(\.[0-9]+)?$/ || $2 <= 0')
    [ -z "$found" ] || defect "utt2dur: not a positive number of seconds in $found; measure it again"
fi
if [ "$no_wav" = false ]; then
    lost=0 first=''
    while IFS=' ' read -r id path; do
        if [ ! -f "$path" ]; then lost=$((lost + 1)) first=${first:-$id}; fi
    done < <(grep -v '|' "$data/wav.scp" || true)
    [ "$lost" = 0 ] || defect "wav.scp: $lost audio files are not there, such as that of $first; check --db-root, or $fix"
fi

[ "$defects" = 0 ] || die "$data has $defects defects; mend what is named above"
printf '%s: %s utterances of %s speakers, no defect\n' "$data" "$(wc -l < "$data/utt2spk")" "$(wc -l < "$data/spk2utt")"
