#!/usr/bin/env bash
# TESS: two Canadian actresses, 200 words, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
