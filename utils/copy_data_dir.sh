#!/usr/bin/env bash
# Copy a data directory under other ids, so that a changed copy can be joined with what it was made from. Speakers keep their
# names: they are the same people.
#     utils/copy_data_dir.sh [--utt-suffix TEXT] <data> <dest>
set -euo pipefail
utt_suffix=  # what is put after the id of each utterance
utils=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/parse_options.sh"
. "$utils/stage.sh"
. "$utils/tables.sh"

[ $# = 2 ] || { printf '%s: a data directory and a destination are needed; see --help\n' "${0##*/}" >&2; exit 2; }
data=$1 dest=$2
[[ $utt_suffix =~ ^[^[:space:]]*$ ]] || die "--utt-suffix: '$utt_suffix' has a blank; leave it out"
[ -s "$data/wav.scp" ] || die "$data/wav.scp is missing or empty; prepare the data first"
[ ! "$data" -ef "$dest" ] || die "$dest is the source; choose another destination"

mkdir -p "$dest"
tables_of "$data" | drop_others "$dest"
copy_classes "$data" "$dest"
while IFS= read -r name; do
    suffix=$utt_suffix awk '{ id = $1; print id ENVIRON["suffix"] substr($0, length(id) + 1) }' "$data/$name" |
        sort -k1,1 > "$dest/.$name.new"
    mv "$dest/.$name.new" "$dest/$name"
done < <(tables_of "$data")
if [ -f "$dest/utt2spk" ]; then make_spk2utt "$dest"; fi
log "$dest: $(wc -l < "$dest/wav.scp") utterances"
