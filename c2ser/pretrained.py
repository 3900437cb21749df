"""Pretrained models of transformers: complete, or refused in one line that says what is wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file, logging
from transformers.utils.hub import get_checkpoint_shard_files

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


def map_causal_lm(name: str, sizes: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel | None:
    """Make a causal language model of weights that stay in their files until something uses them.

    They are not looked at: whoever reads them must check them.

    Args:
        name: folder or hub id.
        sizes: its configuration.
        dtype: what the weights become; those of another type are read at once.

    Returns:
        the model; None if its files are of another kind, or name their weights otherwise than transformers does.

    Raises:
        ValueError: a file is damaged.
    """
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(sizes, dtype=dtype, trust_remote_code=False)
    model.tie_weights()
    with readable(name, "language model", "download it again"):
        mapped = _map_safetensors(name)
    wanted = {key: weight.shape for key, weight in model.named_parameters()}
    if any(key not in mapped or mapped[key].shape != shape for key, shape in wanted.items()):
        return None
    model.load_state_dict({key: mapped[key].to(dtype) for key in wanted}, strict=False, assign=True)
    model.tie_weights()
    return model.eval()


def _map_safetensors(name: str) -> dict[str, Tensor]:
    """Return the tensors of a model's safetensors files by their names there, without reading them."""
    index = cached_file(name, SAFE_WEIGHTS_INDEX_NAME, _raise_exceptions_for_missing_entries=False)
    single = None if index else cached_file(name, SAFE_WEIGHTS_NAME, _raise_exceptions_for_missing_entries=False)
    files = get_checkpoint_shard_files(name, index)[0] if index else [single] if single else []
    tensors: dict[str, Tensor] = {}
    for path in files:
        with safe_open(path, framework="pt") as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
    return tensors
