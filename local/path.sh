# shellcheck shell=bash
# The environment of all recipes; source it. `root` is the project's root.
# An active conda or virtual environment that has the packages is used as it is, else tools/venv. C2SER_NEEDS may name
# further Python packages that it must have.

# shellcheck disable=SC2154 # root is set by the script that sources this
_has_packages() {
    # shellcheck disable=SC2086 # C2SER_NEEDS is a list
    "$1" -c 'import importlib.util, sys; sys.exit(any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))' \
        torch torchaudio transformers peft penn jsonargparse phonemizer ${C2SER_NEEDS-} 2> /dev/null
}

if [[ $root == *[:$'\n']* ]]; then
    printf '%s: no search path can hold the colon or line break in %q; rename that folder\n' "${0##*/}" "$root" >&2
    exit 1
fi
if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && _has_packages python; then
    :
elif [ -x "$root/tools/venv/bin/python" ]; then
    PATH=$root/tools/venv/bin:$PATH
elif ! _has_packages python; then
    printf '%s: no Python with the packages; run "make tools" in %s\n' "${0##*/}" "$root" >&2
    exit 1
fi
export PATH=$root/utils:$PATH PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
export LC_ALL=C PYTHONUTF8=1 PYTHONUNBUFFERED=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TOKENIZERS_PARALLELISM=false

# json WORD: it as a string of JSON.
json() {
    local word=${1//\\/\\\\}
    printf '"%s"' "${word//\"/\\\"}"
}

# listed WORD...: a list of strings as JSON.
listed() {
    local word list=
    for word in "$@"; do list+=$(json "$word"),; done
    echo "[${list%,}]"
}

# py NAME ARGUMENT...: run an entry point.
py() {
    python -m "c2ser.bin.$1" "${@:2}"
}
