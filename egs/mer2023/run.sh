#!/usr/bin/env bash
# MER2023: clips of Chinese films and series, six labels. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
