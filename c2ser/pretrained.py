"""Pretrained models of transformers: complete, or refused in one line that says what is wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from c2ser.log import one_line

PLACE = "tools/models/"
"""Where the project keeps small models; `make small` brings them."""


def find_model(name: str, what: str) -> str:
    """Return a model's folder or hub id; a path in `PLACE` is taken in the project, from whatever folder it is called.

    Args:
        name: the model.
        what: what it should be, for messages.

    Raises:
        ValueError: a path in `PLACE` is no folder.
    """
    if Path(name).is_dir() or not name.startswith(PLACE):
        return name
    folder = Path(__file__).parents[1] / name
    if not folder.is_dir():
        raise ValueError(f"{folder}: no {what} here; run make small, or put the model's files there")
    return str(folder)


@contextmanager
def readable(name: str, what: str, remedy: str) -> Iterator[None]:
    """Turn whatever transformers raises while it reads a model's files into one line.

    Files with fields of the wrong type, lists for mappings or deep nesting make it raise nearly anything.

    Args:
        name: the model.
        what: what it should be.
        remedy: what to do.

    Raises:
        ValueError: it could not be read.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{name}: no {what} that loads ({one_line(error)}); {remedy}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from listing hundreds of weights before the one line that says what is wrong."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def read_sizes(name: str, what: str) -> PretrainedConfig:
    """Return the configuration of a model, given as folder or hub id.

    Args:
        name: the model.
        what: what it should be, for messages.

    Raises:
        ValueError: there is no such model.
    """
    with readable(name, what, "check its folder or hub id"):
        return AutoConfig.from_pretrained(name, trust_remote_code=False)


def load_pretrained(
    kind: Any, name: str, what: str, part: str = "", spare: Sequence[str] = (), **options: Any
) -> PreTrainedModel:
    """Load a model and check its weights: transformers fills weights that a file lacks with random numbers.

    Args:
        kind: class of transformers that loads it.
        name: folder or hub id.
        what: what it should be, for messages.
        part: prefix of the weights that are checked.
        spare: weights that may be missing.
        options: arguments of `from_pretrained`.

    Raises:
        ValueError: there is no such model, its file is damaged, or a weight is missing, NaN or infinite.
    """
    with _quiet(), readable(name, what, "download it again"):
        model, report = kind.from_pretrained(name, output_loading_info=True, trust_remote_code=False, **options)
    if lacking := sorted(key for key in {*report["missing_keys"]} - {*spare} if key.startswith(part)):
        raise ValueError(f"{name}: its file lacks {len(lacking)} weights, as {lacking[0]}; download it again")
    for key, weight in model.named_parameters():
        if key.startswith(part) and not torch.stack(torch.aminmax(weight.detach())).isfinite().all():
            raise ValueError(f"{name}: {key} holds NaN or Inf; download it again")
    return model
