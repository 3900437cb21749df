"""Checkpoints that are complete or absent.

A checkpoint is a folder `step_<N>` with tensors in safetensors and a manifest with the SHA-256 of each file. It is
written under a temporary name, flushed and renamed; an interrupted write never looks like a checkpoint, and a
damaged one is skipped for the one before. Beside them, `epoch_<N>` holds the weights of an epoch that is kept.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from c2ser.log import get_logger
from c2ser.tables import lock, read_json, write_json
from c2ser.tensors import read_tensors, whole_folder, write_tensors
from c2ser.training.settings import flat

logger = get_logger(__name__)

MANIFEST = "manifest.json"

SETTINGS = ("optim", "training", "objective")
"""The groups of a training's settings that change its result."""

OPTIMISER = "optimiser"
"""The group of tensors with the optimiser's state."""

FORMAT = 2
"""Raised when a training cannot go on from checkpoints of older versions."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock a folder of checkpoints, so that no second training writes into it.

    Raises:
        OSError: another training is running there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, f"{folder}: another training writes into it; wait for it, or stop it")
        yield
    finally:
        os.close(handle)


def save(
    folder: Path, step: int, tensors: dict[str, dict[str, Tensor]], optimiser: dict[str, Tensor], state: Any
) -> Path:
    """Write the checkpoint of a step.

    Args:
        folder: the folder of all checkpoints.
        step: optimiser steps done.
        tensors: groups of tensors; each becomes `<group>.safetensors`.
        optimiser: the optimiser's state.
        state: anything JSON can hold (scores, history).

    Returns:
        the checkpoint's folder.
    """
    return _write(folder / _name(step), step, {**tensors, OPTIMISER: optimiser}, state)


def save_epoch(folder: Path, epoch: int, step: int, trained: dict[str, Tensor]) -> Path:
    """Write the weights of an epoch and return their folder."""
    return _write(folder / f"epoch_{epoch}", step, {"trained": trained}, {"step": step, "epoch": epoch})


def _write(final: Path, step: int, tensors: dict[str, dict[str, Tensor]], state: Any) -> Path:
    """Write a folder completely or not at all.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """
    for leftover in final.parent.glob(".*"):  # of an interrupted write; the disk may have no room for both
        shutil.rmtree(leftover, ignore_errors=True)
    with whole_folder(final) as folder:
        for group, values in tensors.items():
            write_tensors(folder / f"{group}.safetensors", values)
        write_json(folder / "state.json", state)
        digests = {path.name: digest(path) for path in sorted(folder.iterdir())}
        write_json(folder / MANIFEST, {"format": FORMAT, "step": step, "files": digests})
    return final


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_valid(checkpoint: Path) -> bool:
    """Return whether a checkpoint holds every file of its manifest, unchanged."""
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


def begun_with(folder: Path) -> dict[str, Any] | None:
    """Return the settings of the training whose checkpoints are there, or None; by the newest that can be read."""
    for checkpoint in sorted(folder.glob("step_*"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):
            settings: dict[str, Any] = read_json(checkpoint / "state.json")["settings"]
            return settings
    return None


def load(checkpoint: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor], Any]:
    """Return (groups of tensors, optimiser's state, state) of a checkpoint, on the CPU."""
    tensors = {path.stem: read_tensors(path) for path in checkpoint.glob("*.safetensors")}
    return tensors, tensors.pop(OPTIMISER, {}), read_json(checkpoint / "state.json")


def check_format(checkpoint: Path, out: Path) -> None:
    """Refuse a checkpoint of an older version.

    Raises:
        ValueError: its training was begun by an older version.
    """
    if read_json(checkpoint / MANIFEST).get("format") != FORMAT:
        raise ValueError(
            f"{out}: its checkpoints are of an older version of the toolkit; finish the training with that version, "
            "or remove them, or change --out"
        )


def check_settings(old: dict[str, Any], new: dict[str, Any], out: Path) -> None:
    """Refuse checkpoints that were made with other settings.

    Raises:
        ValueError: there are differences; the message names them.
    """
    before, now = (_comparable(settings) for settings in (old, new))
    changed = [
        f"{name}: {before.get(name)} then, {now.get(name)} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        difference = "; ".join(changed)
        raise ValueError(f"{out}: its checkpoints have other settings ({difference}); remove them or change --out")


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what changes a training's result; processes take turns, so their number alone does not."""
    parts = {name: settings[name] for name in SETTINGS}
    training = dict(parts["training"])
    per_step = training.pop("accumulate") * settings["processes"]
    return flat({**parts, "training": training, "micro-batches of a step": per_step})


def prune(folder: Path, step: int, keep: int, best: Path | None) -> None:
    """Delete all but the `keep` newest checkpoints and the best one.

    Args:
        folder: the folder of all checkpoints.
        step: the step of the newest whole one; those of later steps are damaged, since training went on from before.
        keep: how many.
        best: the best checkpoint.
    """
    checkpoints = sorted(folder.glob("step_*"))
    good = [path for path in checkpoints if path.name <= _name(step)]
    for checkpoint in checkpoints:
        if checkpoint not in (*good[-keep:], best):
            shutil.rmtree(checkpoint)


def _name(step: int) -> str:
    return f"step_{step:08d}"
