#!/usr/bin/env bash
# SUBESCO: ten women and ten men who speak Bangla, ten sentences, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
