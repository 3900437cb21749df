"""The processes of a training, as accelerate is configured to start them."""

import os
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import DistributedType, gather_object


class Room(NamedTuple):
    """The memory of a card for a training.

    Attributes:
        memory: GiB.
        sharing: how many processes divide the weights.
    """

    memory: float
    sharing: int = 1


def make_accelerator(find_unused_parameters: bool, accumulate: int, out: Path) -> Accelerator:
    """Return accelerate's view of the processes.

    Args:
        find_unused_parameters: see `Objective`.
        accumulate: micro-batches per step and process.
        out: the training's folder, for messages.

    Raises:
        ValueError: the processes do not see each other, or DeepSpeed is asked for.
    """
    parallel = DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters)
    accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[parallel])
    accelerator.gradient_accumulation_steps = accumulate  # accelerate's launcher may say otherwise
    if accelerator.num_processes != int(os.environ.get("WORLD_SIZE", 1)):
        raise ValueError(f"{out}: processes do not see each other; on CPUs set ACCELERATE_USE_CPU=true")
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        raise ValueError(f"{out}: DeepSpeed is not supported; give --accelerate-config fsdp2 instead")
    return accelerator


def divides_weights() -> bool:
    """Return whether the processes will divide the weights among them (FSDP2)."""
    return Accelerator(mixed_precision="no").is_fsdp2


def room() -> Room | None:
    """Return the memory of the card with least of it free, among those of all processes; None without cards."""
    accelerator = Accelerator(mixed_precision="no")
    on_a_card = accelerator.device.type == "cuda"
    free = torch.cuda.mem_get_info(accelerator.device)[0] / 2**30 if on_a_card else None
    found = gather_object([free])
    sharing = accelerator.num_processes if accelerator.is_fsdp2 else 1
    return None if None in found else Room(min(found), sharing)
