#!/usr/bin/env bash
# RAVDESS speech: 24 North American actors, two sentences, eight emotions of which calm is left out. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
