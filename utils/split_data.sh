#!/usr/bin/env bash
# Split a data directory into parts of nearly equal size, in order: <out>/1/data, <out>/2/data, …
#     utils/split_data.sh <data> <parts> <out>
set -euo pipefail
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"

[ $# = 3 ] || { printf '%s: a data directory, a number and a folder are needed; see --help\n' "${0##*/}" >&2; exit 2; }
data=$1 parts=$2 out=$3
[[ $parts =~ ^[1-9][0-9]{0,5}$ ]] || { printf '%s: %s is no number of parts\n' "${0##*/}" "$parts" >&2; exit 2; }
[ -s "$data/wav.scp" ] || die "$data/wav.scp is missing or empty; prepare the data first"
total=$(awk 'END { print NR }' "$data/wav.scp")
[ "$parts" -le "$total" ] || die "$data: $total utterances cannot make $parts parts; ask for fewer"

# Each table is gone through once, however many parts there are.
mkdir -p "$out"
places=$(mktemp "$out/.places.XXXXXX")
trap 'rm -f "$places"' EXIT
out=$out awk -v parts="$parts" -v total="$total" \
    '{ print $1 " " ENVIRON["out"] "/" int((NR * parts - 1) / total) + 1 "/data" }' "$data/wav.scp" > "$places"
for ((part = 1; part <= parts; part++)); do mkdir -p "$out/$part/data"; done
for ((part = 1; part <= parts; part++)); do copy_classes "$data" "$out/$part/data"; done
while IFS= read -r name; do deal "$places" "$data/$name" "$name"; done < <(tables_of "$data")
if [ -f "$data/utt2spk" ]; then
    for ((part = 1; part <= parts; part++)); do make_spk2utt "$out/$part/data"; done
fi
