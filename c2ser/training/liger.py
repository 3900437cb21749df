"""Liger's fused kernels in the language model of a training on a card, by transformers' own integration."""

from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.integrations.liger import apply_liger_kernel
from transformers.utils import is_liger_kernel_available

KERNELS = {
    "rope": True,
    "swiglu": True,
    "rms_norm": False,  # `fewer_kernels` takes torch's own
    "cross_entropy": False,  # our loss computes the head at labels alone
    "fused_linear_cross_entropy": False,
}
"""Rotary positions and the gated feed-forward; what a family of models does not have is passed over."""


def use_liger(network: nn.Module) -> None:
    """Let Liger compute what lies between the products of a language model; results differ in the last bits.

    Rotary positions are exchanged in the whole process, for all models of the same family.

    Args:
        network: what is trained; without a language model, or with one of a family that Liger does not know, nothing
            changes.

    Raises:
        ValueError: Liger is not installed.
    """
    if not is_liger_kernel_available():
        raise ValueError("training.liger: Liger is not installed; pip install 'c2ser[liger]', or set it to false")
    for part in network.modules():
        if isinstance(part, PreTrainedModel) and isinstance(part, GenerationMixin):
            apply_liger_kernel(part, KERNELS)
