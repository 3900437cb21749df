"""The acoustic encoder of a model: Emotion2Vec-S, or any encoder of transformers that takes waveforms, as in SECap."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from c2ser.audio import SAMPLE_RATE
from c2ser.emotion2vec import convert
from c2ser.emotion2vec.config import Emotion2VecConfig, Level
from c2ser.emotion2vec.encoders import is_ours
from c2ser.emotion2vec.model import Emotion2Vec, pool
from c2ser.model.config import check_fields
from c2ser.model.perception import Vectors, stack
from c2ser.model.speech_encoders import SpeechEncoder, TransformersStates, empty_encoder, read_encoder

RATE = 50
"""States per second, of all such encoders."""


class FrozenEncoder(nn.Module, ABC):
    """What hears how something is said: no gradients, no dropout, not even while the rest is trained.

    Attributes:
        model: the encoder itself.
        kind: which of its vectors are taken.
    """

    model: Any
    kind: Level

    @property
    @abstractmethod
    def dim(self) -> int:
        """Size of the acoustic vectors."""

    @abstractmethod
    def max_vectors(self, seconds: float) -> int:
        """Return the largest number of vectors that audio of this length gives."""

    @abstractmethod
    def forward(self, waves: Tensor, lengths: Tensor) -> Vectors:
        """Return the acoustic vectors (batch, count, dim) of a padded batch of waveforms (batch, samples)."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return JSON values from which it can be made anew, without its weights."""

    def arrange(self, rows: Sequence[Tensor]) -> Vectors:
        """Make a batch of single utterances' vectors (rows, dim), as `extract_embeddings` writes them."""
        return stack(rows)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)


class AcousticEncoder(FrozenEncoder):
    """Emotion2Vec-S, frozen.

    Args:
        model: the encoder.
        kind: "tokens" are its utterance tokens (the paper's intent), "first-frames" its first ten frames (what the
            published features hold), "utterance" the mean over its frames, "frame" all of them, 50 per second.
    """

    def __init__(self, model: Emotion2Vec, kind: Level = "tokens") -> None:
        super().__init__()
        self.model, self.kind = model.requires_grad_(False).eval(), kind

    @property
    def dim(self) -> int:
        """Size of the acoustic vectors."""
        return self.model.config.dim

    def max_vectors(self, seconds: float) -> int:
        """Return the largest number of vectors that audio of this length gives."""
        if self.kind == "frame":
            return int(self.model.audio.local_encoder.frames(torch.tensor(int(seconds * SAMPLE_RATE))))
        return 1 if self.kind == "utterance" else self.model.config.tokens

    @torch.no_grad()
    def forward(self, waves: Tensor, lengths: Tensor) -> Vectors:
        """Return the acoustic vectors; see `FrozenEncoder.forward`."""
        return self.arrange(pool(self.model(waves, lengths), self.kind))

    def arrange(self, rows: Sequence[Tensor]) -> Vectors:
        """Make a batch of single utterances' vectors; see `FrozenEncoder.arrange`."""
        if self.kind == "first-frames":  # very short audio has fewer
            rows = [pad(row, (0, 0, 0, self.model.config.tokens - len(row))) for row in rows]
        return stack(rows)

    def describe(self) -> dict[str, Any]:
        """Return its configuration."""
        return dataclasses.asdict(self.model.config)


class StatesEncoder(FrozenEncoder):
    """HuBERT, wav2vec 2.0, WavLM and the like, frozen.

    Args:
        states: the encoder.
        kind: "frame" are its last states, 50 per second, "utterance" their mean.

    Raises:
        ValueError: it takes spectrograms, or the kind is one of Emotion2Vec-S alone.
    """

    def __init__(self, states: SpeechEncoder, kind: Level) -> None:
        super().__init__()
        if not isinstance(states, TransformersStates) or states.model.main_input_name != "input_values":
            raise ValueError("an encoder of spectrograms hears no waveforms; give HuBERT, WavLM or the like")
        if kind not in ("frame", "utterance"):
            raise ValueError(f"model.acoustic {kind}: only Emotion2Vec-S has such vectors; give frame or utterance")
        self.model, self.kind = states.requires_grad_(False).eval(), kind

    @property
    def dim(self) -> int:
        """Size of the acoustic vectors."""
        return self.model.dim

    def max_vectors(self, seconds: float) -> int:
        """Return the largest number of vectors that audio of this length gives."""
        return 1 if self.kind == "utterance" else ceil(RATE * seconds)

    @torch.no_grad()
    def forward(self, waves: Tensor, lengths: Tensor) -> Vectors:
        """Return the acoustic vectors; see `FrozenEncoder.forward`."""
        rows = [self.model.prepare(wave[:count]) for wave, count in zip(waves, lengths.tolist(), strict=True)]
        states = self.model(stack(rows))
        if self.kind == "frame":
            return states
        pairs = zip(states.values, states.lengths.tolist(), strict=True)
        return self.arrange([values[:count].mean(dim=0, keepdim=True) for values, count in pairs])

    def describe(self) -> dict[str, Any]:
        """Return its configuration."""
        return self.model.describe()


def load_acoustic(source: str, kind: Level) -> FrozenEncoder:
    """Load an acoustic encoder.

    Args:
        source: folder of an Emotion2Vec-S model, a published checkpoint, or a folder or hub id of transformers.
        kind: which of its vectors are taken.

    Raises:
        ValueError: it is none of these, or has no such vectors.
    """
    if is_ours(source):
        return AcousticEncoder(convert.load_model(source), kind)
    return StatesEncoder(read_encoder(source, None), kind)


def empty_acoustic(description: Mapping[str, Any], kind: Level) -> FrozenEncoder:
    """Return an acoustic encoder as `FrozenEncoder.describe` described it; its weights are still to come.

    Raises:
        KeyError, TypeError, ValueError: there is no such encoder.
    """
    if "kind" in description:
        return StatesEncoder(empty_encoder(description), kind)
    return AcousticEncoder(Emotion2Vec(Emotion2VecConfig(**check_fields(Emotion2VecConfig, description))), kind)
