"""An encoder with a classifier as one graph: from waveforms to the probabilities of emotions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from c2ser.data.collate import pad_waves
from c2ser.emotion2vec.checkpoints import LABELS, read_published
from c2ser.emotion2vec.convert import load_model
from c2ser.emotion2vec.model import Emotion2Vec, normalised
from c2ser.emotion2vec.probe import Probe
from c2ser.emotion2vec.probe_files import load_probe, weights_sha256
from c2ser.log import get_logger

logger = get_logger(__name__)


NORMALISED = "inside the graph: zero mean and unit variance of each waveform"
"""What a file says of an encoder that normalises waveforms itself."""


class FrameEncoder(nn.Module, ABC):
    """An encoder as tensors alone, which can be exported.

    Attributes:
        min_samples: a shorter waveform gives no frame.
        max_samples: the longest waveform that it takes; None for any.
        hop_samples: samples from frame to frame.
        normalization: what it does to a waveform.
        single: whether it takes one waveform at a time, since padding would change what it gives.
    """

    min_samples: int
    max_samples: int | None = None
    hop_samples: int
    normalization = "none"
    single = False

    @abstractmethod
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames (batch, frames, dim), and a mask (batch, frames) that is False after an utterance's end.

        Args:
            waveform: shape (batch, samples), 16 kHz, zero after each utterance's end.
            lengths: samples of each, shape (batch,).
        """


class Emotion2VecFrames(FrameEncoder):
    """An encoder of the emotion2vec family.

    Args:
        model: the encoder, in evaluation mode.
    """

    def __init__(self, model: Emotion2Vec) -> None:
        super().__init__()
        self.model, extractor = model, model.audio.local_encoder
        self.min_samples, self.hop_samples = extractor.receptive_field, extractor.hop
        self.normalization = NORMALISED if model.config.normalize else "none"

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames and mask; an utterance that is too short for a frame is refused with a ValueError."""
        output = self.model(waveform, lengths)
        return output.frames, output.mask


class SpeechClassifier(nn.Module):
    """An encoder, and a classifier of what it gives.

    Args:
        encoder: the encoder, in evaluation mode.
        head: a probe, which sees each frame, or a linear layer on the mean frame.
        labels: the classes, in the order of the head's outputs.
        normalise: whether the probe wants a layer norm over the whole matrix of an utterance.
    """

    def __init__(
        self, encoder: FrameEncoder, head: Probe | nn.Linear, labels: Sequence[str], normalise: bool = False
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.labels, self.normalise = encoder, head, [*labels], normalise
        self.eval()

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode and classify whole utterances; each gives the same in any batch.

        Args:
            waveform: shape (batch, samples), 16 kHz, zero after each utterance's end.
            lengths: samples of each, shape (batch,).

        Returns:
            frames (batch, frames, dim), 50 per second, zero after an utterance's end; their mean (batch, dim); and the
            probabilities of `labels`, (batch, labels).

        Raises:
            ValueError: an utterance is too short for a frame.
        """
        encoded, real = self.encoder(waveform, lengths)
        mask = real[:, :, None]
        frames, count = encoded * mask, mask.sum(dim=1)
        mean = frames.sum(dim=1) / count
        if not isinstance(self.head, Probe):
            return frames, mean, self.head(mean).softmax(dim=-1)
        states = frames
        if self.normalise:  # as a waveform's samples; there is nothing after the end here either
            states = normalised(frames.flatten(1), count[:, 0] * frames.shape[2]).view_as(frames)
        hidden = torch.relu(self.head.hidden(states)) * mask
        return frames, mean, self.head.output(hidden.sum(dim=1) / count).softmax(dim=-1)

    @torch.no_grad()
    def classify(self, waves: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities of `labels`, (batch, labels), for waveforms (samples,) at 16 kHz."""
        device = next(self.parameters()).device
        batches = ([tensor.to(device) for tensor in pad_waves(group)] for group in self.groups(waves))
        return torch.cat([self(padded, lengths)[2] for padded, lengths in batches]).cpu().numpy()

    def groups(self, waves: Sequence[np.ndarray]) -> list[Sequence[np.ndarray]]:
        """Return waveforms in the batches that the encoder takes: all together, or one by one."""
        return [[wave] for wave in waves] if self.encoder.single else [waves]


def load_speech_classifier(model: str | Path, probe: str | Path | None = None) -> SpeechClassifier:
    """Load an encoder with a classifier.

    Args:
        model: folder of an Emotion2Vec-S model, or a published checkpoint of its family.
        probe: folder of a probe that was trained on the encoder's embeddings; None takes the classifier in the
            checkpoint, which the emotion2vec+ models have.

    Raises:
        ValueError: one of them cannot be read, they do not belong together, or there is no classifier.
    """
    if probe is None:
        return _published_classifier(model)
    encoder, trained = load_model(model), load_probe(probe)
    if trained.config.target == "dimensions":
        raise ValueError(f"{probe}: gives dimensions and no classes; give a probe of emotions or votes")
    if trained.network.hidden.in_features != encoder.config.dim:
        raise ValueError(
            f"{probe}: takes {trained.network.hidden.in_features} dimensions and {model} gives {encoder.config.dim}; "
            "give the encoder that the probe was trained on"
        )
    if trained.encoder is None:
        logger.warning("%s: does not say which encoder it was trained on; make sure that it was %s", probe, model)
    elif trained.encoder != weights_sha256(model):
        raise ValueError(f"{probe}: was trained on another encoder than {model}; give that one, or train a probe anew")
    return SpeechClassifier(Emotion2VecFrames(encoder), trained.network, trained.names, trained.config.normalise)


def _published_classifier(model: str | Path) -> SpeechClassifier:
    published = read_published(model) if Path(model).is_file() else None
    if published is None or published.head is None:
        raise ValueError(f"{model}: has no classifier of its own; give a probe of train_probe, or an emotion2vec+ file")
    if published.head.out_features != len(LABELS):
        raise ValueError(
            f"{model}: its classifier has {published.head.out_features} classes without names, where emotion2vec+ has "
            f"{len(LABELS)}; train a probe and give that"
        )
    return SpeechClassifier(Emotion2VecFrames(published.model), published.head, LABELS)
