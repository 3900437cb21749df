#!/usr/bin/env bash
# TurEV-DB: six speakers of Turkish, single words, four labels. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
