"""Say what is installed: a line for each package, CUDA and the GPUs, and what mends what is missing.

python tools/check_install.py

The status is 1 if something is missing that the recipes need.
"""

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from setup import EXTRAS, REQUIRES  # noqa: E402

CHECKPOINT = ROOT / "tools" / "penn" / "fcnf0++.pt"
MODELS = ROOT / "tools" / "models"
SMALL = ("whisper-base", "smollm2-135m-instruct")
"""The pretrained models of `--size small`."""
NEEDED_EXTRAS = ("espeak", "eval")
"""Extras that recipes use at their default settings."""


def name_of(requirement: str) -> str:
    """Return the name of a package out of its requirement."""
    return re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]


def check(requirement: str, extra: str | None) -> bool:
    """Print the line of a package; return whether it is there and new enough."""
    try:
        requirements = importlib.import_module("packaging.requirements")
    except ImportError:  # a bare environment
        requirements = importlib.import_module("pip._vendor.packaging.requirements")
    wanted = requirements.Requirement(requirement)
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    good = version is not None and wanted.specifier.contains(version, prereleases=True)
    sign = "<-" if extra in (None, *NEEDED_EXTRAS) else "optional:"
    note = "" if good else f"   {sign} python -m pip install '{requirement}'"
    print(f"{wanted.name:18} {version or '-':14} {'[' + extra + ']' if extra else '':9}{note}")
    return good


def check_torch() -> bool:
    """Print which CUDA torch has and which cards it sees; return whether torch can be imported."""
    try:
        import torch
        import torchaudio  # noqa: F401 - a pair of different releases fails here
    except (ImportError, OSError) as error:
        print(f"torch cannot be used: {error}   <- make tools")
        return False
    cuda = torch.version.cuda or "none"
    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"{'CUDA':18} {cuda}")
    print(f"{'GPUs':18} {', '.join(cards) or 'none: give recipes --ngpu 0'}")
    return True


def main() -> int:
    """Print everything; return the status."""
    print(f"{'Python':18} {sys.version.split()[0]:14} {sys.executable}")
    good = [sys.version_info >= (3, 11)]
    good += [check(requirement, None) for requirement in REQUIRES]
    for extra, requirements in EXTRAS.items():
        found = [check(requirement, extra) for requirement in requirements]
        if extra in NEEDED_EXTRAS:
            good += found
    good.append(check_torch())
    place = "tools/penn" if CHECKPOINT.is_file() else "-   <- make tools; else it comes from the hub on first use"
    print(f"{'PENN checkpoint':18} {place}")
    place = "tools/models" if all((MODELS / name).is_dir() for name in SMALL) else "-   optional: make small"
    print(f"{'models of small':18} {place}")
    print("complete" if all(good) else "incomplete: run the commands behind the arrows, or make tools for all of them")
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
