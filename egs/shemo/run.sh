#!/usr/bin/env bash
# ShEMO: Persian radio plays, six emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
