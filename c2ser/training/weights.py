"""What a checkpoint holds of a training: the trainable weights and the state of the optimiser.

Both are read and written as full tensors under the weights' names, even if processes shard them (FSDP2), so that a
checkpoint does not depend on the number of processes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from c2ser.training.config import OptimConfig
from c2ser.training.objective import Objective


class Weights:
    """The trainable weights of a module, and their optimiser.

    Args:
        module: what is trained.
        optimiser: its optimiser.
    """

    def __init__(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        self.parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.optimiser = optimiser

    def trainable_state_dict(self) -> dict[str, Tensor]:
        """Return the weights; if processes shard them, all processes must call it."""
        return {name: gather(parameter) for name, parameter in self.parameters.items()}

    def optimizer_state_dict(self) -> dict[str, Tensor]:
        """Return the optimiser's state as `<quantity>/<weight>`; if processes shard it, all must call it."""
        state = self.optimiser.state
        return {
            f"{quantity}/{name}": gather(value)
            for name, parameter in self.parameters.items()
            for quantity, value in state.get(parameter, {}).items()
        }

    @torch.no_grad()
    def load_trainable_state_dict(self, tensors: Mapping[str, Tensor], source: Path) -> None:
        """Load weights.

        Raises:
            ValueError: they belong to another model.
        """
        check_fit(tensors, self.parameters, source)
        for name, parameter in self.parameters.items():
            parameter.copy_(shard(tensors[name], parameter))

    def load_optimizer_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the optimiser's state."""
        for key, value in tensors.items():
            quantity, _, name = key.partition("/")
            parameter = self.parameters[name]
            # a count of steps is a single number and stays on the CPU
            self.optimiser.state[parameter][quantity] = shard(value, parameter) if value.dim() else value

    def check_finite(self) -> None:
        """Refuse weights with which no training can continue.

        Raises:
            ValueError: one is not a number or infinite.
        """
        for name, parameter in self.parameters.items():
            local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
            if not torch.isfinite(local).all():
                raise ValueError(f"{name}: holds weights that are not finite; start from another model")


def parameter_groups(objective: Objective, optim: OptimConfig, out: Path) -> list[dict[str, Any]]:
    """Return the trainable parameters as groups for an optimiser, each with its `peak` learning rate.

    Raises:
        ValueError: there are none, or a part with a rate of its own has none.
    """
    trainable = {name: p for name, p in objective.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError(f"{out}: nothing to train; every parameter is frozen by the configuration")
    parts = {name: objective.part_of(name) for name in trainable}
    if unknown := sorted({*optim.lr_by_part} - {*parts.values()}):
        raise ValueError(f"optim.lr_by_part: {unknown[0]} is not trained; name {', '.join(sorted({*parts.values()}))}")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in trainable.items():
        groups.setdefault(optim.lr_by_part.get(parts[name], optim.lr), []).append(parameter)
    return [{"params": group, "lr": peak, "peak": peak} for peak, group in groups.items()]


def check_fit(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], source: Path) -> None:
    """Refuse tensors that do not fit the parameters.

    Raises:
        ValueError: a name is missing or unknown, or a shape differs.
    """
    there, here = ({name: tuple(t.shape) for name, t in group.items()} for group in (tensors, parameters))
    mismatched = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    if mismatched:
        first = mismatched[0]
        shapes = f"{first}: {there.get(first, 'absent')} there, {here.get(first, 'absent')} in the model"
        raise ValueError(
            f"{source}: {len(mismatched)} weights do not fit ({shapes}); give the settings that it was trained with"
        )


def gather(tensor: Tensor) -> Tensor:
    """Return a sharded tensor as a full one; any other tensor as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a full tensor sharded as a parameter is."""
    tensor = tensor.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return tensor
    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements, src_data_rank=None)
