"""LoRA adapters: small matrices beside the weights of linear layers, trained in their place."""

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from c2ser.model.config import LoraSettings


def add_adapters(module: nn.Module, settings: LoraSettings) -> None:
    """Add adapters to the linear layers that the settings name, and freeze all other weights of the module.

    The adapters are float32 whatever the module's own weights are, so that small updates are not lost.
    """
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        bias="none",
    )
    inject_adapter_in_model(config, module)
    for name, parameter in module.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.float()


def merge_adapters(module: nn.Module) -> int:
    """Add each adapter to the weight that it adapts; the module gives the same, without adapters.

    Returns:
        how many there were.
    """
    adapted = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, BaseTunerLayer)]
    for name, layer in adapted:
        layer.merge(safe_merge=True)
        module.set_submodule(name, layer.get_base_layer())
    return len(adapted)


def hold_frozen_in_bfloat16(module: nn.Module) -> None:
    """Convert the weights that are not trained; under autocast each forward pass would convert them anew."""
    for parameter in module.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()


def take_inputs_as_they_are(module: nn.Module) -> None:
    """Let adapters take bfloat16, as autocast converts their weights; peft would make it float32 first, for nothing."""
    for layer in module.modules():
        if isinstance(layer, BaseTunerLayer):
            setattr(layer, "cast_input_dtype_enabled", False)  # noqa: B010 - peft declares no such attribute
