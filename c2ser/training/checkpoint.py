"""Checkpoints that are whole or absent.

A checkpoint is a folder `step_<N>` with safetensors for tensors, a `.pt` for the optimiser (read with `weights_only`)
and a manifest with the SHA-256 of each file. It is written under a temporary name, flushed and renamed; what a kill
leaves is never mistaken for a checkpoint, and a damaged one is passed over for the one before.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from c2ser.log import get_logger
from c2ser.tables import read_json, write_json

logger = get_logger(__name__)

MANIFEST = "manifest.json"


def save(
    folder: Path, step: int, tensors: dict[str, dict[str, torch.Tensor]], optimiser: dict[str, Any], state: Any
) -> Path:
    """Write the checkpoint of a step.

    Args:
        folder: the folder of all checkpoints.
        step: optimiser steps done.
        tensors: groups of tensors; each becomes `<group>.safetensors`.
        optimiser: the optimiser's state_dict.
        state: anything JSON can hold (scores, history).

    Returns:
        the checkpoint's folder.
    """
    final, temporary = folder / f"step_{step:08d}", folder / f".step_{step:08d}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for group, values in tensors.items():
        save_file({k: v.detach().cpu().contiguous() for k, v in values.items()}, temporary / f"{group}.safetensors")
    torch.save(optimiser, temporary / "optimiser.pt")
    write_json(temporary / "state.json", state)
    digests = {path.name: digest(path) for path in sorted(temporary.iterdir())}
    for name in digests:
        _flush(temporary / name)
    write_json(temporary / MANIFEST, {"step": step, "files": digests})
    _flush(temporary)
    if final.exists():
        shutil.rmtree(final)
    os.replace(temporary, final)
    _flush(folder)
    return final


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_valid(checkpoint: Path) -> bool:
    """Tell whether a checkpoint holds every file of its manifest, unchanged."""
    try:
        files = read_json(checkpoint / MANIFEST)["files"]
        return all(digest(checkpoint / name) == value for name, value in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def newest(folder: Path) -> Path | None:
    """Return the newest valid checkpoint, or None; damaged ones are named in the log."""
    for checkpoint in sorted(folder.glob("step_*"), reverse=True):
        if is_valid(checkpoint):
            return checkpoint
        logger.warning("%s is damaged; trying the one before", checkpoint)
    return None


def load(checkpoint: Path) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Any], Any]:
    """Return (groups of tensors, optimiser state, state) of a checkpoint, on the CPU."""
    tensors = {path.stem: load_file(path) for path in checkpoint.glob("*.safetensors")}
    optimiser = torch.load(checkpoint / "optimiser.pt", weights_only=True, map_location="cpu")
    return tensors, optimiser, read_json(checkpoint / "state.json")


def prune(folder: Path, keep: int, best: Path | None) -> None:
    """Delete all but the `keep` newest checkpoints and the best one, and what kills have left behind."""
    checkpoints = sorted(folder.glob("step_*"))
    for checkpoint in checkpoints[: max(0, len(checkpoints) - keep)]:
        if checkpoint != best:
            shutil.rmtree(checkpoint)
    for leftover in folder.glob(".step_*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
