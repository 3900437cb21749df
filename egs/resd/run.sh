#!/usr/bin/env bash
# RESD: Russian dialogues of actors, seven labels. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
