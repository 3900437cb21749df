"""The interface between the training loop and what is trained."""

from typing import Any

import torch
from torch import nn


class Objective(nn.Module):
    """A module that makes its own batches, computes its losses and validates itself.

    Attributes:
        find_unused_parameters: whether a step may leave trainable parameters without a gradient, as
            DistributedDataParallel must know.
        steps: optimiser steps of the whole training; the loop sets it.
        chance: UA of guessing on the validation set; None if no UA is measured.
        oom_hint: what to do when the GPU runs out of memory.
    """

    find_unused_parameters = False
    steps: int = 0
    chance: float | None = None
    oom_hint: str = "lower batches.seconds and raise training.accumulate"

    def load_raw(self, index: int) -> Any:
        """Load the data of the index-th micro-batch; it must depend on the index alone.

        Threads call it ahead of time: it may read audio, but must not use the device, the model or torch's random
        generator. An objective that loads nothing returns the index.
        """
        return index

    def make_batch(self, raw: Any) -> Any:
        """Return a micro-batch, made only of what `load_raw` returned."""
        raise NotImplementedError

    def forward(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """Return scalar losses; "loss" is minimised, all are logged. `step` counts optimiser steps from 0."""
        raise NotImplementedError

    def validate(self, step: int) -> dict[str, float]:
        """Return validation figures; the checkpoint with the highest "score" wins."""
        raise NotImplementedError

    def num_micro_batches(self, epochs: int) -> int:
        """Return the number of micro-batches in the first N epochs."""
        raise NotImplementedError

    def part_of(self, name: str) -> str:
        """Return the part that the parameter of this name belongs to; parts can have learning rates of their own."""
        return name.removeprefix("model.").split(".", 1)[0]

    def layers(self) -> list[nn.Module]:
        """Return the Transformer layers that are trained, or that gradients pass through."""
        return []

    def ignored_modules(self) -> list[nn.Module]:
        """Return the frozen modules that `make_batch` uses; FSDP does not shard them."""
        return []

    def use_bfloat16(self) -> None:
        """Prepare for computing in bfloat16, such as by keeping frozen weights in it; trained ones stay float32."""

    def update_ema(self, step: int) -> None:
        """Update moving averages after an optimiser step, such as a teacher. `step` counts from 1."""

    def samples(self, step: int) -> dict[str, str]:
        """Return texts for TensorBoard."""
        return {}

    def settings(self) -> dict[str, Any]:
        """Return settings that a resumed run must share with the first one, besides those of the loop.

        Dataclasses and JSON values.
        """
        return {}

    def extra_state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that a resume needs besides the trainable parameters."""
        return {}

    def load_extra_state(self, state: dict[str, torch.Tensor]) -> None:
        """Load what `extra_state` returned."""


def wrap_forward(module: nn.Module, autocast: torch.autocast) -> None:
    """Make a module compute `forward` under autocast, inside of all that is wrapped around the module later."""
    module.forward = autocast(module.forward)
