"""Files of tensors and their folders: written completely or not at all, read with one-line errors."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from c2ser.tables import lock, write_json


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


def write_weights(
    folder: str | Path, weights: str, tensors: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Write weights and config.json into a folder; each file appears when it is complete.

    config.json, which loading needs, goes first and comes last: a folder that has one is whole.

    Args:
        folder: where to; it is made if it is not there.
        weights: name of the safetensors file.
        tensors: what goes into it.
        description: the content of config.json.

    Raises:
        OSError: a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)
    temporary = folder / f".{weights}.tmp"
    write_tensors(temporary, tensors)
    os.replace(temporary, folder / weights)
    write_json(folder / "config.json", description)


def flush(path: Path) -> None:
    """Bring a file, or the list of files of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `folder` when the block ends without an error.

    Raises:
        OSError: another process is writing it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("tmp", "old"))
    handle = _claim(temporary, folder)
    try:
        yield from _filled(temporary, old, folder)
    finally:
        os.close(handle)


def _claim(temporary: Path, folder: Path) -> int:
    """Lock the temporary folder, which is empty then, as long as the handle that is returned is open."""
    while True:
        temporary.mkdir(exist_ok=True)
        handle = os.open(temporary, os.O_RDONLY)
        try:
            lock(handle, f"{folder}: another run is writing it; wait for it, or stop it")
        except OSError:
            os.close(handle)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(temporary), os.fstat(handle)):  # else another run has just put it in its place
                for left in temporary.iterdir():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                return handle
        os.close(handle)


def _filled(temporary: Path, old: Path, folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, and put it in its place when it is full."""
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
