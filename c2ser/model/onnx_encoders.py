"""Encoders that a head sits on, as tensors alone: without lists and lengths on the host, so that ONNX can hold them."""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, gelu

from c2ser.audio import SAMPLE_RATE
from c2ser.emotion2vec.speech_classifier import NORMALISED, Emotion2VecFrames, FrameEncoder
from c2ser.model.perception import HOP, WINDOW, WhisperEncoder, padding_mask
from c2ser.model.speech_encoders import Emotion2VecStates, SpeechEncoder, TransformersStates, WhisperStates


class LogMelFrames(nn.Module):
    """The spectrogram of `c2ser.model.perception.LogMel`; its Fourier transform is a product with a matrix.

    Args:
        filters: mel filters, (frequencies, bins).
    """

    filters: Tensor
    basis: Tensor

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(len(filters)), torch.arange(WINDOW)).double() * (2 * torch.pi / WINDOW)
        basis = torch.cat([angles.cos(), angles.sin()]) * torch.hann_window(WINDOW, dtype=torch.float64)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("basis", basis[:, None].float(), persistent=False)  # (2 x frequencies, 1, window)

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the spectrogram (batch, bins, frames), zero after the end, of waveforms (batch, samples)."""
        samples, last = waveform.shape[1], lengths[:, None] - 1
        # each waveform is mirrored at its own ends
        place = torch.arange(-WINDOW // 2, samples + WINDOW // 2, device=waveform.device).abs()[None]
        place = torch.where(place > last, 2 * last - place, place).clamp(0, samples - 1)
        spectrum = conv1d(waveform.gather(1, place)[:, None], self.basis, stride=HOP)[..., : samples // HOP]
        power = spectrum.square().unflatten(1, (2, len(self.filters))).sum(dim=1)  # (batch, frequencies, frames)
        mel = (self.filters.T @ power).clamp(min=1e-10).log10()
        mask = padding_mask(lengths // HOP, mel.shape[2])[:, None, :]
        loudest = mel.masked_fill(~mask, -10.0).amax(dim=(1, 2), keepdim=True)
        return ((torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0).masked_fill(~mask, 0.0)


class WhisperFrames(FrameEncoder):
    """Whisper's encoder at an utterance's own length.

    Args:
        whisper: the encoder, in evaluation mode.
    """

    min_samples, hop_samples = WINDOW // 2 + 1, 2 * HOP

    def __init__(self, whisper: WhisperEncoder) -> None:
        super().__init__()
        self.spectrogram, self.layers = LogMelFrames(whisper.spectrogram.filters), whisper.layers
        self.max_samples = int(whisper.max_seconds * SAMPLE_RATE)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames and mask, as `WhisperEncoder` gives them."""
        net, mel = self.layers, self.spectrogram(waveform, lengths)
        states = gelu(net.conv1(mel)) * padding_mask(lengths // HOP, mel.shape[2])[:, None, :]
        states = gelu(net.conv2(states)).transpose(1, 2)
        states = states + net.embed_positions.weight[: states.shape[1]]
        mask = padding_mask((lengths // HOP + 1) // 2, states.shape[1])
        attention = (~mask).to(states.dtype)[:, None, None, :] * torch.finfo(states.dtype).min
        for layer in net.layers:
            states = layer(states, attention)
        return net.layer_norm(states), mask


class TransformersFrames(FrameEncoder):
    """wav2vec 2.0, HuBERT, WavLM and the like, one utterance at a time.

    Args:
        encoder: the encoder, in evaluation mode.
    """

    single = True

    def __init__(self, encoder: TransformersStates) -> None:
        super().__init__()
        config: Any = encoder.model.config
        strides = [prod(config.conv_stride[:number]) for number in range(len(config.conv_stride))]
        self.encoder, self.hop_samples = encoder, prod(config.conv_stride)
        self.min_samples = 1 + sum((k - 1) * step for k, step in zip(config.conv_kernel, strides, strict=True))
        self.normalization = NORMALISED if encoder.normalise else "none"

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames and a mask that hides none."""
        frames = self.encoder.model(self.encoder.prepare(waveform)).last_hidden_state
        return frames, padding_mask(lengths, frames.shape[1])


def frames_of(encoder: SpeechEncoder) -> FrameEncoder:
    """Return an encoder, in evaluation mode, as one that can be exported."""
    if isinstance(encoder, WhisperStates):
        return WhisperFrames(encoder.whisper)
    if isinstance(encoder, Emotion2VecStates):
        return Emotion2VecFrames(encoder.model)
    assert isinstance(encoder, TransformersStates)
    return TransformersFrames(encoder)
