#!/usr/bin/env bash
# Split a data directory into parts of nearly equal size, in order: <out>/1/data, <out>/2/data, …
#     utils/split_data.sh <data> <parts> <out>
set -euo pipefail
utils=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"

[ $# = 3 ] || { printf '%s: a data directory, a number and a folder are needed; see --help\n' "${0##*/}" >&2; exit 2; }
data=$1 parts=$2 out=$3
[[ $parts =~ ^[1-9][0-9]{0,5}$ ]] || { printf '%s: %s is no number of parts\n' "${0##*/}" "$parts" >&2; exit 2; }
[ -s "$data/wav.scp" ] || die "$data/wav.scp is missing or empty; prepare the data first"
total=$(awk 'END { print NR }' "$data/wav.scp")
[ "$parts" -le "$total" ] || die "$data: $total utterances cannot make $parts parts; ask for fewer"

for ((part = 1; part <= parts; part++)); do
    mkdir -p "$out/$part/data"
    first=$(((part - 1) * total / parts + 1)) last=$((part * total / parts))
    sed -n "${first},${last}p" "$data/wav.scp" | keys /dev/stdin > "$out/$part/.ids"
    copy_subset "$out/$part/.ids" "$data" "$out/$part/data"
    rm "$out/$part/.ids"
done
