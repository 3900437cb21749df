"""Padded batches of waveforms, and masks that augment spectrograms."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from c2ser.data.config import SpecAugment


def pad_waves(waves: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return waveforms (samples,) as one tensor (batch, samples), zeros at the ends, and their lengths (batch,)."""
    padded = pad_sequence([torch.from_numpy(wave) for wave in waves], batch_first=True)
    return padded, torch.tensor([len(wave) for wave in waves])


def augment(mel: Tensor, lengths: Tensor, config: SpecAugment) -> Tensor:
    """Set random stretches of time and bands of frequency to zero and repeat others, with torch's generator.

    Args:
        mel: log-mel spectrogram (batch, bins, frames).
        lengths: frames of each, (batch,), on the host, which decides where.
        config: how many masks and how wide.
    """
    batch, bins, frames = mel.shape
    visible = torch.ones(batch, bins, frames, dtype=torch.bool)
    for _ in range(config.time_masks):
        visible &= ~_stretch(lengths, (lengths // 5).clamp(max=config.time_width), frames)[:, None, :]
    for _ in range(config.bin_masks):
        size = torch.full((batch,), bins)
        visible &= ~_stretch(size, torch.full((batch,), min(config.bin_width, bins)), bins)[:, :, None]
    return _substituted(mel * visible.to(mel.device), lengths, config)


def _substituted(mel: Tensor, ends: Tensor, config: SpecAugment) -> Tensor:
    """Return spectrograms in which random stretches of time repeat what begins at or before them."""
    times = torch.arange(mel.shape[2]).expand(len(ends), -1)
    sources = times
    for _ in range(config.substitutions):
        starts = (torch.rand(len(ends)) * ends).long()
        widths = 1 + (torch.rand(len(ends)) * config.substitution_width).long()
        shifts = (torch.rand(len(ends)) * (starts + 1)).long()
        inside = (times >= starts[:, None]) & (times < (starts + widths).minimum(ends)[:, None])
        sources = torch.where(inside, times - shifts[:, None], sources)
    return mel.gather(2, sources.to(mel.device)[:, None].expand_as(mel)) if config.substitutions else mel


def _stretch(ends: Tensor, widest: Tensor, size: int) -> Tensor:
    """Return masks (batch, size), True on one random stretch of at most `widest` positions before `ends`."""
    widths = (torch.rand(len(ends)) * (widest + 1)).long()
    starts = (torch.rand(len(ends)) * (ends - widths + 1)).long()
    places = torch.arange(size)[None, :]
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])
