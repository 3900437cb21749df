#!/usr/bin/env bash
# Your own recordings and labels, from a table: ./run.sh --table my.csv (docs/own_data.md). All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
