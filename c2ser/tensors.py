"""Files of tensors and their folders: written completely or not at all, read with one-line errors."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, readable by everybody; it is on the disk when this returns.

    Raises:
        OSError: it cannot be written, for example because the disk is full; then no part of it stays.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(content, path)
        flush(path)
        os.chmod(path, 0o644)
    except (SafetensorError, OSError) as error:
        path.unlink(missing_ok=True)
        raise OSError(f"{path}: cannot be written ({error}); free space on the disk, or write elsewhere") from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ValueError: it is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: missing or damaged ({error}); copy it again from its source") from None


def flush(path: Path) -> None:
    """Bring a file, or the list of files of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `folder` when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("tmp", "old"))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for path in [*temporary.rglob("*"), temporary]:
            flush(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
