#!/usr/bin/env bash
# CREMA-D: 91 American actors, twelve sentences, six emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
