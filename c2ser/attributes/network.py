"""PENN's network, with a faster first block for the CPU."""

from types import ModuleType

import torch
from torch import Tensor, nn


class FirstBlock(nn.Module):
    """PENN's first block: a convolution of one channel, ReLU, the maximum of two neighbours, and a norm.

    The convolution takes few operations, but its output is the largest of the network. Here that output is never
    written to memory: even and odd positions are two matrix products, and only their maximum is kept.

    Args:
        block: the block of PENN, with its weights.
    """

    def __init__(self, block: nn.Sequential) -> None:
        super().__init__()
        conv, _, _, self.norm = block
        assert isinstance(conv, nn.Conv1d) and conv.bias is not None
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, frames: Tensor) -> Tensor:
        """Turn (batch, 1, samples) into (batch, channels, positions / 2)."""
        weight, bias = self.weight[:, 0], self.bias[:, None]
        windows = frames[:, 0].unfold(1, weight.shape[1], 1)  # a view: (batch, positions, kernel)
        pairs = windows.shape[1] // 2
        even, odd = (weight @ windows[:, start : 2 * pairs : 2].transpose(1, 2) for start in (0, 1))
        return self.norm(torch.maximum(even, odd, out=even).add_(bias).relu_())


def load_network(penn: ModuleType, weights: dict[str, Tensor], device: str) -> nn.Module:
    """Return PENN's network with its weights.

    Args:
        penn: the package.
        weights: those of its checkpoint.
        device: "cpu" or "cuda:0" and so on; on a GPU all blocks stay as they are.
    """
    network = penn.Model().eval().requires_grad_(False)
    network.load_state_dict(weights)
    if device == "cpu":
        network[0] = FirstBlock(network[0])
    return network.to(device)
