#!/usr/bin/env bash
# Join data directories. Tables that only some of them have are left out, with a warning. Where the destination is there,
# it is made anew.
#     utils/combine_data.sh <dest> <data> <data>...
set -euo pipefail
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"

[ $# -ge 2 ] || { printf '%s: a destination and data directories are needed; see --help\n' "${0##*/}" >&2; exit 2; }
dest=$1 && shift
for data in "$@"; do
    [ -s "$data/wav.scp" ] || die "$data/wav.scp is missing or empty; prepare that data first"
    [ ! "$data" -ef "$dest" ] || die "$dest is one of the sources; choose another destination"
done
twice=$(for data in "$@"; do keys "$data/wav.scp"; done | sort | uniq -d)
[ -z "$twice" ] || die "${twice%%$'\n'*}: in more than one of the sources; rename its speaker in one of them"

for data in "$@"; do
    cmp -s "$(classes_of "$1")" "$(classes_of "$data")" ||
        die "$data: other classes than $1; write labels.json of both with the same --labels"
done
mkdir -p "$dest"
copy_classes "$1" "$dest"
for data in "$@"; do tables_of "$data"; done | drop_others "$dest"
while IFS= read -r name; do
    sources=() lacking=()
    for data in "$@"; do
        if [ -f "$data/$name" ]; then sources+=("$data/$name"); else lacking+=("$data"); fi
    done
    if [ ${#lacking[@]} -gt 0 ]; then
        log "$name is left out: ${lacking[*]} has none"
        rm -f "$dest/$name"
        continue
    fi
    sort -k1,1 "${sources[@]}" > "$dest/.$name.new"
    mv "$dest/.$name.new" "$dest/$name"
done < <(for data in "$@"; do tables_of "$data"; done | sort -u)
if [ -f "$dest/utt2spk" ]; then make_spk2utt "$dest"; else rm -f "$dest/spk2utt"; fi
log "$dest: $(wc -l < "$dest/wav.scp") utterances from $# data directories"
