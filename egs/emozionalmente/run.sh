#!/usr/bin/env bash
# Emozionalmente: 431 amateurs, Italian, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
