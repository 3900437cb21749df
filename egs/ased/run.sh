#!/usr/bin/env bash
# ASED: 65 speakers of Amharic, five emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
