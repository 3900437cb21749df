"""The encoders that a head sits on: frozen, with adapters or trained, one interface for all kinds that we load."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, WhisperConfig

from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.encoders import Emotion2VecEncoder, ForeignEncoder, ForeignW2vBert, ForeignWhisper, load_encoder
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.model.perception import Vectors, WhisperEncoder, stack
from c2ser.pretrained import find_model


class SpeechEncoder(nn.Module, ABC):
    """An encoder whose weights can be trained.

    Attributes:
        kind: what config.json calls it.
        dim: size of its states.
        has_spectrogram: whether its input is a spectrogram, which can be masked in training.
    """

    kind: str
    dim: int
    has_spectrogram = False

    @abstractmethod
    def prepare(self, wave: Tensor) -> Tensor:
        """Return what enters the first weight, (time,) or (time, bins), for one waveform (samples,) at 16 kHz."""

    @abstractmethod
    def forward(self, prepared: Vectors) -> Vectors:
        """Return the states (batch, frames, dim) of a padded batch of what `prepare` gave; of any batch the same."""

    @abstractmethod
    def layers(self) -> list[nn.Module]:
        """Return its Transformer layers."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return JSON values from which `empty_encoder` makes it anew, without its weights."""

    def adaptable(self) -> list[str]:
        """Return the names of the linear layers that adapters are put beside: those of its Transformer layers."""
        found = {
            name.rpartition(".")[2]
            for layer in self.layers()
            for name, module in layer.named_modules()
            if isinstance(module, nn.Linear)
        }
        return sorted(found)


class WhisperStates(SpeechEncoder):
    """Whisper's encoder, at an utterance's own length.

    Args:
        whisper: the encoder.
    """

    kind, has_spectrogram = "whisper", True

    def __init__(self, whisper: WhisperEncoder) -> None:
        super().__init__()
        self.whisper, self.dim = whisper, whisper.dim

    def prepare(self, wave: Tensor) -> Tensor:
        """Return the spectrogram (frames, bins)."""
        return self.whisper.log_mel(wave[None], torch.tensor([len(wave)], device=wave.device)).values[0].T

    def forward(self, prepared: Vectors) -> Vectors:
        """Return the states, 50 per second."""
        return self.whisper(Vectors(prepared.values.transpose(1, 2), prepared.lengths))

    def layers(self) -> list[nn.Module]:
        """Return its Transformer layers."""
        return [*self.whisper.layers.layers]

    def describe(self) -> dict[str, Any]:
        """Return its configuration."""
        return {"kind": self.kind, "config": self.whisper.config.to_dict()}


class Emotion2VecStates(SpeechEncoder):
    """Emotion2Vec-S, or a published encoder of its family.

    Args:
        model: the encoder; what only its own training needs is taken away.
    """

    kind = "emotion2vec"

    def __init__(self, model: Emotion2Vec) -> None:
        super().__init__()
        model.audio.decoder = None
        model.config = dataclasses.replace(model.config, decoder_layers=0, layer_drop=0.0)
        self.model, self.dim = model, model.config.dim

    def prepare(self, wave: Tensor) -> Tensor:
        """Return the waveform; the encoder normalises it itself."""
        return wave

    def forward(self, prepared: Vectors) -> Vectors:
        """Return the frames, 50 per second."""
        output = self.model(prepared.values, prepared.lengths)
        return Vectors(output.frames, output.mask.sum(dim=1))

    def layers(self) -> list[nn.Module]:
        """Return its blocks."""
        return [*self.model.audio.context_encoder.blocks, *self.model.blocks]

    def describe(self) -> dict[str, Any]:
        """Return its configuration."""
        return {"kind": self.kind, "config": dataclasses.asdict(self.model.config)}


class TransformersStates(SpeechEncoder):
    """wav2vec 2.0, HuBERT, WavLM and the like, one utterance at a time: many of them let padding leak into a batch.

    Args:
        model: the encoder.
        normalise: whether a waveform gets zero mean and unit variance, as the encoder was trained.
    """

    kind = "transformers"

    def __init__(self, model: Any, normalise: bool) -> None:
        super().__init__()
        # both draw from a random generator of their own, so that a training could not be continued exactly
        model.config.apply_spec_augment, model.config.layerdrop = False, 0.0
        self.model, self.normalise, self.dim = model, normalise, model.config.hidden_size

    def cut(self, layers: int) -> None:
        """Keep the first layers alone; a norm that follows the last layer does not fit them and becomes a plain one.

        Raises:
            ValueError: its layers cannot be counted off.
        """
        inner: Any = getattr(self.model, "encoder", None)
        if not isinstance(getattr(inner, "layers", None), nn.ModuleList):
            raise ValueError(f"{self.model.config.model_type}: its layers cannot be taken away; leave --layer out")
        inner.layers = inner.layers[:layers]
        self.model.config.num_hidden_layers = layers
        if getattr(self.model.config, "do_stable_layer_norm", False) or "conformer" in self.model.config.model_type:
            inner.layer_norm.reset_parameters()

    def prepare(self, wave: Tensor) -> Tensor:
        """Return the waveform, normalised if the encoder wants it so."""
        return (wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt() if self.normalise else wave

    def forward(self, prepared: Vectors) -> Vectors:
        """Return the last hidden states."""
        pairs = zip(prepared.values, prepared.lengths.tolist(), strict=True)
        return stack([self.model(wave[None, :count]).last_hidden_state[0] for wave, count in pairs])

    def layers(self) -> list[nn.Module]:
        """Return its Transformer layers."""
        return [*self.model.encoder.layers]

    def adaptable(self) -> list[str]:
        """Return the linear layers; not those of WavLM's attention, which reads their weights past any adapter."""
        return (
            ["intermediate_dense", "output_dense"] if self.model.config.model_type == "wavlm" else super().adaptable()
        )

    def describe(self) -> dict[str, Any]:
        """Return its configuration."""
        return {"kind": self.kind, "config": self.model.config.to_dict(), "normalise": self.normalise}


def read_encoder(source: str, layer: int | None) -> SpeechEncoder:
    """Read a pretrained encoder.

    Args:
        source: as in `c2ser.emotion2vec.encoders.load_encoder`; a path in tools/models is looked for in the project.
        layer: keep so many of its first layers; None keeps all, of Whisper the first half: the middle layers tell
            emotions best (docs/results.md).

    Raises:
        ValueError: it is no encoder that we load, or it has no such layer.
    """
    source = find_model(source, "encoder")
    loaded = load_encoder(source, layer=layer)
    if layer is not None and layer < 1:
        raise ValueError(f"{source}: layer {layer} is what enters the first one; give 1 or more")
    if isinstance(loaded, Emotion2VecEncoder):
        return Emotion2VecStates(loaded.model)
    assert isinstance(loaded, ForeignEncoder)
    if isinstance(loaded, ForeignW2vBert):
        raise ValueError(f"{source}: w2v-BERT takes spectrograms of its own, and gets no head; give Whisper, or an "
                         "encoder of waveforms such as WavLM")  # fmt: skip
    if isinstance(loaded, ForeignWhisper):
        layers: Any = loaded.model
        whisper = WhisperEncoder(layers.config)
        whisper.layers = layers
        number = len(whisper.layers.layers)
        if (kept := layer or (number + 1) // 2) < number:
            whisper.cut(kept)
        return WhisperStates(whisper)
    encoder = TransformersStates(loaded.model, bool(getattr(loaded.extractor, "do_normalize", False)))
    if layer is not None and layer < encoder.model.config.num_hidden_layers:
        encoder.cut(layer)
    return encoder


def empty_encoder(description: Mapping[str, Any]) -> SpeechEncoder:
    """Return an encoder as `SpeechEncoder.describe` described it; its weights are still to come.

    Raises:
        KeyError, TypeError, ValueError: there is no such encoder.
    """
    values = dict(description["config"])
    with init_empty_weights():
        if description["kind"] == WhisperStates.kind:
            return WhisperStates(WhisperEncoder(WhisperConfig.from_dict(values)))
        if description["kind"] == Emotion2VecStates.kind:
            return Emotion2VecStates(Emotion2Vec(Emotion2VecConfig(**values)))
        if description["kind"] == TransformersStates.kind:
            config = AutoConfig.for_model(values.pop("model_type"), **values)
            return TransformersStates(AutoModel.from_config(config, trust_remote_code=False), description["normalise"])
    raise ValueError(f"no kind of encoder: {description['kind']}")
