#!/usr/bin/env bash
# MESD: single words in Mexican Spanish, six emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
