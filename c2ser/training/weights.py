"""What a checkpoint holds of a training: the weights that train and what the optimiser remembers of them.

Both are read and written as whole tensors under the weights' names, even where processes share them (FSDP2), so that a
checkpoint does not depend on how the work was spread.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


class Weights:
    """The weights of a module that train, and their optimiser.

    Args:
        module: what is trained.
        optimiser: its optimiser.
    """

    def __init__(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        self.parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.optimiser = optimiser

    def trained(self) -> dict[str, Tensor]:
        """Return the weights; where processes share them, all must call."""
        return {name: whole(parameter) for name, parameter in self.parameters.items()}

    def remembered(self) -> dict[str, Tensor]:
        """Return the optimiser's state as `<quantity>/<weight>`; where processes share it, all must call."""
        state = self.optimiser.state
        return {
            f"{quantity}/{name}": whole(value)
            for name, parameter in self.parameters.items()
            for quantity, value in state.get(parameter, {}).items()
        }

    @torch.no_grad()
    def load_trained(self, tensors: Mapping[str, Tensor], source: Path) -> None:
        """Take weights over.

        Raises:
            ValueError: they are those of another model.
        """
        check_fit(tensors, self.parameters, source)
        for name, parameter in self.parameters.items():
            parameter.copy_(_spread(tensors[name], parameter))

    def load_remembered(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the optimiser's state over."""
        for key, value in tensors.items():
            quantity, _, name = key.partition("/")
            parameter = self.parameters[name]
            # a count of steps is a single number and stays on the CPU
            self.optimiser.state[parameter][quantity] = _spread(value, parameter) if value.dim() else value

    def check_finite(self) -> None:
        """Refuse weights that no training can go on from.

        Raises:
            ValueError: one is not a number or infinite.
        """
        for name, parameter in self.parameters.items():
            local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
            if not torch.isfinite(local).all():
                raise ValueError(f"{name}: holds weights that are not finite; start from another model")


def check_fit(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], source: Path) -> None:
    """Refuse tensors that are not those of the parameters.

    Raises:
        ValueError: a name is missing or unknown, or a shape differs.
    """
    there, here = ({name: tuple(t.shape) for name, t in group.items()} for group in (tensors, parameters))
    odd = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    if odd:
        shapes = f"{odd[0]}: {there.get(odd[0], 'absent')} there, {here.get(odd[0], 'absent')} in the model"
        raise ValueError(f"{source}: {len(odd)} weights do not fit ({shapes}); was the model or its rank changed?")


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor whose parts processes share in one piece; any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _spread(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a whole tensor in the form of a parameter."""
    tensor = tensor.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return tensor
    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements, src_data_rank=None)
