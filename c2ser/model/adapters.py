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
