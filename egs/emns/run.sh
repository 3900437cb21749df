#!/usr/bin/env bash
# EMNS: a British woman tells, eight labels. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
