#!/usr/bin/env bash
# BIIC-Podcast 1.01: Taiwanese Mandarin podcasts, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
