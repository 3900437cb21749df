#!/usr/bin/env bash
# Turn utt2spk into spk2utt: one line for each speaker, with all utterances.
#     utils/utt2spk_to_spk2utt.sh data/train/utt2spk > data/train/spk2utt
set -euo pipefail
export LC_ALL=C

case ${1-} in
    -h | --help)
        sed -n '2,3s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*)
        printf '%s: %s: no such option; see --help\n' "${0##*/}" "$1" >&2
        exit 2
        ;;
esac
sort -k2,2 -k1,1 -- "${1:-/dev/stdin}" | awk '
    # compared as texts: 7 and 007 are two speakers
    NR == 1 || $2 "" != speaker { if (NR > 1) printf "\n"; printf "%s", $2; speaker = $2 "" }
    { printf " %s", $1 }
    END { if (NR) printf "\n" }' | sort -k1,1
