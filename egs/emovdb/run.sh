#!/usr/bin/env bash
# EmoV-DB: four English speakers, four emotions; sleepiness is left out. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
