#!/usr/bin/env bash
# ESD: ten Mandarin and ten English speakers, the same sentences in five emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
