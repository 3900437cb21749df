"""The device that models run on."""

from typing import Any, Protocol, TypeVar

import torch


class Movable(Protocol):
    """A model, or whatever holds one."""

    def to(self, device: Any, /) -> Any:
        """Move it to a device and return it."""
        ...


Model = TypeVar("Model", bound=Movable)


def avoid_cudnn_attention() -> None:
    """Choose among torch's own attentions; whatever runs on a card goes through here, and `pick_device` does it.

    On Hopper torch takes cuDNN's nearly everywhere. It is reported to give NaN gradients under a mask (pytorch#196678)
    and wrong text with few key-value heads (pytorch#193893), and it plans anew for each shape, of which speech has
    thousands.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def pick_device(name: str) -> str:
    """Return the device of a name, ready to compute; "auto" is a GPU if there is one.

    Raises:
        ValueError: there is no such device here.
    """
    avoid_cudnn_attention()
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        device = torch.device(chosen)
    except RuntimeError:
        raise ValueError(f"{name}: no kind of device; choose auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"{name}: no such GPU here; choose auto or cpu")
    return chosen


def move(model: Model, name: str) -> Model:
    """Move a model to the device of a name.

    Raises:
        ValueError: there is no such device here, or too little memory on it.
    """
    device = pick_device(name)
    try:
        return model.to(device)
    except torch.OutOfMemoryError:
        raise ValueError(f"{device}: has too little memory for the model; use a larger GPU, or cpu") from None


def compiles_steps(device: str) -> bool:
    """Return whether transformers compiles the steps of an answer on a kind of device, such as "cuda"."""
    return device == "cuda"


def computes_in_bfloat16(precision: str, device: str) -> bool:
    """Return whether a training's precision, "fp32", "bf16" or "auto", means bfloat16 on a kind of device."""
    return has_bfloat16(device) if precision == "auto" else precision == "bf16"


def has_bfloat16(device: str) -> bool:
    """Return whether a kind of device, cuda or cpu, multiplies matrices of bfloat16 itself.

    CPUs without instructions for it (AVX512_BF16, AMX) compute it in loops that are hundreds of times slower.
    """
    if device != "cpu":
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
