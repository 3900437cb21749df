"""Fetch the checkpoint of the pitch tracker PENN, from the hub or else out of the wheel of an early release.

python tools/get_penn_checkpoint.py tools/penn/fcnf0++.pt

Where the file came from is noted beside it in SOURCE. Whatever the source, the file must be the one known here.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

SHA256 = "28d89add04722461f831249a338b74516a96dedd3301ed794c18953d51d1b960"
REPOSITORY = "maxrmorrison/fcnf0-plus-plus"
RELEASE = "penn==0.0.5"
MEMBER = "penn/assets/checkpoints/fcnf0++.pt"
PATIENCE = 10
"""Seconds to wait for the hub's first answer."""


def from_hub(folder: Path) -> Path:
    """Download the file from the hub, if that answers soon."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants, hf_hub_download

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    with urllib.request.urlopen(f"{constants.ENDPOINT}/api/models/{REPOSITORY}", timeout=PATIENCE):
        pass
    return Path(hf_hub_download(REPOSITORY, "fcnf0++.pt", local_dir=folder))


def from_wheel(folder: Path) -> Path:
    """Take the file out of the wheel that still contained it."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]
    subprocess.run([*command, "--quiet", f"--dest={folder}", RELEASE], check=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "fcnf0++.pt"
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as packed, open(target, "wb") as file:
        shutil.copyfileobj(packed, file)
    return target


def check(path: Path) -> None:
    """Raise ValueError unless the file is the known checkpoint."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f"{path.name}: sha256 {found} instead of {SHA256}")


def fetch(target: Path) -> str:
    """Bring the checkpoint to `target` and return the source that had it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source, get in ((f"hub repository {REPOSITORY}", from_hub), (f"wheel of {RELEASE}", from_wheel)):
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
            try:
                got = get(Path(folder))
                check(got)
            except Exception as error:  # whatever keeps one source from working, the other may
                reasons.append(f"{source}: {' '.join(str(error).split())}")
                continue
            (target.parent / "SOURCE").write_text(f"{target.name}: {source}, sha256 {SHA256}\n", "utf-8")
            os.replace(got, target)
            return source
    raise SystemExit(
        "the checkpoint of PENN could not be fetched (" + "; ".join(reasons) + f"); copy fcnf0++.pt to {target} by hand"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: get_penn_checkpoint.py TARGET")
    print(f"PENN's checkpoint: from the {fetch(Path(sys.argv[1]))}")
