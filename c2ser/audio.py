"""Audio: any readable file becomes mono float32 at 16 kHz, or an error that names the utterance."""

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import numpy as np

from c2ser.audio_files import AudioFile, open_audio

SAMPLE_RATE = 16000
"""Samples per second of every waveform in the toolkit."""

MAX_SECONDS = 3600
"""Longer utterances are refused: none is that long, and a lying header could ask for all memory."""

Channel = int | Literal["mean", "centre"] | None


def load(path: str | Path, utterance: str, channel: Channel = None) -> np.ndarray:
    """Read an audio file of any format.

    Args:
        path: the file.
        utterance: its id, for messages.
        channel: which channel (from 0), "centre" or "mean"; None takes a mono file as it is and the mean of several.

    Returns:
        float32 waveform at 16 kHz, shape (samples,).

    Raises:
        ValueError: unreadable, empty, truncated, not finite, too long, or without that channel.
    """
    blocks, number = [], 0
    with open_audio(path, utterance) as file:
        for block in _finite(file, utterance, path):
            number += len(block)
            if max(number, file.declared or 0) > MAX_SECONDS * file.rate:
                raise ValueError(f"{utterance}: longer than {MAX_SECONDS} s; cut it into utterances")
            blocks.append(mono(block, utterance, channel))
    return resample(np.concatenate(blocks), file.rate)


def stream(source: str | Path | IO[bytes], name: str) -> Iterator[np.ndarray]:
    """Read an audio file of any format and length in blocks.

    Args:
        source: a path, or a binary file that can be read and sought.
        name: of the recording, for messages.

    Yields:
        the next samples, float32 at 16 kHz, (samples, channels); joined they are what `resample` makes of the whole.

    Raises:
        ValueError: unreadable, empty, truncated or not finite.
    """
    with open_audio(source, name) as file:
        resampling = Resampling(file.rate, file.channels)
        for block in _finite(file, name, "it"):
            yield resampling.push(block)
        yield resampling.push(np.zeros((0, file.channels), np.float32), last=True)


def _finite(file: AudioFile, name: str, what: str | Path) -> Iterator[np.ndarray]:
    for block in file.blocks:
        if not np.isfinite(block).all():
            raise ValueError(f"{name}: NaN or Inf in {what}; convert it again from its source")
        yield block


def mono(wave: np.ndarray, utterance: str, channel: Channel) -> np.ndarray:
    """Return one channel (samples,) of a waveform (samples, channels); `channel` as in `load`.

    Raises:
        ValueError: there is no such channel; the message names the utterance.
    """
    channels = wave.shape[1]
    if channel == "centre":
        channel = centre_channel(channels)
    if isinstance(channel, int):
        if not 0 <= channel < channels:
            raise ValueError(f"{utterance}: no channel {channel}, the file has {channels}; choose 0 to {channels - 1}")
        return np.ascontiguousarray(wave[:, channel])
    return wave[:, 0].copy() if channels == 1 else wave.mean(axis=1)


def centre_channel(channels: int) -> int:
    """Return the channel of voices, from 0: the front centre of 5.1 sound, which comes third, else the first."""
    return 2 if channels >= 6 else 0


def duration(path: str | Path, utterance: str) -> float:
    """Return the length of an audio file in seconds; see `header`.

    Raises:
        ValueError: unreadable, empty or truncated.
    """
    return header(path, utterance)[0]


def header(path: str | Path, utterance: str) -> tuple[float, int]:
    """Return the length of an audio file in seconds and its number of channels.

    They are read from its header. Where that does not say how long the file is, as in mp3 without a table, aac or amr,
    the file is decoded and its samples are counted.

    Raises:
        ValueError: unreadable, empty or truncated.
    """
    with open_audio(path, utterance) as file:
        samples = file.declared or sum(len(block) for block in file.blocks)
        return samples / file.rate, file.channels


def resample(wave: np.ndarray, rate: int) -> np.ndarray:
    """Bring a waveform (…, samples) from `rate` Hz to 16 kHz with torchaudio's windowed sinc."""
    if rate == SAMPLE_RATE:
        return wave.astype(np.float32, copy=False)
    import torch  # imported here: the text-only stages read tables of this package without torch

    return _resampler(rate)(torch.from_numpy(wave)).numpy()


@functools.lru_cache(maxsize=16)
def _resampler(rate: int):  # noqa: ANN202 - torchaudio is imported late
    import torchaudio

    return torchaudio.transforms.Resample(rate, SAMPLE_RATE)


class Resampling:
    """Brings a waveform that comes in blocks to 16 kHz, as `resample` does with the whole.

    Args:
        rate: samples per second of the blocks.
        channels: how many they have.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.rate, self.step = rate, rate // math.gcd(rate, SAMPLE_RATE)
        self.out_step = SAMPLE_RATE // math.gcd(rate, SAMPLE_RATE)
        # what the kernel sees before and after a sample, in whole steps
        reach = 0 if rate == SAMPLE_RATE else _resampler(rate).width + self.step
        self.context = self.step * math.ceil(reach / self.step)
        self.wave, self.before = np.zeros((0, channels), np.float32), 0

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """Return the samples at 16 kHz that a block completes, (samples, channels).

        Args:
            block: the next samples, (samples, channels).
            last: whether the waveform ends with it.
        """
        if self.rate == SAMPLE_RATE:
            return block
        self.wave = np.concatenate([self.wave, block])
        ready = len(self.wave) if last else (len(self.wave) - self.context) // self.step * self.step
        if ready <= self.before:
            return np.zeros((0, block.shape[1]), np.float32)
        made = resample(np.ascontiguousarray(self.wave[: ready + self.context].T), self.rate)
        start, end = (count // self.step * self.out_step for count in (self.before, ready))
        made = made[:, start:] if last else made[:, start:end]
        dropped = max(0, ready - self.context)
        self.wave, self.before = self.wave[dropped:], ready - dropped
        return made.T


def check_sound(wave: np.ndarray, utterance: str) -> np.ndarray:
    """Return a waveform (samples,) that is not silent throughout.

    Raises:
        ValueError: all samples are the same; the message names the utterance.
    """
    if wave.min() == wave.max():
        raise ValueError(f"{utterance}: silence throughout; remove it")
    return wave


def trim_silence(wave: np.ndarray, threshold_db: float = 40.0, frame: int = 400, hop: int = 160) -> np.ndarray:
    """Cut leading and trailing silence.

    Args:
        wave: shape (samples,) at 16 kHz.
        threshold_db: frames more than this far (dB) below the loudest one are silent.
        frame: samples per frame.
        hop: samples between frames.

    Returns:
        the part from the first to the last frame that is not silent; the whole wave if all are silent.
    """
    if len(wave) < frame:
        return wave
    frames = np.lib.stride_tricks.sliding_window_view(wave, frame)[::hop]
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-threshold_db / 10))
    if len(loud) == 0:
        return wave
    return wave[loud[0] * hop : loud[-1] * hop + frame]


def pieces(wave: np.ndarray, longest: float = 30.0, shortest: float = 1.0) -> list[np.ndarray]:
    """Cut long speech where it is quietest.

    Args:
        wave: shape (samples,) at 16 kHz.
        longest: seconds of a piece, at most; a wave within that stays whole.
        shortest: seconds of a piece, at least; no more than half of `longest`.

    Returns:
        pieces which, joined, are the wave; each but the last lasts at least half of `longest`.
    """
    parts = []
    while len(wave) > int(longest * SAMPLE_RATE):
        place = _cut_place(wave, longest, shortest)
        parts.append(wave[:place])
        wave = wave[place:]
    return [*parts, wave]


def first_cut(wave: np.ndarray, longest: float = 30.0, shortest: float = 1.0) -> int:
    """Return where `pieces` ends its first piece, whatever follows the wave; 0 as long as that is not certain.

    Args:
        wave: the beginning of a waveform, (samples,) at 16 kHz.
        longest: as in `pieces`.
        shortest: as in `pieces`.
    """
    certain = len(wave) >= int(longest * SAMPLE_RATE) + int(shortest * SAMPLE_RATE)
    return _cut_place(wave, longest, shortest) if certain else 0


def _cut_place(wave: np.ndarray, longest: float, shortest: float) -> int:
    most, least = int(longest * SAMPLE_RATE), int(shortest * SAMPLE_RATE)
    return _quietest(wave, most // 2, min(most, len(wave) - least))


def _quietest(wave: np.ndarray, start: int, end: int, span: float = 0.3) -> int:
    """Return the middle of the quietest `span` seconds whose middle lies from `start` to `end` (samples)."""
    half = int(span * SAMPLE_RATE) // 2
    first = max(0, start - half)
    stretch = np.square(wave[first : end + half], dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(stretch)])
    middles = np.arange(start, end + 1) - first
    power = sums[np.minimum(middles + half, len(stretch))] - sums[np.maximum(middles - half, 0)]
    return int(start + power.argmin())
