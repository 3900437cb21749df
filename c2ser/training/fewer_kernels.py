"""The same training with fewer kernels: on a card, starting one costs the host more than most of them take."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear as AdaptedLinear
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from c2ser.training.config import TrainConfig
from c2ser.training.liger import use_liger

NORMS = {"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"}
"""Classes of transformers that compute torch's `rms_norm` operation by operation."""


def prepare_for_card(network: nn.Module, layers: Iterable[nn.Module], training: TrainConfig) -> None:
    """Make a network take fewer kernels as `fewer_kernels` and `liger` of its training say.

    Args:
        network: what is trained.
        layers: see `use_fewer_kernels`.
        training: how it is trained.

    Raises:
        ValueError: Liger is not installed.
    """
    if training.fewer_kernels:
        use_fewer_kernels(network, layers)
    if training.liger:
        use_liger(network)


def use_fewer_kernels(network: nn.Module, layers: Iterable[nn.Module]) -> None:
    """Make a network take fewer kernels; its results differ in the last bits.

    Args:
        network: what is trained.
        layers: parts of it whose trained weights are to be converted together for autocast.
    """
    for module in network.modules():
        replace = _norm if type(module).__name__ in NORMS else None
        if isinstance(module, AdaptedLinear):
            replace = partial(_adapted, plain=module.forward)
        if replace:
            module.forward = partial(replace, module)
    for layer in layers:
        layer.forward = partial(_with_casts, layer, layer.forward)


def _norm(norm: Any, states: Tensor) -> Tensor:
    """Compute a norm as one kernel instead of eight."""
    return rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _adapted(layer: Any, states: Tensor, plain: Any) -> Tensor:
    """Compute a linear layer and its adapter, whose last product adds to the layer's result and scales."""
    (name,) = layer.active_adapters
    down, up = layer.lora_A[name], layer.lora_B[name].weight
    same = torch.is_autocast_enabled(states.device.type) or states.dtype == up.dtype
    if layer.disable_adapters or layer.merged or not same:
        return plain(states)
    rows = states.flatten(0, -2)
    wide = layer.base_layer(rows)
    inner = down(layer.lora_dropout[name](rows)).to(wide.dtype)
    return _Added.apply(wide, inner, up.to(wide.dtype), layer.scaling[name]).view(*states.shape[:-1], -1)


class _Added(torch.autograd.Function):
    """Adds the scaled product of an adapter to the result of its layer, in place; scaling is part of each product."""

    @staticmethod
    def forward(ctx: Any, wide: Tensor, inner: Tensor, up: Tensor, scaling: float) -> Tensor:
        """Return `wide` (rows, out) plus `inner` (rows, rank) times `up` (out, rank), scaled."""
        ctx.save_for_backward(inner, up)
        ctx.scaling = scaling
        ctx.mark_dirty(wide)
        return wide.addmm_(inner, up.T, alpha=scaling)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the three."""
        inner, up = ctx.saved_tensors
        return gradient, _scaled(gradient, up, ctx.scaling), _scaled(gradient.T, inner, ctx.scaling), None


def _scaled(one: Tensor, other: Tensor, scaling: float) -> Tensor:
    return torch.addmm(one.new_empty(1), one, other, beta=0, alpha=scaling)


def _with_casts(layer: nn.Module, plain: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a layer with its trained weights in the dtype of autocast, converted together instead of one by one."""
    kind = next(layer.parameters()).device.type
    recomputed = getattr(layer, "gradient_checkpointing", False)  # the backward pass would not find them again
    if not (torch.is_autocast_enabled(kind) and torch.is_grad_enabled()) or recomputed:
        return plain(*args, **kwargs)
    owners = [
        (part._parameters, name, weight)
        for part in layer.modules()
        if isinstance(part, nn.Linear | nn.Conv1d)
        for name, weight in part._parameters.items()
        if weight is not None and weight.requires_grad and weight.dtype == torch.float32
    ]
    if not owners:
        return plain(*args, **kwargs)
    converted = _Converted.apply(torch.get_autocast_dtype(kind), *(weight for _, _, weight in owners))
    try:
        for (own, name, _), weight in zip(owners, converted, strict=True):
            own[name] = weight
        return plain(*args, **kwargs)
    finally:
        for own, name, weight in owners:
            own[name] = weight


class _Converted(torch.autograd.Function):
    """Weights in another dtype; their gradients come back in their own."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        """Convert weights."""
        ctx.set_materialize_grads(False)
        return tuple(_converted(weights, dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Convert the gradients that there are."""
        wide = iter(_converted([g for g in gradients if g is not None], torch.float32))
        return (None, *(None if g is None else next(wide) for g in gradients))


def _converted(tensors: Any, dtype: torch.dtype) -> list[Tensor]:
    new = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if new:
        torch._foreach_copy_(new, list(tensors))
    return new
