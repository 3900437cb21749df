"""Frozen weights of which each process reads only the part that it keeps (FSDP2).

They are set aside before accelerate divides the module, which would otherwise bring each of them whole to every device.
Where they are only mapped from files, no process reads, or has room for, more than its own rows.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset


def set_aside(module: nn.Module, kept: Iterable[nn.Module] = ()) -> dict[str, Tensor]:
    """Replace a module's frozen weights by empty ones on the meta device; those that modules share stay shared.

    Args:
        module: what processes are going to divide.
        kept: parts of it that they are not.

    Returns:
        the weights by name, a shared one under each of its names.
    """
    whole = {id(parameter) for part in kept for parameter in part.parameters()}
    frozen = {
        name: parameter
        for name, parameter in module.named_parameters(remove_duplicate=False)
        if not parameter.requires_grad and id(parameter) not in whole
    }
    empty = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False) for p in frozen.values()}
    for name, parameter in frozen.items():
        _put(module, name, empty[id(parameter)])
    return {name: parameter.detach() for name, parameter in frozen.items()}


def read_shards(module: nn.Module, weights: Mapping[str, Tensor], device: torch.device) -> None:
    """Give a module that is divided now its frozen weights back: to each process the rows that it keeps.

    Args:
        module: the module, in which `set_aside` left empty weights.
        weights: what it returned.
        device: where the rows go.

    Raises:
        ValueError: a weight is NaN or infinite.
    """
    made: dict[int, nn.Parameter] = {}
    for name, empty in module.named_parameters(remove_duplicate=False):
        if name in weights and id(empty) not in made:
            made[id(empty)] = nn.Parameter(_filled(name, empty, weights[name], device), requires_grad=False)
    shards = {name: made[id(p)] for name, p in module.named_parameters(remove_duplicate=False) if name in weights}
    module.load_state_dict(shards, strict=False, assign=True)


def _filled(name: str, empty: Tensor, weight: Tensor, device: torch.device) -> Tensor:
    """Return a weight, or this process' part of it, like an empty one."""
    if not isinstance(empty, DTensor):
        return _checked(name, weight.to(device, empty.dtype))
    sizes, starts = compute_local_shape_and_global_offset(empty.shape, empty.device_mesh, empty.placements)
    part = weight
    for axis, (size, start) in enumerate(zip(sizes, starts, strict=True)):
        part = part.narrow(axis, min(start, part.shape[axis]), size)
    local = _checked(name, part.to(device, empty.dtype, copy=True))
    return DTensor.from_local(
        local, empty.device_mesh, empty.placements, run_check=False, shape=empty.shape, stride=empty.stride()
    )


def _checked(name: str, weight: Tensor) -> Tensor:
    if not torch.isfinite(weight).all():
        raise ValueError(f"{name}: holds NaN or Inf; download the model that it is of again")
    return weight


def _put(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
    owner, _, own = name.rpartition(".")
    setattr(module.get_submodule(owner), own, parameter)
