#!/usr/bin/env bash
# Mend what can be mended without knowing more: sort the tables, remove blank lines, carriage returns, byte order marks
# and doubled lines, make tabs blanks, leave out utterances without audio or speaker, write spk2utt anew.
#     utils/fix_data_dir.sh <data>
# The tables as they were are kept in <data>/.backup.
set -euo pipefail
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"

[ $# = 1 ] || { printf '%s: one data directory is needed; see --help\n' "${0##*/}" >&2; exit 2; }
data=$1
for name in wav.scp utt2spk; do
    [ -s "$data/$name" ] || die "$data/$name is missing or empty; nothing can be made of that"
done

while IFS= read -r name; do
    is_text "$data/$name" || die "$data/$name is not UTF-8; convert it, for example with iconv"
done < <(tables_of "$data")

mkdir -p "$data/.backup"
while IFS= read -r name; do
    cp "$data/$name" "$data/.backup/$name"
    sed -e $'1s/^\xef\xbb\xbf//' -e 's/\r$//' -e 's/\t/ /g' -e 's/^ *//' -e 's/ *$//' -e '/^$/d' "$data/.backup/$name" |
        sort -k1,1 -s > "$data/.$name.sorted"
    awk '!seen[$1]++' "$data/.$name.sorted" > "$data/.$name.new"
    doubled=$(($(wc -l < "$data/.$name.sorted") - $(wc -l < "$data/.$name.new")))
    [ "$doubled" = 0 ] || log "$data/$name: $doubled further lines for an id it had were left out"
    mv "$data/.$name.new" "$data/$name"
    rm "$data/.$name.sorted"
done < <(tables_of "$data")

while IFS=' ' read -r id path; do
    if [ -f "$path" ]; then printf '%s\n' "$id"; fi
done < "$data/wav.scp" > "$data/.with_audio"
filter "$data/.with_audio" "$data/utt2spk" | awk 'NF == 2' | keys /dev/stdin > "$data/.kept"
before=$(wc -l < "$data/wav.scp") after=$(wc -l < "$data/.kept")
if [ "$after" = 0 ]; then
    rm "$data/.with_audio" "$data/.kept"
    die "$data: no utterance has audio and a speaker; correct wav.scp and utt2spk, whose old lines are in $data/.backup"
fi
while IFS= read -r name; do
    filter "$data/.kept" "$data/$name" > "$data/.$name.new"
    if [ -s "$data/.$name.new" ]; then
        mv "$data/.$name.new" "$data/$name"
    else
        rm "$data/.$name.new" "$data/$name"
        log "$data/$name: none of its utterances is left, so it was removed; run the stage that makes it again"
    fi
done < <(tables_of "$data")
rm "$data/.with_audio" "$data/.kept"
make_spk2utt "$data"
log "$data: kept $after of $before utterances; the old tables are in $data/.backup"
