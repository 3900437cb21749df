#!/usr/bin/env bash
# MER2024: clips of Chinese films and series, five emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
