#!/usr/bin/env bash
# nEMO: nine Polish speakers, six emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
