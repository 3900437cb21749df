"""What happens to an update whose loss or gradient is not finite: it is left out, unless they follow each other.

Batches depend on their number alone. A training that stopped at such a batch would meet it again whenever it is resumed.
"""

from collections.abc import Sequence

import torch

from c2ser.log import get_logger
from c2ser.training.memory import describe_batch

logger = get_logger(__name__)

IN_A_ROW = 3
"""So many updates without a finite loss or gradient, one after the other, end the training."""

CUDNN = "cuDNN's attention is on (call c2ser.devices.avoid_cudnn_attention)"
DATA = "a recording of the batch is damaged (listen to it, remove it)"
BFLOAT16 = "bfloat16 overflowed (try training.precision: fp32)"
RATE = "the learning rate is too high (lower optim.lr)"


class Stumbles:
    """Counts the updates that were left out since the last good one.

    Args:
        device: kind of device that computes, cuda or cpu.
        bfloat16: whether matrices are multiplied in bfloat16.
    """

    def __init__(self, device: str, bfloat16: bool) -> None:
        self.device, self.bfloat16, self.number = device, bfloat16, 0

    def good(self) -> None:
        """Note an update that was made."""
        self.number = 0

    def leave_out(self, step: int, what: str, utterances: Sequence[str]) -> None:
        """Note an update that is left out.

        Args:
            step: its number, from 1.
            what: what is not finite: "loss" or "gradient".
            utterances: those whose loss it is, or all of the step.

        Raises:
            ValueError: it is the last of `IN_A_ROW`.
        """
        self.number += 1
        message = f"step {step}: the {what} is not finite ({describe_batch(utterances, 'a batch without names')})"
        if self.number == IN_A_ROW:
            causes = "; ".join(self.causes(RATE, DATA))
            raise ValueError(f"{message}, in {IN_A_ROW} steps in a row; likely, in this order: {causes}")
        causes = "; ".join(self.causes(DATA, RATE))
        logger.warning("%s; this update is left out; likely, in this order: %s", message, causes)

    def causes(self, *always: str) -> list[str]:
        """Return the likely causes in order, those that always come into question between those of this device."""
        cudnn = self.device == "cuda" and torch.backends.cuda.cudnn_sdp_enabled()
        return [*([CUDNN] if cudnn else []), *always, *([BFLOAT16] if self.bfloat16 else [])]
