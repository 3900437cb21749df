"""The weights that train under DeepSpeed's ZeRO 1 and 2, which keep them and the optimiser's state in flat shares."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from c2ser.training.weights import Weights, check_fit

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW remembers of each weight, besides the number of its steps."""


class ZeroWeights(Weights):
    """The weights of a module that train, and their optimiser, under ZeRO.

    Args:
        module: what is trained.
        optimiser: DeepSpeed's, which holds AdamW.
    """

    def __init__(self, module: nn.Module, optimiser: Any) -> None:
        super().__init__(module, optimiser)
        from deepspeed import utils

        self.tools = utils

    def trainable_state_dict(self) -> dict[str, Tensor]:
        """Return the weights; all processes must call."""
        return {name: self.tools.safe_get_full_fp32_param(p) for name, p in self.parameters.items()}

    def optimizer_state_dict(self) -> dict[str, Tensor]:
        """Return the optimiser's state as `<quantity>/<weight>`; all processes must call."""
        steps = self.optimiser.optimizer.state[self.optimiser.single_partition_of_fp32_groups[0]]["step"]
        state = {f"step/{name}": torch.as_tensor(steps, dtype=torch.float32) for name in self.parameters}
        for moment in MOMENTS:
            for name, parameter in self.parameters.items():
                state[f"{moment}/{name}"] = self.tools.safe_get_full_optimizer_state(parameter, moment)
        return {name: tensor.clone() for name, tensor in state.items()}  # safetensors refuses tensors that share memory

    @torch.no_grad()
    def load_trainable_state_dict(self, tensors: Mapping[str, Tensor], source: Path) -> None:
        """Take weights over; see `Weights.load_trainable_state_dict`."""
        check_fit(tensors, self.parameters, source)
        for name, parameter in self.parameters.items():
            value = tensors[name].to(parameter.device)
            parameter.copy_(value)
            self.tools.safe_set_full_fp32_param(parameter, value)

    @torch.no_grad()
    def load_optimizer_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the optimiser's state over."""
        steps = next(value for name, value in tensors.items() if name.startswith("step/"))
        for share in self.optimiser.single_partition_of_fp32_groups:
            empty = {moment: torch.zeros_like(share) for moment in MOMENTS}
            self.optimiser.optimizer.state[share] = {"step": steps.clone(), **empty}
        self.optimiser._lazy_init_hp_params_optimizer_state()  # DeepSpeed itself does it at the first step
        for name, parameter in self.parameters.items():
            for moment in MOMENTS:
                value = tensors[f"{moment}/{name}"].to(parameter.device)
                self.tools.safe_set_full_optimizer_state(parameter, value, moment)
