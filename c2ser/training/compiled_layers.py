"""Transformer layers that torch compiles: what lies between two products becomes few kernels instead of many.

A layer's `forward` is exchanged and the layer itself stays what it is, so weights keep their names, and whatever is put
around the layer (DDP, FSDP2, checkpointing) stays around it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn

BACKEND = "inductor"
"""What compiles."""

GRAPHS = 32
"""So many kinds of batches are compiled for at most, over all classes of layers; further ones run as they are.

Lengths are no kinds of their own, but a batch without padding, or of one utterance, is."""


def compile_layers(layers: Iterable[nn.Module]) -> None:
    """Compile layers where they are trained; each kind of layer at its first batch.

    Args:
        layers: layers of Transformers.
    """
    torch._dynamo.config.recompile_limit = GRAPHS
    for layer in layers:
        compiled = torch.compile(layer.forward, dynamic=True, backend=BACKEND)
        layer.forward = partial(_forward, layer, layer.forward, compiled)
        setattr(layer, "compiled", True)  # noqa: B010 - see `c2ser.model.key_values.may_share`


def _forward(
    layer: nn.Module, plain: Callable[..., Any], compiled: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Run a layer; validations and answers, whose keys and values grow, run as they are."""
    trains = layer.training and torch.is_grad_enabled()
    return compiled(*args, **kwargs) if trains else plain(*args, **kwargs)
