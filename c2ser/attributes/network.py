"""PENN's network, its first block computed otherwise on a processor."""

from types import ModuleType

import torch
from torch import Tensor, nn


class FirstBlock(nn.Module):
    """A convolution of one channel, ReLU, the larger of two neighbours, and a norm, as PENN's first block has them.

    The convolution takes few operations, but its output is the largest of the network. Here it is never written: the
    even and the odd places are two matrix products, and only the larger values go on.

    Args:
        block: PENN's, with its weights.
    """

    def __init__(self, block: nn.Sequential) -> None:
        super().__init__()
        self.conv, _, _, self.norm = block

    def forward(self, frames: Tensor) -> Tensor:
        """Turn (batch, 1, samples) into (batch, channels, places / 2)."""
        weight, bias = self.conv.weight[:, 0], self.conv.bias[:, None]
        windows = frames[:, 0].unfold(1, weight.shape[1], 1)  # a view: (batch, places, kernel)
        pairs = windows.shape[1] // 2
        even, odd = (weight @ windows[:, start : 2 * pairs : 2].transpose(1, 2) for start in (0, 1))
        return self.norm(torch.maximum(even, odd, out=even).add_(bias).relu_())


def load_network(penn: ModuleType, weights: dict[str, Tensor], device: str) -> nn.Module:
    """Return PENN's network, ready to work.

    Args:
        penn: the package.
        weights: of its checkpoint.
        device: "cpu" or "cuda:0" and so on; on a card the blocks are left as they are.
    """
    network = penn.Model().eval().requires_grad_(False)
    network.load_state_dict(weights)
    if device == "cpu":
        network[0] = FirstBlock(network[0])
    return network.to(device)
