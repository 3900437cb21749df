"""How a training runs, whatever is trained."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

import torch
from torch import nn

from c2ser.training.schedule import Schedule


@dataclass
class OptimConfig:
    """AdamW and its schedule; the defaults are those of C²SER (section V.A and the published configuration).

    Attributes:
        lr: peak learning rate.
        betas: AdamW's.
        weight_decay: AdamW's.
        eps: AdamW's.
        warmup: share of the steps in which the learning rate rises.
        schedule: what follows the warm-up.
        clip: largest norm of the gradient.
    """

    lr: float = 5e-5
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    eps: float = 1e-6
    warmup: float = 0.15
    schedule: Schedule = "warmup_inverse_sqrt"
    clip: float = 5.0

    def optimiser(self, parameters: Sequence[nn.Parameter]) -> torch.optim.AdamW:
        """Return AdamW for these parameters."""
        return torch.optim.AdamW(parameters, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay)


@dataclass
class TrainConfig:
    """How long to train and how often to look.

    Attributes:
        steps: optimiser steps.
        epochs: passes over the training set; where given, the number of steps follows from it.
        keep_epochs: epochs whose weights become models of their own; 0 is what training starts from.
        accumulate: micro-batches per step and process.
        log_every: steps between two TensorBoard points.
        valid_every: steps between two validations; with `epochs`, each epoch ends with one too.
        save_every: steps between two checkpoints.
        keep: newest checkpoints kept besides the best.
        readers: threads of each process that read the audio of the next micro-batches; they do not touch the result.
        seed: decides initial weights, batches, masks and dropout.
        precision: bf16 uses autocast with fp32 masters; for GPUs.
    """

    steps: int = 1000
    epochs: int | None = None
    keep_epochs: list[int] = field(default_factory=list)
    accumulate: int = 1
    log_every: int = 10
    valid_every: int = 100
    save_every: int = 100
    keep: int = 2
    readers: int = 2
    seed: int = 777
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        """Refuse counts that mean nothing."""
        counts = ("steps", "accumulate", "log_every", "valid_every", "save_every", "keep", "readers")
        if low := [name for name in counts if getattr(self, name) < 1]:
            raise ValueError(f"training.{low[0]} is {getattr(self, low[0])}; give 1 or more")

    def ends(self, micro_batches: Callable[[int], int], per_step: int) -> dict[int, int]:
        """Return the epoch that ends with each step, where epochs are asked for.

        Args:
            micro_batches: gives how many so many epochs have.
            per_step: micro-batches of a step, those of all processes together.

        Raises:
            ValueError: an epoch is to be kept that is not trained, or that ends in the same step as a later one.
        """
        epochs = range(1, (self.epochs or 0) + 1)
        if not {*self.keep_epochs} <= {0, *epochs}:
            raise ValueError("training.keep_epochs names an epoch that is not trained; raise training.epochs")
        ends = {ceil(micro_batches(epoch) / per_step): epoch for epoch in epochs}
        if not {*self.keep_epochs} <= {0, *ends.values()}:
            raise ValueError("training.keep_epochs names an epoch shorter than a step; lower training.accumulate")
        return ends


def fingerprint(rows: Iterable[Any]) -> str:
    """Return a hash of JSON values, by which a resumed run knows the data that it was begun with."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return settings as JSON holds them: dataclasses as objects, tuples as lists."""
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested JSON settings under names with dots."""
    found = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found
