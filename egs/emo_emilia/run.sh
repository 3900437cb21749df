#!/usr/bin/env bash
# Emo-Emilia: Mandarin and English speech from the web, seven emotions, 100 of each. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
