#!/usr/bin/env bash
# MEAD: actors of English in three strengths, eight labels. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
