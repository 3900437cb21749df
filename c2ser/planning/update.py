"""One update of a training, as the training loop makes it, with real tensors or with fake ones that are counted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from c2ser.planning.counting import CostCounter, Kernel, backward, pretended
from c2ser.planning.hollow import filled_with_fakes
from c2ser.training.config import OptimConfig, TrainConfig
from c2ser.training.fewer_kernels import use_fewer_kernels
from c2ser.training.objective import Objective
from c2ser.training.weights import make_optimiser

FEATURES, FORWARD, BACKWARD, UPDATE = "features", "forward", "backward", "update"
"""The phases of a step."""

GIB = 2**30


@dataclass
class Memory:
    """Bytes.

    Attributes:
        frozen: weights that are not trained.
        trained: weights that are trained, in float32.
        moments: what AdamW keeps of each trained weight.
        gradients: of the trained weights.
        features: what a micro-batch consists of.
        activations: what the forward pass keeps for the backward pass.
        peak: the most at one time.
        when: in which phase that is.
    """

    frozen: int
    trained: int
    moments: int
    gradients: int
    features: int
    activations: int
    peak: int
    when: str

    @property
    def fixed(self) -> int:
        """What does not depend on the batch."""
        return self.frozen + self.trained + self.moments + self.gradients


@dataclass
class Counted:
    """What one micro-batch and one update cost.

    Attributes:
        memory: in bytes.
        kernels: how many there are of each, by phase.
        reads: how often the host waits for a value of the card, by phase, at most.
    """

    memory: Memory
    kernels: dict[str, dict[Kernel, int]] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)


class Update:
    """The parts of an update.

    Args:
        objective: what is trained.
        optim: its optimiser.
        bfloat16: whether matrices are multiplied in bfloat16; the objective has been prepared for it.
        fused: whether AdamW is one kernel, as on a card.
    """

    def __init__(self, objective: Objective, optim: OptimConfig, bfloat16: bool, fused: bool) -> None:
        self.objective, self.optim, self.bfloat16 = objective.train(), optim, bfloat16
        self.optimiser = make_optimiser(objective, optim, Path(), fused)
        self.trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]

    def begin(self, keep_gradients: bool) -> None:
        """Make the optimiser's moments, as after the first update, and gradients where micro-batches add to them."""
        for parameter in self.trained:
            parameter.grad = torch.zeros_like(parameter)
        self.optimiser.step()
        if not keep_gradients:
            self.optimiser.zero_grad(set_to_none=True)

    def loss(self, batch: Any) -> torch.Tensor:
        """Return the loss of a batch, in the precision of the training."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            return self.objective(batch, 0)["loss"]

    def finish(self) -> None:
        """Clip the gradients and change the weights."""
        torch.nn.utils.clip_grad_norm_(self.trained, self.optim.clip or float("inf"), foreach=True)
        self.optimiser.step()
        self.objective.update_ema(1)
        self.optimiser.zero_grad(set_to_none=True)


def count_update(
    make: Callable[[], Objective],
    raw: Callable[[Objective], Any],
    optim: OptimConfig,
    training: TrainConfig,
    card: bool,
) -> Counted:
    """Count one micro-batch and the update after it; nothing is computed.

    Args:
        make: returns the objective, on the meta device.
        raw: returns the data of the micro-batch, as the objective's `load_raw` does.
        optim: the optimiser.
        training: of which precision, kernels, compiled layers and micro-batches of an update count.
        card: whether to count as on a card.
    """
    objective, bfloat16 = make(), training.precision != "fp32"
    if card and training.fewer_kernels:
        use_fewer_kernels(objective, objective.layers())
    if bfloat16:
        objective.use_bfloat16()
    data = raw(objective)
    with pretended(card) as counter:
        filled_with_fakes(objective)
        if training.compiled:
            counter.compile(objective.layers())
        update = Update(objective, optim, bfloat16, fused=card)
        update.begin(training.accumulate > 1)
        return _counted(update, data, counter)


def _counted(update: Update, data: Any, counter: CostCounter) -> Counted:
    counter.restart()
    fixed = counter.live
    with counter.during(FEATURES):
        batch = update.objective.make_batch(data)
    features = counter.live - fixed
    with counter.during(FORWARD):
        loss = update.loss(batch)
    activations = counter.live - fixed - features
    with counter.during(BACKWARD):
        backward(loss)
    del loss, batch
    with counter.during(UPDATE):
        update.finish()
    frozen, trained = (
        sum(p.numel() * p.element_size() for p in update.objective.parameters() if p.requires_grad == wanted)
        for wanted in (False, True)
    )
    memory = Memory(frozen, trained, 2 * trained, trained, features, activations, *counter.peak)
    return Counted(memory, {phase: dict(found) for phase, found in counter.kernels.items()}, dict(counter.reads))
