#!/usr/bin/env bash
# PAVOQUE: a German actor, four labels, sentences cut from long recordings. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
