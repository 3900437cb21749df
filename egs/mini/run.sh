#!/usr/bin/env bash
# The whole recipe in miniature: a synthetic corpus, made on the spot, and tiny random models. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh --db-root db --size tiny --nj 2 --decode-nj 2 --ngpu 0 "$@"
