#!/usr/bin/env bash
# EMO-DB: ten German actors, seven emotions of which boredom is left out. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
