#!/usr/bin/env bash
# JL-Corpus: two women and two men of New Zealand, ten labels, four of them among the seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
