#!/usr/bin/env bash
# CaFE: twelve actors of Canadian French, six sentences, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
