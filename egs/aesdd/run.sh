#!/usr/bin/env bash
# AESDD: six Greek actors, five emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
