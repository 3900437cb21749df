#!/usr/bin/env bash
# MSP-Podcast 1.11: English podcasts, seven emotions. All options: --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../local/c2ser.sh --test-sets "test1 test2" "$@"
