#!/usr/bin/env bash
# ASVP-ESD: speech and other voices from films and the web, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
