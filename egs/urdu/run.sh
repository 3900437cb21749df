#!/usr/bin/env bash
# URDU: Urdu talk shows, four emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
