#!/usr/bin/env bash
# MELD: clips of the series Friends, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
