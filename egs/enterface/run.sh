#!/usr/bin/env bash
# eNTERFACE'05: video clips in English, six emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
