#!/usr/bin/env bash
# Emo-Emilia's way to labels: Emilia, what its sound and its words say, a sample, experts. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/label.sh "$@"
