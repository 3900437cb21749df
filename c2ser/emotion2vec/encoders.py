"""Encoders with one interface: ours, and those of transformers (WavLM, data2vec, HuBERT, w2v-BERT 2.0, Whisper)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.utils.mkldnn import to_mkldnn

from c2ser.audio import SAMPLE_RATE
from c2ser.emotion2vec.config import Level, Normalise
from c2ser.emotion2vec.convert import KIND, load_model
from c2ser.emotion2vec.model import Emotion2Vec, embed
from c2ser.tables import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor


ONLY_TRAINED = "masked_spec_embed"
"""A weight for training only; published files may lack it."""


class Encoder(Protocol):
    """Computes embeddings of waveforms.

    Attributes:
        shortest: fewest samples that give a frame.
        longest: longest audio in seconds.
    """

    shortest: int
    longest: float

    def embed(self, waves: Sequence[np.ndarray], level: Level) -> list[np.ndarray]:
        """Return the embeddings of waveforms (samples,), each (rows, dim); an utterance gives the same in any batch."""
        ...


class Emotion2VecEncoder:
    """Our encoder.

    Args:
        model: the encoder, in evaluation mode and on its device.
        peer_padding: let the padding of a batch leak into its shorter utterances, as other implementations do.
    """

    def __init__(self, model: Emotion2Vec, peer_padding: bool = False) -> None:
        self.model, self.peer_padding = model, peer_padding
        self.shortest, self.longest = model.audio.local_encoder.receptive_field, float("inf")

    def only_embed(self) -> None:
        """Let oneDNN multiply by the weights on a CPU, which can then be trained no more.

        For the few hundred frames of an utterance it keeps two cores busier than PyTorch's own choice does.
        """
        if self.model.slopes.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return
        for name, module in list(self.model.named_modules()):
            if isinstance(module, nn.Linear):
                self.model.set_submodule(name, to_mkldnn(module))

    @torch.no_grad()
    def embed(self, waves: Sequence[np.ndarray], level: Level) -> list[np.ndarray]:
        """Return the embeddings of waveforms (samples,), each (rows, dim).

        On a CPU one by one, which takes no longer there: so they are the same to the last bit in any batch.

        Raises:
            ValueError: the level needs utterance tokens and the model has none.
        """
        if level in ("tokens", "first-frames") and not self.model.config.tokens:
            raise ValueError(f"level {level}: this model has no utterance tokens; use frame or utterance")
        singly = self.model.slopes.device.type == "cpu" and not self.peer_padding
        groups = [[wave] for wave in waves] if singly else [waves]
        return [rows for group in groups for rows in embed(self.model, group, level, self.peer_padding)]


class ForeignEncoder:
    """The hidden states of an encoder of transformers, one utterance at a time, without padding.

    Args:
        model: the encoder, in evaluation mode and on its device.
        extractor: makes the model's input from waveforms.

    Attributes:
        layer: whose states are taken; 0 is what enters the first layer, None the model's output.
    """

    layer: int | None = None

    extractor: "Wav2Vec2FeatureExtractor | WhisperFeatureExtractor"

    def __init__(self, model: "PreTrainedModel", extractor: "Wav2Vec2FeatureExtractor") -> None:
        self.model, self.extractor = model, extractor
        self.shortest, self.longest = self._receptive_field(), float("inf")

    def _receptive_field(self) -> int:
        """Return the fewest samples that give a frame."""
        field, step = 1, 1
        for kernel, stride in zip(self.model.config.conv_kernel, self.model.config.conv_stride, strict=True):
            field, step = field + (kernel - 1) * step, step * stride
        return field

    @torch.no_grad()
    def embed(self, waves: Sequence[np.ndarray], level: Level) -> list[np.ndarray]:
        """Return the embeddings of waveforms (samples,), each (rows, dim).

        Raises:
            ValueError: the level needs utterance tokens.
        """
        if level in ("tokens", "first-frames"):
            raise ValueError(f"level {level}: this model has no utterance tokens; use frame or utterance")
        rows = [self._states(wave).float().cpu() for wave in waves]
        return [(row if level == "frame" else row.mean(dim=0, keepdim=True)).numpy() for row in rows]

    def _states(self, wave: np.ndarray) -> torch.Tensor:
        """Return the last hidden states (frames, dim) of one waveform."""
        values = self.extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
        return self._chosen(values)[0]

    def _chosen(self, values: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        """Return the states (1, frames, dim) of the chosen layer."""
        output = self.model(values.to(self.model.device), output_hidden_states=self.layer is not None, **more)
        return output.last_hidden_state if self.layer is None else output.hidden_states[self.layer]


class ForeignW2vBert(ForeignEncoder):
    """w2v-BERT 2.0, which takes spectrograms, two frames of 10 ms at a time."""

    def _receptive_field(self) -> int:
        """Return the samples of two windows of 25 ms."""
        return 560

    def _states(self, wave: np.ndarray) -> torch.Tensor:
        inputs = self.extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        states = self._chosen(inputs.input_features, attention_mask=inputs.attention_mask.to(self.model.device))[0]
        return states[: int(inputs.attention_mask.sum())]  # half a pair at the end is padding


class ForeignWhisper(ForeignEncoder):
    """Whisper's encoder on 30 s, cut to the frames that are not padding, as EmoBox has it."""

    def __init__(self, model: "PreTrainedModel", extractor: "WhisperFeatureExtractor") -> None:
        self.model, self.extractor = model, extractor
        made, taken = (extractor.feature_size, extractor.n_samples // extractor.hop_length), model.config
        if made != (taken.num_mel_bins, 2 * taken.max_source_positions):
            raise ValueError("preprocessor_config.json makes other spectrograms than the model takes")
        self.hop = 2 * extractor.hop_length
        self.shortest, self.longest = self.hop, extractor.n_samples / SAMPLE_RATE

    def _states(self, wave: np.ndarray) -> torch.Tensor:
        features = self.extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        return self._chosen(features)[0, : len(wave) // self.hop]


def load_encoder(
    source: str,
    normalise: Normalise = "auto",
    peer_padding: bool = False,
    device: str | torch.device = "cpu",
    layer: int | None = None,
) -> Encoder:
    """Load an encoder.

    Args:
        source: folder of an Emotion2Vec-S model, a published checkpoint of its family, or a folder or hub id of
            transformers.
        normalise: whether waveforms get zero mean and unit variance.
        peer_padding: see `Emotion2VecEncoder`.
        device: where it runs.
        layer: of an encoder of transformers, whose states are taken; see `ForeignEncoder`.

    Raises:
        ValueError: it is none of these, or an option does not fit it.
    """
    folder = Path(source)
    if is_ours(source):
        if layer is not None:
            raise ValueError(f"{source}: layers of the emotion2vec family cannot be chosen; leave --layer out")
        model = load_model(folder).to(device)
        if normalise != "auto":
            model.config.normalize = normalise == "yes"
        return Emotion2VecEncoder(model, peer_padding)
    if peer_padding:
        raise ValueError(f"{source}: it encodes one utterance at a time; leave peer_padding out")
    encoder = _load_foreign(source, normalise, device)
    if layer is not None:
        _take(encoder, layer, source)
    return encoder


def _take(encoder: ForeignEncoder, layer: int, source: str) -> None:
    """Let an encoder give the states after a layer, and drop the layers that these do not need."""
    number = encoder.model.config.num_hidden_layers
    if not 0 <= layer <= number:
        raise ValueError(f"{source}: has no layer {layer}; give 0 to {number}")
    encoder.layer = layer
    stack: Any = getattr(encoder.model, "encoder", encoder.model)  # Whisper's encoder has its layers itself
    if isinstance(getattr(stack, "layers", None), nn.ModuleList):  # not so in SEW-D
        # One more is kept: transformers gives the output, with its norm, as the states of the last one.
        stack.layers = stack.layers[: layer + 1]


def is_ours(source: str) -> bool:
    """Return whether a source is a file, so a published checkpoint, or a folder of Emotion2Vec-S; others may be ids."""
    folder = Path(source)
    if not folder.is_dir():
        return folder.is_file()
    values = read_json(folder / "config.json") if (folder / "config.json").is_file() else {"kind": KIND}
    return not isinstance(values, dict) or "model_type" not in values


def _load_foreign(source: str, normalise: Normalise, device: str | torch.device) -> ForeignEncoder:
    from transformers import (
        AutoFeatureExtractor,
        AutoModel,
        SeamlessM4TFeatureExtractor,
        Wav2Vec2FeatureExtractor,
        WhisperFeatureExtractor,
    )

    from c2ser.pretrained import load_pretrained, readable

    with readable(source, "model folder, checkpoint or hub id", "give another, or download it again"):
        extractor = AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)
    whisper, spectrograms = (
        isinstance(extractor, WhisperFeatureExtractor),
        type(extractor) is SeamlessM4TFeatureExtractor,
    )
    if not whisper and not spectrograms and type(extractor) is not Wav2Vec2FeatureExtractor:
        raise ValueError(f"{source}: {type(extractor).__name__} takes no waveforms; give a speech encoder or Whisper")
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ValueError(f"{source}: takes {extractor.sampling_rate} Hz; give a model for {SAMPLE_RATE} Hz")
    model = load_pretrained(
        AutoModel, source, "speech encoder", "encoder." if whisper else "", [ONLY_TRAINED], dtype=torch.float32
    )
    if (whisper or spectrograms) and normalise != "auto":
        raise ValueError(f"{source}: takes spectrograms; leave normalise at auto")
    if normalise != "auto":
        extractor.do_normalize = normalise == "yes"
    encoder = model.get_encoder() if whisper else model
    with readable(source, "speech encoder", "download it again"):
        kind = ForeignWhisper if whisper else ForeignW2vBert if spectrograms else ForeignEncoder
        return kind(encoder.eval().to(device), extractor)
