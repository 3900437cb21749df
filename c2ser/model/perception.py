"""The encoders (section III.B): Whisper for what is said, Emotion2Vec-S for how it is said.

Whisper runs at the utterance's own length, without padding to 30 s: the encoder is fine-tuned, and most speech is
short. The padding of a batch is masked, so an utterance gives the same vectors alone and in any batch. For baselines
that use Whisper as it was published, `whisper_pad: 30s` gives it the 30 s that it was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad
from torch.nn.utils.rnn import pad_sequence
from transformers import WhisperConfig, WhisperModel
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder as WhisperLayers

from c2ser.audio import SAMPLE_RATE
from c2ser.model.arranging import additive
from c2ser.model.config import Padding
from c2ser.pretrained import load_pretrained, read_sizes

WINDOW, HOP = 400, 160
"""Samples per analysis window (25 ms) and between windows (10 ms), as Whisper was trained."""

FULL_SECONDS = 30
"""The length that Whisper was trained on, which is also its limit."""


@dataclass
class Vectors:
    """Padded vectors of a batch.

    Attributes:
        values: shape (batch, time, dim), or (batch, mel bins, time) for a log-mel spectrogram; zero where padded.
        lengths: how many of them are real, shape (batch,).
        known: the same numbers where the host knows them; see `counts`.
    """

    values: Tensor
    lengths: Tensor
    known: list[int] | None = None

    @property
    def counts(self) -> list[int]:
        """The lengths as numbers of the host; unless it knows them already, it waits for the device, once."""
        if self.known is None:
            self.known = self.lengths.tolist()
        return self.known

    def to(self, device: torch.device) -> "Vectors":
        """Return the same vectors on another device."""
        return Vectors(self.values.to(device), self.lengths.to(device), self.known)


@dataclass
class Features:
    """What is computed from waveforms without trained weights; any part may be absent.

    Attributes:
        mel: log-mel spectrogram for Whisper, (batch, bins, frames).
        acoustic: vectors of Emotion2Vec-S, (batch, count, dim).
        semantic: states of a frozen Whisper, (batch, time, dim), in place of the spectrogram.
    """

    mel: Vectors | None
    acoustic: Vectors | None
    semantic: Vectors | None = None

    def to(self, device: torch.device) -> "Features":
        """Return the same features on another device."""
        return Features(*(part and part.to(device) for part in (self.mel, self.acoustic, self.semantic)))

    @staticmethod
    def join(parts: Sequence["Features"]) -> "Features":
        """Make one batch of the features of single utterances."""
        mels = [part.mel for part in parts if part.mel is not None]
        acoustic = [part.acoustic.values[0] for part in parts if part.acoustic is not None]
        semantic = [part.semantic.values[0] for part in parts if part.semantic is not None]
        mel = None
        if mels:
            rows = pad_sequence([single.values[0].T for single in mels], batch_first=True)
            counts = [count for single in mels for count in single.counts]
            mel = Vectors(rows.transpose(1, 2), torch.cat([single.lengths for single in mels]), counts)
        return Features(mel, stack(acoustic) if acoustic else None, stack(semantic) if semantic else None)


def stack(rows: Sequence[Tensor]) -> Vectors:
    """Make one batch of vectors (time, dim) of single utterances."""
    counts = [len(row) for row in rows]
    equal = len(set(counts)) == 1  # then it is one kernel, not one for each row
    values = torch.stack(list(rows)) if equal else pad_sequence(list(rows), batch_first=True)
    return Vectors(values, torch.tensor(counts, device=rows[0].device), counts)


def padding_mask(lengths: Tensor, size: int) -> Tensor:
    """Return a mask of shape (batch, size), False on padding."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


class LogMel(nn.Module):
    """Whisper's log-mel spectrogram at the waveform's exact length.

    Args:
        bins: mel bins; 80 for all Whisper models but large-v3.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        filters = mel_filter_bank(
            num_frequency_bins=WINDOW // 2 + 1, num_mel_filters=bins, min_frequency=0.0, max_frequency=8000.0,
            sampling_rate=SAMPLE_RATE, norm="slaney", mel_scale="slaney",
        )  # fmt: skip
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    @torch.no_grad()
    def forward(self, waves: Tensor, lengths: Tensor) -> Vectors:
        """Analyse a padded batch.

        Args:
            waves: shape (batch, samples).
            lengths: samples of each, shape (batch,), more than 200; on the host nobody waits for a GPU to read them.

        Returns:
            log-mel spectrogram (batch, bins, frames), one frame per 160 samples.
        """
        edge = WINDOW // 2
        samples = lengths.tolist()
        # every row is mirrored at its own end, as without a batch
        rows = [pad(w[None, :n], (edge, edge), mode="reflect")[0] for w, n in zip(waves, samples, strict=True)]
        padded = pad_sequence(rows, batch_first=True)
        spectrum = torch.stft(padded, WINDOW, HOP, window=self.window, center=False, return_complex=True)
        frames, counts = (lengths // HOP).to(waves.device), [number // HOP for number in samples]
        power = spectrum[..., : max(counts)].abs().square()  # (batch, frequencies, frames)
        mel = (self.filters.T @ power.contiguous()).clamp(min=1e-10).log10()
        mask = padding_mask(frames, mel.shape[2])[:, None, :]
        loudest = mel.masked_fill(~mask, -10.0).amax(dim=(1, 2), keepdim=True)
        mel = (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0
        return Vectors(mel.masked_fill(~mask, 0.0), frames, counts)


class WhisperEncoder(nn.Module):
    """The encoder of a Hugging Face Whisper model, run at any length up to 30 s.

    Args:
        config: the model's configuration; weights are random, `from_pretrained` brings trained ones.

    Attributes:
        padding: "30s" adds silence up to 30 s, unmasked, and drops the states of that silence.
    """

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.padding: Padding = "exact"
        self.spectrogram = LogMel(config.num_mel_bins)
        self.layers = WhisperLayers(config)

    @classmethod
    def from_pretrained(cls, name: str, dropout: float) -> "WhisperEncoder":
        """Take the encoder out of a Whisper model, given as folder or hub id, and set its dropout.

        Raises:
            ValueError: there is no such model, or it is of another kind or damaged.
        """
        if (kind := read_sizes(name, "Whisper").model_type) != "whisper":
            raise ValueError(f"{name}: a model of the kind {kind}, not Whisper; choose a Whisper model")
        model = load_pretrained(WhisperModel, name, "Whisper", "encoder.", dtype=torch.float32, dropout=dropout)
        assert isinstance(model, WhisperModel)
        encoder = cls(model.config)
        encoder.layers = model.encoder
        return encoder

    def cut(self, layers: int) -> None:
        """Keep the first layers alone; the norm of the last layer does not fit them and becomes a plain one.

        Raises:
            ValueError: there are not so many layers.
        """
        number = len(self.layers.layers)
        if not 1 <= layers <= number:
            raise ValueError(f"whisper_layers {layers}: this Whisper has {number}; give a number from 1 to {number}")
        self.layers.layers = self.layers.layers[:layers]
        self.layers.layer_norm.reset_parameters()
        self.config.encoder_layers = layers

    @property
    def dim(self) -> int:
        """Size of the state vectors."""
        return self.config.d_model

    @property
    def max_seconds(self) -> float:
        """The longest audio for which there are positions."""
        return self.config.max_source_positions * 2 * HOP / SAMPLE_RATE

    def log_mel(self, waves: Tensor, lengths: Tensor) -> Vectors:
        """Return the spectrogram (batch, bins, frames) that it takes of padded waveforms (batch, samples)."""
        if self.padding == "exact":
            return self.spectrogram(waves, lengths)
        full = FULL_SECONDS * SAMPLE_RATE
        mel = self.spectrogram(pad(waves, (0, full - waves.shape[1])), torch.full_like(lengths, full))
        return Vectors(mel.values, (lengths // HOP).to(waves.device), (lengths // HOP).tolist())

    def forward(self, mel: Vectors) -> Vectors:
        """Encode a padded batch.

        Args:
            mel: log-mel spectrogram, (batch, bins, frames).

        Returns:
            states (batch, ceil(frames / 2), dim), 50 per second.

        Raises:
            ValueError: longer than there are positions.
        """
        net = self.layers
        lengths, counts = (mel.lengths + 1) // 2, [(count + 1) // 2 for count in mel.counts]
        if max(counts) > net.max_source_positions:
            raise ValueError(f"audio over the {self.max_seconds:.0f} s that Whisper takes; cut it into utterances")
        exact = self.padding == "exact"
        states = gelu(net.conv1(mel.values))
        if exact:  # the second convolution must get zeros past the end, as it does without a batch
            states = states * padding_mask(mel.lengths, states.shape[2])[:, None, :].to(states.dtype)
        states = gelu(net.conv2(states)).transpose(1, 2)  # (batch, time, dim)
        states = states + net.embed_positions.weight[: states.shape[1]]
        states = nn.functional.dropout(states, p=net.dropout, training=self.training)
        mask = padding_mask(lengths, states.shape[1])
        padded = exact and min(counts) < states.shape[1]
        attention = additive(mask[:, None, None, :], states) if padded else None
        for layer in net.layers:
            states = layer(states, attention)
        states = net.layer_norm(states) * mask[:, :, None].to(states.dtype)
        return Vectors(states[:, : max(counts)], lengths, counts)
