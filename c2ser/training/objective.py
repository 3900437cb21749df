"""What the training loop asks of a model."""

from typing import Any

import torch
from torch import nn


class Objective(nn.Module):
    """What is trained: a module that makes its own batches, computes its losses and validates itself.

    Attributes:
        leaves_out: whether a step may leave trained parameters without a gradient; several processes must know.
        steps: optimiser steps of the whole training; the loop sets it.
        chance: UA of guessing on the validation set; None where no UA is measured.
        thrift: what to do when the GPU has too little memory.
    """

    leaves_out = False
    steps: int = 0
    chance: float | None = None
    thrift: str = "lower batches.seconds and raise training.accumulate"

    def read(self, index: int) -> Any:
        """Return what the index-th micro-batch is made of; it must depend on the index alone.

        Threads call it ahead of time: it may read audio, but must leave alone the device, the model and torch's
        generator. An objective that reads nothing leaves it at the index.
        """
        return index

    def batch(self, read: Any) -> Any:
        """Return a micro-batch, made of what `read` returned and of nothing else."""
        raise NotImplementedError

    def forward(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """Return scalar losses; "loss" is minimised, all are logged. `step` counts optimiser steps from 0."""
        raise NotImplementedError

    def validate(self, step: int) -> dict[str, float]:
        """Return validation figures; the checkpoint with the highest "score" wins."""
        raise NotImplementedError

    def micro_batches(self, epochs: int) -> int:
        """Return how many micro-batches so many epochs have."""
        raise NotImplementedError

    def kept_whole(self) -> list[nn.Module]:
        """Return the frozen modules that `batch` uses; each process keeps all of them when it shares the others."""
        return []

    def after_step(self, step: int) -> None:
        """Do what follows an optimiser step, for example update a teacher. `step` counts from 1."""

    def samples(self, step: int) -> dict[str, str]:
        """Return texts for TensorBoard."""
        return {}

    def settings(self) -> dict[str, Any]:
        """Return what a resumed run must share with the first one besides the loop's settings.

        Dataclasses and JSON values.
        """
        return {}

    def extra_state(self) -> dict[str, torch.Tensor]:
        """Return tensors beyond the trained parameters that a resume needs."""
        return {}

    def load_extra_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what `extra_state` gave."""
