#!/usr/bin/env bash
# Put into one folder what a machine with a GPU but without a network lacks, at most 64 MiB; check.sh --pack uses it.
#     tools/gpu/pack.sh FOLDER [PYTHON_VERSION]
# It brings wheels for Linux on x86-64 and Python 3.12 unless another version is given, of the releases installed here, and
# PENN's checkpoint without the state of its optimiser; of torbi, which PENN imports, only what the release of torch
# installed here needs.
set -euo pipefail
if [ "${1-}" = --help ]; then
    sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit
fi
[ $# -ge 1 ] || { echo "pack.sh: give a folder" >&2; exit 2; }
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$1 python_version=${2:-3.12}
. "$root/local/path.sh"
packages=(jsonargparse docstring-parser typeshed-client soundfile kaldiio penn torchutil yapecs pyloudnorm cffi pycparser torbi)
mkdir -p "$folder"
platforms=()
for platform in manylinux_2_34_x86_64 manylinux_2_28_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64 manylinux1_x86_64; do
    platforms+=(--platform "$platform")
done
for package in "${packages[@]}"; do
    version=$(python -c 'import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))' "$package")
    python -m pip download -q --no-deps --only-binary=:all: --implementation cp --python-version "$python_version" \
        "${platforms[@]}" -d "$folder" "$package==$version" \
        || echo "pack.sh: no wheel of $package $version; the parts that need it will fail there" >&2
done
python - "$folder" << 'END'
import importlib.metadata
import re
import sys
import zipfile
from pathlib import Path

kept = "pt" + "".join(importlib.metadata.version("torch").split(".")[:2])
for wheel in Path(sys.argv[1]).glob("torbi-*.whl"):
    whole = wheel.rename(wheel.with_suffix(".whole"))

    def is_other(line):
        library = re.search(r"_C\.(pt\d+)(cu\d+|cpu)\.", line)
        return library is not None and library[1] != kept

    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(".dist-info/RECORD"):
                content = b"".join(line for line in content.splitlines(True) if not is_other(line.decode()))
            if not is_other(name):
                target.writestr(name, content)
    whole.unlink()
END
python - "$root/tools/penn/fcnf0++.pt" "$folder/fcnf0++.pt" << 'END'
import sys
from pathlib import Path

import torch

source, target = map(Path, sys.argv[1:])
if source.exists():
    content = torch.load(source, map_location="cpu", weights_only=True)
    torch.save({"model": content["model"]}, target)
END
size=$(du -sm "$folder" | cut -f 1)
echo "$folder: $size MiB"
[ "$size" -le 64 ] || { echo "pack.sh: over 64 MiB; leave something out" >&2; exit 1; }
