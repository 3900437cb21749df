"""An encoder with a head: EmoBox's probe on states that may be trained too."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from c2ser.emotion2vec.probe import Probe
from c2ser.model.adapters import add_adapters, merge_adapters
from c2ser.model.config import LoraSettings, Tuning
from c2ser.model.perception import stack
from c2ser.model.speech_encoders import SpeechEncoder

ALPHA = 4
"""Scale of the adapters divided by their rank, as in C²SER."""


class HeadNetwork(nn.Module):
    """An encoder and a head: projection, ReLU, mean over time, linear layer.

    Args:
        encoder: the encoder.
        outputs: names of the head's outputs.
        hidden: size of the projection.
    """

    def __init__(self, encoder: SpeechEncoder, outputs: Sequence[str], hidden: int) -> None:
        super().__init__()
        self.encoder, self.outputs = encoder, [*outputs]
        self.head = Probe(encoder.dim, hidden, len(self.outputs))
        self.frozen = False

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.head.output.weight.device

    def tune(self, tuning: Tuning, rank: int) -> None:
        """Choose which weights of the encoder are trained: none, those of new adapters of a rank, or all."""
        self.frozen = tuning == "frozen"
        self.encoder.requires_grad_(tuning == "full")
        if tuning == "lora":
            add_adapters(self.encoder, LoraSettings(rank, ALPHA * rank, 0.1, self.encoder.adaptable()))

    def merge(self) -> None:
        """Add the adapters, if there are any, to the weights that they adapt."""
        merge_adapters(self.encoder)

    def train(self, mode: bool = True) -> "HeadNetwork":
        """Train; a frozen encoder stays in evaluation mode, without dropout."""
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self

    @torch.no_grad()
    def prepare(self, wave: np.ndarray) -> Tensor:
        """Return what the encoder takes, (time,) or (time, bins), of a waveform (samples,) at 16 kHz, in float32."""
        with torch.autocast(self.device.type, enabled=False):
            return self.encoder.prepare(torch.from_numpy(wave).to(self.device))

    def encode(self, prepared: Sequence[Tensor]) -> list[Tensor]:
        """Return the encoder's states (frames, dim) of each utterance, of what `prepare` gave."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states = self.encoder(stack(prepared))
        return [row[:count] for row, count in zip(states.values, states.lengths.tolist(), strict=True)]

    def classify(self, states: Sequence[Tensor]) -> Tensor:
        """Return the head's outputs (batch, outputs), in float32, of states (frames, dim) of each utterance."""
        with torch.autocast(self.device.type, enabled=False):
            return self.head([layer_norm(row.float(), row.shape) for row in states])

    def forward(self, prepared: Sequence[Tensor]) -> Tensor:
        """Return the head's outputs (batch, outputs) of what `prepare` gave; of any batch the same."""
        return self.classify(self.encode(prepared))
