#!/usr/bin/env bash
# IEMOCAP: ten English actors in five dyadic sessions, four emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
