#!/usr/bin/env bash
# Emotions in Polish speech: five men, six words, three emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh "$@"
